"""Faces turned upright and scaled by their five points, as face networks see them."""

from __future__ import annotations

from typing import Literal

import numpy as np

Alignment = Literal["dlib", "arcface"]
"""Whose networks expect the five points where."""

ARCFACE_SIZE = 112
"""Pixels on each side of an aligned face."""

ARCFACE_POINTS = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
"""(5, 2) pixels where the eyes, nose tip and mouth corners lie in an aligned face."""

DLIB_SIZE = 150
"""Pixels on each side of dlib's chips."""

DLIB_POINTS = np.array([(48.3, 46.6), (101.6, 46.6), (74.9, 78.4), (51.3, 104.2), (98.5, 104.4)])
"""(5, 2) pixels where the detector's points lie in dlib's chips: medians over the bare photos of 500 people of LFW."""


MIRRORED = [1, 0, 2, 4, 3]
"""Which of the five points stands in the place of which in a mirrored face, left in the picture first."""


def mirrored(points: np.ndarray, size: int) -> np.ndarray:
    """(..., 5, 2) points of a picture `size` pixels wide to those of its mirror image."""
    flipped = np.array(points)[..., MIRRORED, :]
    flipped[..., 0] = size - 1 - flipped[..., 0]
    return flipped


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The turn, scale and shift, never a mirror, that brings points closest to others in least squares.

    Args:
        source, target: (N, 2) points, N at least 2.

    Returns:
        (2, 3) float64 matrix, as OpenCV takes it.
    """
    x, y = np.asarray(source, np.float64).T
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([np.stack([x, -y, one, zero], axis=1), np.stack([y, x, zero, one], axis=1)])
    a, b, shift_x, shift_y = np.linalg.lstsq(rows, np.asarray(target, np.float64).T.ravel(), rcond=None)[0]
    return np.array([[a, -b, shift_x], [b, a, shift_y]])


def places(alignment: Alignment, size: int) -> np.ndarray:
    """(5, 2) pixels where the five points lie in a face of `size` pixels a side that is aligned so."""
    points, side = {"arcface": (ARCFACE_POINTS, ARCFACE_SIZE), "dlib": (DLIB_POINTS, DLIB_SIZE)}[alignment]
    return (points + 0.5) * (size / side) - 0.5


def align(
    photo: np.ndarray, points: np.ndarray, alignment: Alignment = "arcface", size: int = ARCFACE_SIZE
) -> np.ndarray:
    """A face turned and scaled by its five points.

    Args:
        photo: (H, W, 3) uint8.
        points: (5, 2) in its pixels.
        alignment: where they are to lie.
        size: of the result, pixels.

    Returns:
        (size, size, 3) uint8; black outside the photo.
    """
    import cv2

    wanted = places(alignment, size)
    matrix = similarity(points, wanted)
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0])) * 2
    if shrink < 1:  # bilinear sampling alone would skip pixels of a large face
        shape = (max(1, round(photo.shape[1] * shrink)), max(1, round(photo.shape[0] * shrink)))
        photo = cv2.resize(photo, shape, interpolation=cv2.INTER_AREA)
        matrix = similarity((np.asarray(points) + 0.5) * shrink - 0.5, wanted)
    smooth = cv2.INTER_CUBIC if shrink > 2 else cv2.INTER_LINEAR  # bilinear sampling blurs a face that is enlarged
    return cv2.warpAffine(photo, matrix, (size, size), flags=smooth)
