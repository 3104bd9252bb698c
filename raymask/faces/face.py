"""The one value that stands for a found face, and which face of a photo is its subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """A face in a photo; all coordinates are pixels (x, y) of that photo and may lie outside its frame.

    `eq=False`: two faces are the same only if they are one object, since arrays have no single truth value.
    """

    box: np.ndarray
    """(4,) float32: left, top, right, bottom."""
    score: float
    """Detector's confidence, 0 to 1."""
    points: np.ndarray
    """(5, 2) float32: the eyes, nose tip and mouth corners, those on the image's left first."""
    landmarks: np.ndarray
    """(68, 2) float32: the iBUG 68 points."""

    @property
    def centre(self) -> np.ndarray:
        """(2,) float: centre of the box."""
        return (self.box[:2] + self.box[2:]) / 2

    @property
    def area(self) -> float:
        """Box area in square pixels."""
        width, height = self.box[2:] - self.box[:2]
        return float(width * height)


def subject(faces: Sequence[Face], photo_shape: tuple[int, ...]) -> Face | None:
    """The photo's centre-weighted largest face, or None if there is none; see `subject_weights`."""
    if not faces:
        return None
    return faces[int(np.argmax(subject_weights(np.stack([face.box for face in faces]), photo_shape)))]


def subject_weights(boxes: np.ndarray, photo_shape: tuple[int, ...]) -> np.ndarray:
    """How much each of (N, 4) boxes is in the middle of attention: (N,), square pixels, at most its area.

    A face's area counts by exp(-(d / s)^2), d its distance from the photo's centre and s a quarter of the photo's
    longer side: portraits centre their subject, and a larger bystander at the rim must not win.
    """
    height, width = photo_shape[:2]
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    away = (boxes[:, :2] + sides / 2 - (width / 2, height / 2)) / (max(height, width) / 4)
    weights: np.ndarray = sides.prod(axis=1) * np.exp(-(away**2).sum(axis=1))
    return weights


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes, (4,) left, top, right, bottom each."""
    corner, far = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = float(np.prod(np.maximum(far - corner, 0)))
    areas = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return common / max(areas - common, 1e-9)
