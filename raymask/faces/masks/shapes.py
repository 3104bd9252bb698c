"""Each kind of mask as a flat pattern: its outline, folds, seams and straps, drawn once for each size.

A hand over the mouth is drawn the same way: as limbs, each a line with a thickness.
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import cv2
import numpy as np
from cachetools import LRUCache, cached
from numpy.typing import NDArray

Array = NDArray[np.floating]

# The pattern's rectangle (X in radians around the head, Y in half face widths), in which everything is drawn.
LEFT, RIGHT, TOP, BOTTOM = -1.30, 1.30, 0.05, 2.05

# One half of each outline from the nose bridge over the cheek to under the chin; the other half is its mirror image.
_OUTLINES = {
    "surgical": [
        (0.00, 0.235), (0.12, 0.25), (0.26, 0.33), (0.50, 0.43), (0.80, 0.47), (1.07, 0.48),
        (1.09, 0.52), (1.09, 0.80), (1.08, 1.12), (1.06, 1.20), (0.93, 1.45), (0.64, 1.72), (0.32, 1.84), (0.00, 1.87),
    ],
    "n95": [
        (0.00, 0.20), (0.13, 0.22), (0.28, 0.31), (0.50, 0.42), (0.75, 0.54), (0.95, 0.72),
        (1.04, 0.95), (1.00, 1.18), (0.86, 1.42), (0.62, 1.66), (0.32, 1.81), (0.00, 1.86),
    ],
    "kn95": [
        (0.00, 0.21), (0.14, 0.25), (0.34, 0.36), (0.62, 0.48), (0.92, 0.60), (1.08, 0.70), (1.13, 0.80),
        (1.12, 0.96), (1.05, 1.14), (0.88, 1.40), (0.60, 1.67), (0.30, 1.82), (0.00, 1.88),
    ],
    "cloth": [
        (0.00, 0.22), (0.13, 0.25), (0.30, 0.36), (0.55, 0.44), (0.85, 0.50), (1.06, 0.54),
        (1.09, 0.57), (1.10, 0.80), (1.07, 1.12), (1.03, 1.18), (0.87, 1.44), (0.59, 1.70), (0.30, 1.82), (0.00, 1.85),
    ],
    "sponge": [
        (0.00, 0.26), (0.12, 0.28), (0.28, 0.38), (0.52, 0.47), (0.80, 0.52), (1.02, 0.55), (1.10, 0.57),
        (1.10, 0.72), (1.06, 0.92), (1.04, 1.04), (0.90, 1.34), (0.62, 1.62), (0.32, 1.76), (0.00, 1.80),
    ],
    "respirator": [
        (0.00, 0.20), (0.12, 0.23), (0.24, 0.36), (0.38, 0.56), (0.50, 0.80), (0.58, 1.00),
        (0.64, 1.25), (0.62, 1.46), (0.50, 1.66), (0.28, 1.80), (0.00, 1.85),
    ],
}  # fmt: skip
_OUTLINES["n95valve"] = [(x, y if y < 1 else 1 + 1.04 * (y - 1)) for x, y in _OUTLINES["n95"]]

_KEPT = 192 * 2**20
"""Bytes of drawn patterns: all of them for faces of up to 570 pixels across, or a dozen of larger ones."""

Limb = tuple[float, float, float, float, float]  # from X, Y to X, Y, and half its width

FILTERS = (0.64, 1.20)  # X and Y of the middles of a respirator's filters, one on each side
_FILTER_SIDE = 0.33
_VALVE = (0.0, 1.04, 0.20)  # X, Y and half the width of an N95's valve

_HAND: list[Limb] = [
    (0.30, 1.06, 0.60, 1.46, 0.33),  # palm, and its heel
    (0.52, 1.34, 0.86, 1.84, 0.31),
    (0.26, 0.84, -0.58, 0.64, 0.105),  # fingers
    (0.20, 1.04, -0.76, 0.86, 0.108),
    (0.16, 1.24, -0.72, 1.08, 0.102),
    (0.16, 1.42, -0.54, 1.30, 0.088),
    (0.56, 1.16, 0.84, 0.62, 0.112),  # thumb
]
_LIMBS: dict[str, list[Limb]] = {
    "hand": _HAND,
    "respirator": [(sign * FILTERS[0], FILTERS[1], sign * FILTERS[0], FILTERS[1], _FILTER_SIDE) for sign in (-1, 1)],
}
"""What a kind has beside its outline."""


@dataclass(frozen=True)
class Strap:
    """A band from the mask's edge over the head, as pattern points (n, 2); it is drawn where it faces the camera."""

    path: NDArray[np.float64]
    width: float  # in half face widths


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


