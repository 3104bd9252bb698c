"""A user's own pictures as fabrics: what the look `cloth:own` is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from raymask.errors import ConfigError
from raymask.faces.masks.kinds.cloth import CLOTH
from raymask.faces.masks.kinds.mask_kind import Rgb
from raymask.faces.masks.pick import pick

_FINEST = 200
"""Pixels for half a face that a picture is kept in: enough for faces of up to 570 pixels across."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One of them, cut to the proportions of a cloth mask and shrunk to what a photo can show of it."""

    name: str
    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, read-only."""
    mean: Rgb
    """The colour of the mask's straps."""

    @classmethod
    def of(cls, name: str, pixels: NDArray[np.uint8]) -> Picture:
        """From a picture (H, W, 3) uint8 RGB of any size. Raises ConfigError for another array."""
        import cv2

        if not isinstance(pixels, np.ndarray) or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ConfigError(f"The texture {name!r} must be an array (H, W, 3) of uint8 RGB.")
        if not pixels.size:
            raise ConfigError(f"The texture {name!r} has no pixels.")
        left, top, right, bottom = _mask_box(_FINEST)
        cut = _middle(pixels, (right - left) / (bottom - top))
        if cut.shape[1] > right - left:
            cut = cv2.resize(cut, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        cut = cut.copy()
        cut.flags.writeable = False
        red, green, blue = (round(value) for value in cv2.mean(cut)[:3])
        return cls(name, cut, (red, green, blue))

    def tile(self, ppu: int) -> NDArray[np.uint8]:
        """The picture over `shapes.plane(ppu)`, (h, w, 3) uint8: on all of the mask, and mirrored beyond its edge."""
        import cv2

        from raymask.faces.masks.shapes import plane

        height, width = plane(ppu)[0].shape
        left, top, right, bottom = _mask_box(ppu)
        shrinks = self.pixels.shape[1] > right - left
        laid = cv2.resize(
            self.pixels, (right - left, bottom - top), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        )
        return cv2.copyMakeBorder(laid, top, height - bottom, left, width - right, cv2.BORDER_REFLECT_101)


class Textures:
    """Pictures by name; nothing in it ever changes."""

    def __init__(self, pictures: Iterable[Picture], *, digest: str = "") -> None:
        """Keep one picture or more, at most 0.5 MB each; the names decide which of them a seed draws.

        `digest`: SHA-256 of the files that they come from; empty: they come from none. Raises ConfigError if there are
        none.
        """
        self._pictures = {picture.name: picture for picture in pictures}
        self.names = tuple(sorted(self._pictures))
        self.digest = digest
        if not self.names:
            raise ConfigError("Textures must hold at least one picture.")

    @classmethod
    def of(cls, pictures: Mapping[str, NDArray[np.uint8]]) -> Textures:
        """From pictures (H, W, 3) uint8 RGB by name. Raises ConfigError if there are none, or for another array."""
        return cls(Picture.of(name, pixels) for name, pixels in pictures.items())

    def picked(self, key: str) -> Picture:
        """The picture that `key` draws, as `pick`."""
        return self._pictures[pick(key, self.names)]


@lru_cache(maxsize=16)
def _mask_box(ppu: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a cloth mask in `plane(ppu)`, whole pixels around all of it."""
    from raymask.faces.masks.shapes import LEFT, TOP

    edge = CLOTH.outline
    assert edge is not None
    (left, top), (right, bottom) = edge.min(axis=0), edge.max(axis=0)
    low = np.floor((np.array([left, top]) - [LEFT, TOP]) * ppu).astype(int)
    high = np.ceil((np.array([right, bottom]) - [LEFT, TOP]) * ppu).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _middle(pixels: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    """The largest part of `aspect`, width over height, around the picture's middle: it is never squeezed."""
    height, width = pixels.shape[:2]
    wide, tall = max(1, min(width, round(height * aspect))), max(1, min(height, round(width / aspect)))
    x, y = (width - wide) // 2, (height - tall) // 2
    return pixels[y : y + tall, x : x + wide]
