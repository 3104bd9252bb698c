"""The aligner: where a face's eyes, nose tip and mouth corners lie, seen or covered by a mask.

A detector's points stray on masked faces, by a fifth of the distance between the eyes at the mouth, and with them the
turn and the size of what an embedder is shown. The aligner looks at the face as those points would align it, and says
where the detector would find them if the mask were off.

Shapes: B faces, S pixels a side.
"""

from __future__ import annotations

import functools
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from raymask.faces.alignment import Alignment, align, places, similarity
from raymask.models.bundle import aligner_of, load_bundle
from raymask.models.config import AlignerConfig

TEMPLATE: Alignment = "dlib"
"""Where the five points of the faces that it looks at are to lie, and where it begins to look for them."""

_GROWTH = (1, 2, 4, 6)
"""Channels of each level over those of the first, at 1/2, 1/4, 1/8 and 1/16 of the face's resolution."""

LOOKS = 2
"""Times that a face is looked at: once as the detector aligned it, then as the first look did."""


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


class PointFinder:
    """Finds the five points of faces in photos, beginning at a detector's."""

    def __init__(self, aligner: FaceAligner) -> None:
        self.aligner = aligner.eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, photo: np.ndarray, points: np.ndarray) -> np.ndarray:
        """
        Args:
            photo: (H, W, 3) uint8 RGB.
            points: (5, 2) in its pixels, the detector's.

        Returns:
            (5, 2) float32 in pixels of the photo.
        """
        side = self.aligner.config.input_size
        for _ in range(LOOKS):
            face = torch.from_numpy(align(photo, points, TEMPLATE, side)).permute(2, 0, 1)[None]
            seen = self.aligner(face)[0].double().numpy()
            matrix = similarity(points, places(TEMPLATE, side))
            points = (seen - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        return points.astype(np.float32)


@functools.cache
def point_finder(bundle: Path) -> PointFinder:
    """With the aligner in this folder. Raises ModelError if it is missing, damaged or of another kind."""
    model = load_bundle(bundle, "FaceAligner").model
    assert isinstance(model, FaceAligner)
    return PointFinder(model)


def shipped_point_finder() -> PointFinder:
    """With the aligner that comes with raymask. Raises ModelError if it is damaged."""
    return point_finder(aligner_of())