@lru_cache(maxsize=16)
def outline(kind: str) -> NDArray[np.float64]:
    """The closed outline (n, 2) of `kind` in the pattern: a smooth curve through its control points."""
    half = np.array(_OUTLINES[kind])
    whole = np.concatenate([half, (half * [-1, 1])[-2:0:-1]])
    # Catmull-Rom spline with eight points a piece
    t = np.arange(8)[:, None] / 8
    pieces = []
    for k in range(len(whole)):
        a, b, c, d = (whole[(k + j) % len(whole)] for j in (-1, 0, 1, 2))
        pieces.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate(pieces)


@lru_cache(maxsize=32)
def _edge_distance(kind: str, ppu: int) -> Array:
    """Signed distance to the edge in units, positive inside."""
    within = [half - distance for distance, _, half in _limbs(kind, *plane(ppu))]
    if kind in _OUTLINES:
        within.append(_outline_distance(kind, ppu))
    return np.maximum.reduce(within)


def _limbs(kind: str, x: Array, y: Array) -> list[tuple[Array, Array, float]]:
    """Of each limb the distances to its line, how far along it they lie, 0 to 1, and half its width."""
    found: list[tuple[Array, Array, float]] = []
    for x0, y0, x1, y1, half in _LIMBS.get(kind, []):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
        found.append((np.hypot(x - x0 - along * dx, y - y0 - along * dy), along, half))
    return found


def _outline_distance(kind: str, ppu: int) -> Array:
    fine = 3
    x, _ = plane(ppu)
    inside = np.zeros((x.shape[0] * fine, x.shape[1] * fine), np.uint8)
    corners = (outline(kind) - [LEFT, TOP]) * ppu * fine - 0.5
    cv2.fillPoly(inside, [np.round(corners).astype(np.int32)], 1)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    without = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    signed = (within - without) / np.float32(ppu * fine)
    return cv2.resize(signed, (x.shape[1], x.shape[0]), interpolation=cv2.INTER_AREA)


def _rows(kind: str, x: Array, y: Array) -> tuple[Array, Array]:
    """For each pixel its relative height 0 (top edge) to 1 (bottom edge), and the mask's height there in units."""
    points = outline(kind)
    half = len(points) // 2  # the curve runs nose -> right -> chin -> left
    corner = int(np.argmax(points[: half + 1, 0]))
    upper, lower = points[: corner + 1], points[corner : half + 1][::-1]
    across = np.abs(x[0])
    top = np.interp(across, np.maximum.accumulate(upper[:, 0]), upper[:, 1])
    bottom = np.interp(across, np.maximum.accumulate(lower[:, 0]), lower[:, 1])
    tall = np.maximum(bottom - top, 0.05).astype(np.float32)
    return (y - top.astype(np.float32)) / tall, np.broadcast_to(tall, x.shape)


def _line(distance: Array, width: float, pixel: float) -> Array:
    """1 on a line, falling off over about `width` units, never thinner than the pixels can show."""
    return np.exp(-((distance / max(width, 0.8 * pixel)) ** 2))


