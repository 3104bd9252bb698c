"""EdgeConnect's networks (Nazeri et al. 2019, arXiv 1901.00212, §3 and appendix A), at any width.

Layers stand in the published order under the published names, so that published weights fit at the published width.

Shapes: B faces, S pixels a side, a multiple of 4; values 0 to 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

RESIDUAL_BLOCKS = 8


class Generator(nn.Module):
    """Two halvings, eight residual blocks that see far by dilation, two doublings."""

    def __init__(self, *, taken: int, given: int, channels: int, normed: bool) -> None:
        """
        Args:
            taken, given: channels of input and output.
            channels: of the first layer; 64 as published.
            normed: whether the convolutions are spectrally normalised (Miyato et al. 2018), as the edge generator's.
        """
        super().__init__()
        c = channels
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            _convolution(taken, c, 7, normed=normed),
            nn.InstanceNorm2d(c),
            nn.ReLU(),
            _convolution(c, 2 * c, 4, stride=2, padding=1, normed=normed),
            nn.InstanceNorm2d(2 * c),
            nn.ReLU(),
            _convolution(2 * c, 4 * c, 4, stride=2, padding=1, normed=normed),
            nn.InstanceNorm2d(4 * c),
            nn.ReLU(),
        )
        self.middle = nn.Sequential(*(ResidualBlock(4 * c, normed=normed) for _ in range(RESIDUAL_BLOCKS)))
        self.decoder = nn.Sequential(
            _convolution(4 * c, 2 * c, 4, stride=2, padding=1, normed=normed, transposed=True),
            nn.InstanceNorm2d(2 * c),
            nn.ReLU(),
            _convolution(2 * c, c, 4, stride=2, padding=1, normed=normed, transposed=True),
            nn.InstanceNorm2d(c),
            nn.ReLU(),
            nn.ReflectionPad2d(3),
            _convolution(c, given, 7, normed=False),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, taken, S, S) to (B, given, S, S), before the function that brings it to 0 to 1."""
        return self.decoder(self.middle(self.encoder(x)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the first with gaps of one pixel, added to what came in."""

    def __init__(self, channels: int, *, normed: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(2),
            _convolution(channels, channels, 3, dilation=2, normed=normed, bias=not normed),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            _convolution(channels, channels, 3, normed=normed, bias=not normed),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x + self.conv_block(x)


class EdgeGenerator(Generator):
    """G1: draws the edges in the hole."""

    def __init__(self, channels: int) -> None:
        super().__init__(taken=3, given=1, channels=channels, normed=True)

    def forward(self, grey: Tensor, edges: Tensor, hole: Tensor) -> Tensor:  # type: ignore[override]
        """Edges of the whole face, each pixel's probability.

        Args:
            grey, edges: (B, 1, S, S) of the bare face; what lies in the hole is not looked at.
            hole: (B, 1, S, S), 1 in the hole, 0 elsewhere.

        Returns:
            (B, 1, S, S) in 0 to 1.
        """
        known = torch.cat([grey * (1 - hole) + hole, edges * (1 - hole), hole], dim=1)
        return super().forward(known).to(grey.dtype).sigmoid()  # which 16 bits would end at 0 and 1


class ImageGenerator(Generator):
    """G2: paints the hole, led by edges."""

    def __init__(self, channels: int) -> None:
        super().__init__(taken=4, given=3, channels=channels, normed=False)

    def forward(self, image: Tensor, edges: Tensor, hole: Tensor) -> Tensor:  # type: ignore[override]
        """The whole face painted.

        Args:
            image: (B, 3, S, S) RGB; what lies in the hole is not looked at.
            edges: (B, 1, S, S) of the whole face.
            hole: (B, 1, S, S), 1 in the hole, 0 elsewhere.

        Returns:
            (B, 3, S, S) in 0 to 1.
        """
        known = torch.cat([image * (1 - hole) + hole, edges], dim=1)
        return (super().forward(known).to(image.dtype).tanh() + 1) / 2


class Discriminator(nn.Module):
    """Judges patches of 70 pixels a side as real or made (Isola et al. 2017), spectrally normalised."""

    def __init__(self, *, taken: int, channels: int) -> None:
        super().__init__()
        widths = [taken, channels, 2 * channels, 4 * channels, 8 * channels, 1]
        strides = (2, 2, 2, 1, 1)
        for number, (before, after, stride) in enumerate(zip(widths, widths[1:], strides, strict=False), start=1):
            layers: list[nn.Module] = [
                _convolution(before, after, 4, stride=stride, padding=1, normed=True, bias=False)
            ]
            if number < len(strides):
                layers.append(nn.LeakyReLU(0.2))
            self.add_module(f"conv{number}", nn.Sequential(*layers))
        initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, taken, S, S) to the maps of its five layers; over 0 in the last, (B, 1, h, w): looks real."""
        maps, dtype = [], x.dtype
        for layer in self.children():
            x = layer(x)
            maps.append(x.to(dtype))
        return maps


def _convolution(
    before: int,
    after: int,
    kernel: int,
    *,
    normed: bool,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    bias: bool = True,
    transposed: bool = False,
) -> nn.Module:
    if transposed:
        layer: nn.Module = nn.ConvTranspose2d(before, after, kernel, stride, padding, bias=bias)
    else:
        layer = nn.Conv2d(before, after, kernel, stride, padding, dilation, bias=bias)
    return spectral_norm(layer, dim=1 if transposed else 0) if normed else layer


def initialise(network: nn.Module) -> None:
    """Weights from a normal distribution of deviation 0.02, biases 0, as published."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, 0.0, 0.02)
