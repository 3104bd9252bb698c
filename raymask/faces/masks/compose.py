"""Laying the drawn mask into the photo: the camera's blur and grain, the soft edge, the shadow at its rim."""

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from raymask.faces.masks.fit import Fit
from raymask.faces.masks.light import FaceLight
from raymask.faces.masks.looks import Wear
from raymask.faces.masks.render import FROM_ABOVE

Image = NDArray[np.float32]

_DRAWN_BLUR = 0.45  # of the layer itself, from antialiasing, in pixels
_SEEN = 1.5 / 255  # the least cover that changes a pixel
_SKIRT = 5 / 255  # cover that counts as none
_SHADOW = 0.42  # how much light the shadow takes where it is deepest
_TILE = 256
_WIDEST = 8.0  # blur of a shrunk window that leaves nothing to see


def as_photographed(layer: Image, light: FaceLight) -> Image:
    """The layer (h, w, 4), blurred as the face around it is."""
    extra = math.sqrt(max((0.85 * light.blur) ** 2 - _DRAWN_BLUR**2, 0.0))
    return _blurred(layer, extra) if extra > 0.25 else layer


def compose(
    photo: NDArray[np.uint8], layer: Image, fit: Fit, wear: Wear, light: FaceLight
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Lays the layer (h, w, 4) and its shadow over the window (h, w, 3) of the photo.

    Returns the result; its map (h, w), 255 where layer or shadow change a pixel; how opaque the layer is (h, w).
    """
    red, green, blue, blurred = cv2.split(layer)
    # The blur's faint outer skirt would widen the map by pixels nobody sees changed: cover starts above it.
    cover = np.maximum(blurred - np.float32(_SKIRT), np.float32(0)) * np.float32(1 / (1 - _SKIRT))
    kept = cover / np.maximum(blurred, np.float32(_SKIRT))
    bare = 1.0 - cover
    shadow = _shadow(cover, fit, light) * bare
    seen = (cover > _SEEN) | (shadow > 2 * _SEEN)
    bare *= 1.0 - shadow
    grain = _grain(cover.shape, wear.grain_seed) * cover * np.float32(light.grain) + np.float32(0.5)
    planes = []
    for plane, under in zip((red, green, blue), cv2.split(photo), strict=True):
        drawn = plane * kept * np.float32(255) + grain
        drawn += under * bare
        planes.append(np.where(seen, np.clip(drawn, 0, 255).astype(np.uint8), under))
    opaque = np.where(seen, np.clip(cover * np.float32(255), 0, 255), 0).astype(np.uint8)
    return cv2.merge(planes), seen.astype(np.uint8) * np.uint8(255), opaque


def _shadow(cover: Image, fit: Fit, light: FaceLight) -> Image:
    """The mask's shadow (h, w), 0..1: a narrow rim away from the light, below the mask if there is no gradient."""
    away = -(light.gradient + fit.rotation[:2, :2] @ FROM_ABOVE)
    x, y = away / max(float(np.linalg.norm(away)), 0.4) * 0.012 * fit.scale
    soft = _blurred(cover, max(0.6, 0.014 * fit.scale))
    soft = cv2.warpAffine(soft, np.array([[1, 0, x], [0, 1, y]]), cover.shape[::-1])
    return np.maximum(soft * np.float32(1.15 * _SHADOW) - np.float32(0.15 * _SHADOW), np.float32(0))


def _blurred(image: Image, sigma: float) -> Image:
    """Gaussian blur of `sigma` pixels; a wide one is made on a smaller copy, whose pixels it could not tell apart."""
    size = image.shape[1::-1]
    shrink = min(int(sigma / 2), min(size))
    if shrink < 2:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    small = cv2.resize(image, (size[0] // shrink, size[1] // shrink), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), min(sigma / shrink, _WIDEST))
    return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)


@lru_cache(maxsize=1)
def _grain_tile() -> Image:
    """Photo grain of deviation 1, (256, 256): noise, a little smoothed as JPEG does."""
    noise = np.random.default_rng(7).standard_normal((_TILE, _TILE)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.6)
    return noise / noise.std()


def _grain(shape: tuple[int, ...], seed: int) -> Image:
    """Grain of deviation 1 for a window of `shape`."""
    rows = (np.arange(shape[0]) + seed) % _TILE
    columns = (np.arange(shape[1]) + seed // _TILE) % _TILE
    return _grain_tile()[rows[:, None], columns]
