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

DLIB_POINTS = np.array([(47.1, 46.3), (99.9, 46.3), (73.5, 74.9), (49.7, 103.7), (97.3, 103.7)])
"""(5, 2) pixels where the points of `five_points` lie in dlib's chips on average: of 1,500 photos of LFW."""


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """(..., 68, 2) iBUG points to (..., 5, 2): eyes, nose tip and mouth corners, left in the picture first.

    They stand for a detector's five points; mirrored faces are told by their eyes and put in order.
    """
    eyes = landmarks[..., 36:42, :].mean(-2), landmarks[..., 42:48, :].mean(-2)
    points = np.stack([*eyes, landmarks[..., 30, :], landmarks[..., 48, :], landmarks[..., 54, :]], axis=-2)
    mirrored = points[..., 0, 0] > points[..., 1, 0]
    return np.where(mirrored[..., None, None], points[..., [1, 0, 2, 4, 3], :], points)


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
        matrix = similarity(points * shrink, wanted)
    return cv2.warpAffine(photo, matrix, (size, size), flags=cv2.INTER_LINEAR)