def _stitches(distance: Array, along: Array, pixel: float) -> Array:
    """A dashed thread line at `distance` 0."""
    dashes = np.clip(np.sin(along * 130.0) * 2.5 + 1.2, 0, 1)
    return _line(distance, 0.008, pixel) * dashes


_SOFTNESS = {
    "surgical": 1.0, "n95": 0.15, "kn95": 0.35, "cloth": 1.2,
    "n95valve": 0.15, "sponge": 0.3, "respirator": 0.0, "hand": 0.0,
}  # fmt: skip
"""How deep a kind's wrinkles are."""


def _wrinkles(kind: str, creases: int, x: Array, y: Array) -> Array:
    """Relief of soft folds: a few pulled from the straps' corners towards the middle, over gentle dents."""
    rng = np.random.default_rng([creases, zlib.crc32(kind.encode())])
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
    return _SOFTNESS[kind] * relief


def _surgical(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """Three pleats that open towards the middle, hems along top and sides, a bent wire at the nose."""
    v, tall = _rows("surgical", x, y)
    relief, shade = np.zeros_like(x), np.ones_like(x)
    for k, at in enumerate((0.26, 0.46, 0.66)):
        opened = 0.045 * (k - 0.6) * np.cos(np.clip(x, -1.1, 1.1) * 1.4)  # the chin pulls the pleats apart
        below = (v - at - opened) * tall
        step = 1.0 / (1.0 + np.exp(-np.clip(below / max(0.010, pixel), -20, 20)))
        relief -= 0.022 * step * np.exp(-np.clip(below, 0, None) / 0.10)
        shade -= 0.20 * _line(np.minimum(below, 0) + np.maximum(below, 0) / 3.5, 0.012, pixel)
    relief += 0.012 * _line(v * tall - 0.07, 0.022, pixel) * (np.abs(x) < 0.42)
    shade -= 0.10 * _line(v * tall - 0.115, 0.007, pixel)
    shade -= 0.08 * _line((1 - v) * tall - 0.06, 0.007, pixel)
    weld = _line(np.abs(np.abs(x) - 1.03), 0.012, pixel)
    shade -= 0.12 * weld * np.clip(np.sin(y * 110.0) + 0.4, 0, 1)
    return relief, shade, None


def _n95(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array]:
    """A flat welded rim around the cup, an embossed band, and a metal clip over the nose."""
    v, tall = _rows("n95", x, y)
    cup = 1.0 / (1.0 + np.exp(-np.clip((edge - 0.085) / 0.018, -20, 20)))
    relief = 0.035 * cup + 0.012 * _line(edge - 0.26, 0.03, pixel)
    shade = 1.0 - 0.16 * _line(edge - 0.075, 0.012, pixel)
    across = np.sin(np.arctan2(y - 1.0, x) * 70.0)
    shade -= 0.07 * _line(edge - 0.035, 0.014, pixel) * np.clip(across + 0.3, 0, 1)
    clip = (v * tall - 0.105) / 0.028
    metal = np.clip((1.15 - np.abs(clip)) / 0.3, 0, 1) * np.clip((0.40 - np.abs(x)) / 0.02, 0, 1)
    relief += 0.012 * metal
    return relief, shade, metal.astype(np.float32)


def _kn95(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """Two halves welded along the middle fold, welded edges, and a crease on each side where it was folded flat."""
    v, tall = _rows("kn95", x, y)
    relief = 0.016 * _line(x, 0.022, pixel) - 0.01 * _line(np.abs(x) - 0.055, 0.02, pixel)
    shade = 1.0 - 0.10 * _line(np.abs(x) - 0.035, 0.008, pixel)
    spots = np.clip(np.sin((x + y) * 90.0) + 0.2, 0, 1)
    shade -= 0.13 * _line(edge - 0.04, 0.016, pixel) * spots
    crease = np.abs(x) - (0.62 + 0.22 * np.clip(y - 1.0, -1, 1))
    relief += 0.012 / (1.0 + np.exp(np.clip(crease / max(0.012, pixel), -20, 20)))
    shade -= 0.09 * _line(crease, 0.010, pixel)
    relief += 0.012 * _line(v * tall - 0.115, 0.03, pixel) * np.clip((0.42 - np.abs(x)) / 0.05, 0, 1)
    return relief, shade, None


def _cloth(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """Two panels sewn along a middle seam, with stitched hems and a channel for the ear loop at each side."""
    relief = 0.014 * (1.0 - _line(x, 0.014, pixel)) - 0.010 * _line(edge - 0.065, 0.012, pixel)
    shade = 1.0 - 0.26 * _line(x, 0.008, pixel)
    turn = np.where(np.abs(x) > 0.95, y, x)  # along the hem
    shade -= 0.20 * _stitches(edge - 0.055, turn, pixel)
    shade -= 0.14 * _stitches(np.abs(x) - 0.045, y, pixel) * (edge > 0.08)
    channel = np.abs(x) - 0.97
    relief -= 0.010 * _line(channel, 0.014, pixel)
    shade -= 0.14 * _line(channel, 0.010, pixel) * (edge > 0)
    return relief, shade, None


def _n95valve(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """An N95 with a round valve of plastic in the middle: a rim, and slots to breathe out through."""
    relief, shade, metal = _n95(x, y, edge, pixel)
    centre_x, centre_y, half = _VALVE
    away = np.hypot(x - centre_x, (y - centre_y) * 1.12)
    inside = np.clip((half - away) / (0.01 + pixel) + 0.5, 0, 1)
    relief = relief + 0.05 / (1.0 + np.exp(np.clip((away - half) / max(0.012, pixel), -20, 20)))
    relief = relief - 0.02 * _line(away - 0.78 * half, 0.012, pixel)
    slots = np.clip(np.sin((y - centre_y) * 95.0) - 0.35, 0, 1) * (away < 0.66 * half)
    shade = shade - 0.16 * _line(away - half, 0.016, pixel) - 0.34 * slots
    return relief, shade, np.maximum(metal, 0.55 * inside).astype(np.float32)


def _sponge(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """One piece of foam, moulded over a ridge along its middle, its cut edge a little thick."""
    relief = 0.022 * np.exp(-np.abs(x) / 0.05) - 0.008 * _line(edge - 0.02, 0.018, pixel)
    shade = 1.0 - 0.10 * _line(x, 0.010, pixel) - 0.06 * _line(edge - 0.012, 0.012, pixel)
    return relief, shade, None


def _respirator(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """A moulded half mask: a round valve before the mouth, ribs to the nose, a filter on each side."""
    away = np.hypot(np.abs(x) - FILTERS[0], y - FILTERS[1])
    relief = 0.09 / (1.0 + np.exp(np.clip((away - 0.95 * _FILTER_SIDE) / max(0.018, pixel), -20, 20)))
    shade = 1.0 - 0.30 * _line(away - _FILTER_SIDE, 0.02, pixel) - 0.16 * _line(away - 0.25, 0.012, pixel)
    body = away > _FILTER_SIDE
    front = np.hypot(x, y - 1.22)
    relief = relief + body * 0.05 / (1.0 + np.exp(np.clip((front - 0.22) / max(0.014, pixel), -20, 20)))
    shade = shade - body * (0.24 * _line(front - 0.225, 0.016, pixel) + 0.14 * _line(front - 0.13, 0.012, pixel))
    relief = relief + body * 0.03 * np.exp(-((x / 0.10) ** 2)) * np.clip((0.95 - y) / 0.2, 0, 1)
    shade = shade - body * 0.10 * _line(edge - 0.07, 0.016, pixel)
    return relief, shade, None


def _hand(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """Fingers, round and side by side, with creases at their joints; the back of the hand."""
    heights, creases = [], np.zeros_like(x)
    for number, (away, along, half) in enumerate(_limbs("hand", x, y)):
        heights.append(np.clip(half - away**2 / half, 0, None) * (1.0 if number > 1 else 0.4))
        if number > 1:
            across = np.exp(-((away / (0.75 * half)) ** 4))
            length = float(np.hypot(*np.subtract(_HAND[number][2:4], _HAND[number][:2])))
            for joint in (0.36, 0.68):
                creases += 0.12 * across * _line((along - joint) * length, 0.012, pixel)
            creases -= 0.10 * np.exp(-((np.hypot((along - 1.0) * length, 0.8 * away) / 0.06) ** 4))  # a nail
    relief = np.maximum.reduce(heights)
    between = np.exp(-relief / 0.03) * np.clip((edge - 0.02) / 0.04, 0, 1)
    return 0.4 * relief, 1.04 - creases - 0.4 * between, None


_DETAILS = {
    "surgical": _surgical,
    "n95": _n95,
    "kn95": _kn95,
    "cloth": _cloth,
    "n95valve": _n95valve,
    "sponge": _sponge,
    "respirator": _respirator,
    "hand": _hand,
}


@cached(LRUCache(_KEPT, getsizeof=lambda drawn: drawn.nbytes), lock=Lock())
def pattern(kind: str, creases: int, ppu: int) -> Pattern:
    """The flat drawing of `kind` with wrinkles number `creases`, at `ppu` pixels for half a face."""
    x, y = plane(ppu)
    pixel = 1.0 / ppu
    edge = _edge_distance(kind, ppu)
    relief, shade, metal = _DETAILS[kind](x, y, edge, pixel)
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


def _band(*points: tuple[float, float]) -> NDArray[np.float64]:
    """A smooth path through pattern points, on the right side of the head."""
    knots = np.array(points)
    t, fine = np.linspace(0, 1, len(knots)), np.linspace(0, 1, 17)
    curve = np.stack([np.interp(fine, t, knots[:, k]) for k in (0, 1)], axis=1)
    curve[1:-1] = (curve[:-2] + 2 * curve[1:-1] + curve[2:]) / 4
    return curve


_LOOPS = {"surgical": (0.54, 1.12, 0.034), "kn95": (0.76, 1.02, 0.048), "cloth": (0.62, 1.10, 0.042)}
_LOOPS["sponge"] = (0.66, 0.94, 0.13)
"""Heights at which a kind's ear loops begin, and their width."""


@lru_cache(maxsize=16)
def straps(kind: str) -> tuple[Strap, ...]:
    """The bands of `kind` on both sides: ear loops that end at the ear, or two bands around the head; a hand's arm."""
    if kind == "hand":
        return (Strap(_band((0.64, 1.44), (0.86, 1.86), (1.00, 2.5), (1.08, 3.2), (1.14, 4.2)), 0.60),)
    if kind in ("n95", "n95valve"):
        right = [
            Strap(_band((0.80, 0.74), (1.10, 0.36), (1.45, -0.06), (1.80, -0.40), (2.20, -0.70)), 0.065),
            Strap(_band((0.84, 1.22), (1.05, 1.12), (1.25, 1.01), (1.45, 0.90)), 0.065),
        ]
    elif kind == "respirator":
        right = [
            Strap(_band((0.40, 0.66), (0.85, 0.42), (1.35, 0.02), (1.80, -0.40), (2.20, -0.70)), 0.085),
            Strap(_band((0.80, 1.36), (1.05, 1.24), (1.25, 1.12), (1.45, 1.00)), 0.085),
        ]
    else:
        high, low, width = _LOOPS[kind]
        right = [
            Strap(_band((1.00, high), (1.20, high - 0.16), (1.40, high - 0.32), (1.54, 0.10)), width),
            Strap(_band((1.00, low), (1.20, low - 0.08), (1.38, low - 0.24), (1.52, 0.52)), width),
        ]
    return tuple(Strap(side.path * [sign, 1], side.width) for sign in (1, -1) for side in right)
