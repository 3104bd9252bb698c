"""SFace (Zhong et al. 2021, arXiv 2205.12010) in torch: the network of OpenCV Zoo, with gradients.

Its normalisations have fixed statistics, so they are folded into the convolutions and the last layer: what is left is
convolutions with biases, PReLU and one linear layer on the unpooled 7x7 map.

Shapes: B faces.
"""

from __future__ import annotations

from torch import Tensor, nn

_CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
"""After each pair of convolutions: 3x3 by channel, then 1x1."""
PAIRS = len(_CHANNELS)
_HALVING = frozenset((1, 3, 5, 11))
"""Pairs whose first convolution halves the resolution."""


class SfaceConvolutions(nn.Sequential):
    """Faces to the last feature map, (B, 3, S, S) to (B, 1024, S / 16, S / 16); random weights until some are read."""

    channels = 1024
    """Of the map."""
    shrinks = 16
    """Pixels of a face to a place of the map, on each side."""
    mean = (127.5,) * 3
    deviation = (128.0,) * 3
    """Of RGB in 0 to 255, subtracted and divided by before the first convolution."""

    def __init__(self) -> None:
        layers = [SfaceLayer(3, 32, 3)]
        before = 32
        for number, channels in enumerate(_CHANNELS):
            stride = 2 if number in _HALVING else 1
            layers += [
                SfaceLayer(before, before, 3, stride=stride, groups=before),
                SfaceLayer(before, channels, 1),
            ]
            before = channels
        super().__init__(*layers)


class SfaceLayer(nn.Module):
    """A convolution and its PReLU."""

    def __init__(self, before: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, channels, kernel, stride, padding=kernel // 2, groups=groups)
        self.slope = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.slope(self.convolution(x))
        return made
