"""Plain ways to fill a hole, which an inpainter must beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

_TELEA_REACH = 5
"""Pixels around the hole that Telea's method looks at."""


def mean_colour(crop: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole in the mean colour of what lies outside it; (C, C, 3) uint8 and (C, C) bool to (C, C, 3) uint8."""
    filled = crop.copy()
    if not hole.all():
        filled[hole] = crop[~hole].mean(0).round().astype(np.uint8)
    return filled


def telea(crop: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """OpenCV's fast marching (Telea 2004)."""
    return cv2.inpaint(crop, hole.astype(np.uint8), _TELEA_REACH, cv2.INPAINT_TELEA)


def nothing(crop: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The masked photo as it is."""
    return crop.copy()


MASKED_PHOTO = "masked photo"

FILLERS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    MASKED_PHOTO: nothing,
    "mean colour": mean_colour,
    "Telea": telea,
}
"""By the name that tables give them."""
