"""The square crop that networks see (paper §3.1): the detector's box, enlarged, never squeezed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CROP_SIZE = 224
"""Pixels on each side of a crop (§3.1)."""

CROP_SCALE = 1.2
"""Side of the square over the box's longer side: the expansion by 0.2 of §3.1."""


@dataclass(frozen=True, kw_only=True)
class Square:
    """A square of a photo, in whole pixels; it may reach over the photo's border."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, box: np.ndarray) -> Square:
        """The square around the centre of `box` ((4,) left, top, right, bottom), CROP_SCALE times its longer side."""
        width, height = box[2:] - box[:2]
        side = max(1, round(CROP_SCALE * float(max(width, height))))
        centre = (box[:2] + box[2:]) / 2
        return cls(left=round(float(centre[0]) - side / 2), top=round(float(centre[1]) - side / 2), side=side)

    def cut(self, image: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
        """The square as (size, size) or (size, size, 3) uint8; what lies outside the photo is its reflection."""
        import cv2

        height, width = image.shape[:2]
        right, bottom = self.left + self.side, self.top + self.side
        inside = image[max(self.top, 0) : max(bottom, 0), max(self.left, 0) : max(right, 0)]
        if inside.shape[:2] != (self.side, self.side):
            # Mirrored by index, since a square may reach further out than one reflection is deep.
            rows = _reflected(np.arange(self.top, bottom), height)
            columns = _reflected(np.arange(self.left, right), width)
            inside = image[rows[:, None], columns[None, :]]
        shrinks = self.side > size
        return cv2.resize(inside, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)

    def cut_map(self, mask_map: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
        """The square of a mask map, (size, size) uint8 of 0 and 255: a crop pixel is covered if most of it is."""
        return np.where(self.cut(mask_map, size) > 127, 255, 0).astype(np.uint8)

    def put_back(self, photo: np.ndarray, crop: np.ndarray, covered: np.ndarray) -> np.ndarray:
        """A copy of the photo whose covered pixels within the square are the crop's; all others stay as they are.

        Args:
            photo: (H, W, 3) uint8 that the crop was cut from.
            crop: (C, C, 3) uint8.
            covered: (C, C) uint8 map of the crop, 255 where its pixels are wanted.
        """
        import cv2

        size = (self.side, self.side)
        pixels = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if self.side < len(crop) else cv2.INTER_CUBIC)
        wanted = cv2.resize(covered, size, interpolation=cv2.INTER_LINEAR) > 127
        result = photo.copy()
        height, width = photo.shape[:2]
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.side, height), min(self.left + self.side, width)
        if bottom <= top or right <= left:
            return result
        window = np.s_[top - self.top : bottom - self.top, left - self.left : right - self.left]
        inside = result[top:bottom, left:right]
        inside[wanted[window]] = pixels[window][wanted[window]]
        return result

    def to_crop(self, points: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
        """(N, 2) points in pixels of the photo to pixels of the crop, float32."""
        scale = size / self.side
        moved = (points - np.array([self.left, self.top]) + 0.5) * scale - 0.5
        return moved.astype(np.float32)


def resize_crop(crop: np.ndarray, size: int) -> np.ndarray:
    """(S, S, 3) uint8 to (size, size, 3), as networks see it in training and in use alike."""
    import cv2

    if crop.shape[0] == size:
        return crop
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if crop.shape[0] > size else cv2.INTER_CUBIC)


def _reflected(index: np.ndarray, length: int) -> np.ndarray:
    """Indices mirrored into [0, length), edge pixels not repeated."""
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    folded = np.mod(index, period)
    return np.minimum(folded, period - folded)
