"""Photos turned about their middles, and the way between the pixels of both."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """From pixels of a photo to those of the turned one."""

    matrix: np.ndarray
    """(2, 3) float64: a rotation and a shift."""

    def there(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) points of the photo as points of the turned one, float32."""
        return (points @ self.matrix[:, :2].T + self.matrix[:, 2]).astype(np.float32)

    def back(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) points of the turned photo as points of the photo, float32."""
        return ((points - self.matrix[:, 2]) @ self.matrix[:, :2]).astype(np.float32)

    def box(self, box: np.ndarray) -> np.ndarray:
        """(4,) box of the photo as one of the turned photo: around the ellipse that fills it."""
        return self._around(self.there((box[:2] + box[2:]) / 2), box)

    def box_back(self, box: np.ndarray) -> np.ndarray:
        """(4,) box of the turned photo as one of the photo: around the ellipse that fills it."""
        return self._around(self.back((box[:2] + box[2:]) / 2), box)

    def _around(self, middle: np.ndarray, box: np.ndarray) -> np.ndarray:
        halves = np.sqrt(self.matrix[:, :2] ** 2 @ ((box[2:] - box[:2]) / 2) ** 2)
        return np.concatenate([middle - halves, middle + halves]).astype(np.float32)


def roll_of(points: np.ndarray) -> float:
    """Degrees clockwise by which (5, 2) points of a face are tilted: the line between the eyes, -180 to 180."""
    across, down = points[1] - points[0]
    return float(np.degrees(np.arctan2(down, across)))


def turned(photo: np.ndarray, degrees: float, *, grown: bool = True) -> tuple[np.ndarray, Turn]:
    """The photo, (H, W, 3) uint8, turned against the clock until what was tilted clockwise by `degrees` is upright.

    Args:
        photo: (H, W, 3) uint8.
        degrees: any number.
        grown: the turned photo is larger, so that all of it is seen, black around; else it keeps its size.
    """
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    size = width, height
    if grown:
        cosine, sine = np.abs(matrix[0, :2])
        size = round(width * cosine + height * sine), round(width * sine + height * cosine)
        matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cv2.warpAffine(photo, matrix, size), Turn(matrix=matrix)
