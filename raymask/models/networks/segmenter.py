"""The segmenter: a small U-Net (Ronneberger et al. 2015) that finds the mask in a crop.

It works at half the crop's resolution and below, where most of a network's time goes, and its last layer gives each
of a square of four pixels a channel of its own (Shi et al. 2016), so that straps and edges come out at full resolution.

Shapes: B crops, S pixels a side, a multiple of 32.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle

from raymask.models.config import SegmenterConfig

_GROWTH = (1, 2, 4, 6, 8)
"""Channels of each level over those of the first, at 1/2, 1/4, ... 1/32 of the crop's resolution."""


class MaskSegmenter(nn.Module):
    """Says for each pixel of a crop whether a mask covers it."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels * factor for factor in _GROWTH]
        self.stem = nn.Sequential(_convolution(12, widths[0]), _convolution(widths[0], widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(before, after, stride=2), _convolution(after, after))
            for before, after in pairwise(widths)
        )
        self.narrow = nn.ModuleList(nn.Conv2d(below, here, 1) for here, below in pairwise(widths))
        self.up = nn.ModuleList(_convolution(width, width) for width in widths[:-1])
        self.refine = _convolution(widths[0], widths[0])
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, crop_B3SS: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 RGB crops to (B, 1, S, S) float logits: over 0 where a mask covers the pixel."""
        scaled = crop_B3SS.to(self.head.weight.dtype) / 127.5 - 1
        levels = [self.stem(pixel_unshuffle(scaled, 2))]
        for down in self.down:
            levels.append(down(levels[-1]))
        deep = levels.pop()
        for narrow, up in zip(reversed(self.narrow), reversed(self.up), strict=True):
            skip = levels.pop()
            # Narrowed before it is enlarged: the same result at a quarter of the work.
            deep = up(skip + interpolate(narrow(deep), size=skip.shape[-2:], mode="bilinear", align_corners=False))
        return pixel_shuffle(self.head(self.refine(deep)), 2).to(scaled.dtype)


def _convolution(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
