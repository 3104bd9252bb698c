"""Carrying the flat pattern into the photo: which point of the pattern each pixel shows."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SUBPIXEL = 4  # bits
_NOWHERE = -1e4


def pattern_maps(
    vertices: Floats, depths: Floats, sources: Floats, triangles: NDArray[np.int64], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draws a mesh and tells for each pixel which source point it shows.

    vertices (n, 2) pixels of the drawing and depths (n,), larger nearer; sources (n, 2) pixels of the pattern;
    triangles (t, 3), clockwise where they face the camera; size (width, height) of the drawing.
    Returns source x and y, two (height, width) float32 maps, far outside the pattern where no triangle lies.
    """
    corners = vertices[triangles]  # (t, 3, 2)
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    seen = np.flatnonzero(area > 0.02)
    seen = seen[np.argsort(depths[triangles[seen]].mean(axis=1), kind="stable")]  # far ones first, near ones over them
    ids = np.zeros((size[1], size[0]), np.int32)
    polygons = np.round(corners[seen] * (1 << _SUBPIXEL)).astype(np.int32)
    for number, polygon in enumerate(polygons, start=1):
        cv2.fillConvexPoly(ids, polygon, number, cv2.LINE_8, _SUBPIXEL)
    table = np.zeros((len(seen) + 1, 6), np.float32)
    table[0, [2, 5]] = _NOWHERE
    table[1:] = _affine(corners[seen], sources[triangles[seen]], area[seen])
    terms = cv2.split(table.take(ids.ravel(), axis=0).reshape(size[1], size[0], 6))
    x, y = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)[:, None]
    return terms[0] * x + terms[1] * y + terms[2], terms[3] * x + terms[4] * y + terms[5]


def _affine(corners: Floats, sources: Floats, area: Floats) -> Floats:
    """(t, 6) coefficients of the affine map from each triangle's corners (t, 3, 2) to its sources (t, 3, 2)."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p, q = sources[:, 1] - sources[:, 0], sources[:, 2] - sources[:, 0]
    dx = (p * b[:, 1:] - q * a[:, 1:]) / area[:, None]
    dy = (q * a[:, :1] - p * b[:, :1]) / area[:, None]
    start = sources[:, 0] - dx * corners[:, 0, :1] - dy * corners[:, 0, 1:]
    return np.stack([dx[:, 0], dy[:, 0], start[:, 0], dx[:, 1], dy[:, 1], start[:, 1]], axis=1)
