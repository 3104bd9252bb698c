"""Each kind of mask as a flat pattern: its edge, folds and seams, drawn once for each size."""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import cv2
import numpy as np
from cachetools import LRUCache, cached

from raymask.faces.masks.kinds.mask_kind import Array, Floats, MaskKind
from raymask.faces.masks.kinds.strokes import limb_distances

# The pattern's rectangle (X in radians around the head, Y in half face widths), in which everything is drawn.
LEFT, RIGHT, TOP, BOTTOM = -1.30, 1.30, 0.05, 2.05

_KEPT = 192 * 2**20
"""Bytes of drawn patterns: all of them for faces of up to 570 pixels across, or a dozen of larger ones."""


@dataclass(frozen=True)
class Pattern:
    """One kind of mask drawn flat over `plane(ppu)`: (h, w) float32 maps, read-only.

    `alpha` is 1 on the mask, with an antialiased edge. `slope_x` and `slope_y` are the relief's slopes (positive where
    it rises to the right, and downwards), for the light. `shade` is a factor on the brightness: creases, stitches and
    the rounded edge. `metal` is 1 on a bare nose clip, less on a valve of grey plastic; None where there is none.
    """

    alpha: Array
    slope_x: Array
    slope_y: Array
    shade: Array
    metal: Array | None

    @property
    def nbytes(self) -> int:
        """Of memory."""
        maps = (self.alpha, self.slope_x, self.slope_y, self.shade, self.metal)
        return sum(drawn.nbytes for drawn in maps if drawn is not None)


@lru_cache(maxsize=16)
def plane(ppu: int) -> tuple[Array, Array]:
    """X and Y of the pixel centres of the pattern's rectangle, two (h, w) float32 maps, `ppu` pixels a unit."""
    width, height = round((RIGHT - LEFT) * ppu), round((BOTTOM - TOP) * ppu)
    x, y = np.meshgrid((np.arange(width) + 0.5) / ppu + LEFT, (np.arange(height) + 0.5) / ppu + TOP)
    return x.astype(np.float32), y.astype(np.float32)


@lru_cache(maxsize=32)
def _edge_distance(kind: MaskKind, ppu: int) -> Array:
    """Signed distance to the edge in units, positive inside."""
    within = [half - distance for distance, _, half in limb_distances(kind.limbs, *plane(ppu))]
    if kind.outline is not None:
        within.append(_outline_distance(kind.outline, ppu))
    return np.maximum.reduce(within)


def _outline_distance(outline: Floats, ppu: int) -> Array:
    fine = 3
    x, _ = plane(ppu)
    inside = np.zeros((x.shape[0] * fine, x.shape[1] * fine), np.uint8)
    corners = (outline - [LEFT, TOP]) * ppu * fine - 0.5
    cv2.fillPoly(inside, [np.round(corners).astype(np.int32)], 1)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    without = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    signed = (within - without) / np.float32(ppu * fine)
    return cv2.resize(signed, (x.shape[1], x.shape[0]), interpolation=cv2.INTER_AREA)


def _wrinkles(kind: MaskKind, creases: int, x: Array, y: Array) -> Array:
    """Relief of soft folds: a few pulled from the straps' corners towards the middle, over gentle dents."""
    rng = np.random.default_rng([creases, zlib.crc32(kind.name.encode())])
    dents = cv2.resize(rng.standard_normal((9, 11), dtype=np.float32), x.shape[::-1], interpolation=cv2.INTER_CUBIC)
    relief = 0.010 * dents
    for side in (-1.0, 1.0):
        for start_y, aim_y in ((0.58, 0.95), (1.08, 0.95), (0.58, 0.75), (1.10, 1.35)):
            angle = np.arctan2(aim_y - start_y + rng.uniform(-0.15, 0.15), -side)
            dx, dy = x - side * 1.08, y - start_y
            along = dx * np.cos(angle) + dy * np.sin(angle)
            off = dy * np.cos(angle) - dx * np.sin(angle) + rng.uniform(-0.12, 0.12) * along**2
            reach = rng.uniform(0.3, 0.7)
            fade = np.clip(along / 0.1, 0, 1) * np.exp(-((along / reach) ** 2))
            relief += rng.uniform(0.008, 0.02) * fade * np.exp(-((off / rng.uniform(0.03, 0.05)) ** 2))
    return kind.softness * relief


@cached(LRUCache(_KEPT, getsizeof=lambda drawn: drawn.nbytes), lock=Lock())
def pattern(kind: MaskKind, creases: int, ppu: int) -> Pattern:
    """The flat drawing of `kind` with wrinkles number `creases`, at `ppu` pixels for half a face."""
    x, y = plane(ppu)
    pixel = 1.0 / ppu
    edge = _edge_distance(kind, ppu)
    relief, shade, metal = kind.detail(x, y, edge, pixel)
    rounding = max(0.018, pixel)
    relief = relief + _wrinkles(kind, creases, x, y) - 0.022 * np.exp(-np.clip(edge, 0, None) / rounding)
    shade = shade - 0.12 * np.exp(-np.clip(edge, 0, None) / rounding)
    drawn = Pattern(
        alpha=np.clip(edge / (0.012 + pixel) + 0.5, 0, 1).astype(np.float32),
        slope_x=cv2.Sobel(relief.astype(np.float32), cv2.CV_32F, 1, 0, ksize=3, scale=ppu / 8),
        slope_y=cv2.Sobel(relief.astype(np.float32), cv2.CV_32F, 0, 1, ksize=3, scale=ppu / 8),
        shade=shade.astype(np.float32),
        metal=metal,
    )
    for layer in (drawn.alpha, drawn.slope_x, drawn.slope_y, drawn.shade, drawn.metal):
        if layer is not None:
            layer.flags.writeable = False
    return drawn
