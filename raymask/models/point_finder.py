"""The five points of faces in photos, by the aligner: it says where they lie under a mask, too."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch

from raymask.faces.alignment import align, places, similarity
from raymask.models.bundle import load_bundle
from raymask.models.networks.aligner import TEMPLATE, FaceAligner
from raymask.models.shipped import aligner_of

LOOKS = 2
"""Times that a face is looked at: once as the detector aligned it, then as the first look did."""


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
