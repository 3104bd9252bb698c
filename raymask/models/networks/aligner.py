"""The aligner: where a face's eyes, nose tip and mouth corners lie, seen or covered by a mask.

A detector's points stray on masked faces, by a fifth of the distance between the eyes at the mouth, and with them the
turn and the size of what an embedder is shown. The aligner looks at the face as those points would align it, and says
where the detector would find them if the mask were off.

Shapes: B faces, S pixels a side.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from raymask.faces.alignment import Alignment, places
from raymask.models.config import AlignerConfig

TEMPLATE: Alignment = "dlib"
"""Where the five points of the faces that it looks at are to lie, and where it begins to look for them."""

_GROWTH = (1, 2, 4, 6)
"""Channels of each level over those of the first, at 1/2, 1/4, 1/8 and 1/16 of the face's resolution."""


class FaceAligner(nn.Module):
    """Says where the five points of a roughly aligned face lie."""

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels * factor for factor in _GROWTH]
        layers = [_convolution(3, widths[0], stride=2), _convolution(widths[0], widths[0])]
        for before, after in pairwise(widths):
            layers += [_convolution(before, after, stride=2), _convolution(after, after)]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(widths[-1] * (config.input_size // 16) ** 2, 10)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        begun = torch.from_numpy(places(TEMPLATE, config.input_size)).float()
        self.register_buffer("begun", begun, persistent=False)
        self.begun: Tensor

    def forward(self, face_B3SS: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 RGB to (B, 5, 2) float pixels: eyes, nose tip, mouth corners, left in the picture
        first."""
        scaled = face_B3SS.to(self.last.weight.dtype) / 127.5 - 1
        moved = self.last(self.layers(scaled).flatten(1)).unflatten(1, (5, 2))
        return self.begun + moved * self.config.input_size


def _convolution(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
