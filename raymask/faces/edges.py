"""Edges of a face, as EdgeConnect draws them (§3.1): Canny's, on the grey photo."""

from __future__ import annotations

import numpy as np
from skimage.feature import canny

SMOOTHED = 2.0
"""Pixels by which a photo is smoothed first, as published. Of small faces that leaves the outlines of face, nose and
mouth, which can be guessed; wrinkles cannot."""


def grey(photo: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB to (H, W) float32, 0 to 1."""
    return photo.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / np.float32(255)


def draw_edges(photo: np.ndarray, *, known: np.ndarray | None = None) -> np.ndarray:
    """Thin edges.

    Args:
        photo: (H, W, 3) uint8 RGB.
        known: (H, W) bool; edges are drawn there only, and the border of what is known is none. None: everywhere.

    Returns:
        (H, W) float32, 1 on an edge, 0 elsewhere.
    """
    return canny(grey(photo), sigma=SMOOTHED, mask=known).astype(np.float32)
