"""Faces turned upright and scaled by their five points, as ArcFace's family of networks sees them."""

from __future__ import annotations

import numpy as np

ARCFACE_SIZE = 112
"""Pixels on each side of an aligned face."""

ARCFACE_POINTS = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
"""(5, 2) pixels where the eyes, nose tip and mouth corners lie in an aligned face."""


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


def align(photo: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The face with these five points, (5, 2) pixels of `photo`, as (112, 112, 3) uint8; black outside the photo."""
    import cv2

    matrix = similarity(points, ARCFACE_POINTS)
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0])) * 2
    if shrink < 1:  # bilinear sampling alone would skip pixels of a large face
        size = (max(1, round(photo.shape[1] * shrink)), max(1, round(photo.shape[0] * shrink)))
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        matrix = similarity(points * shrink, ARCFACE_POINTS)
    return cv2.warpAffine(photo, matrix, (ARCFACE_SIZE, ARCFACE_SIZE), flags=cv2.INTER_LINEAR)
