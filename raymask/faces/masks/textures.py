"""Fabrics drawn by code in the mask's flat pattern: where each palette colour lies, and how the threads shade."""

import math
import zlib
from collections.abc import Callable
from threading import Lock

import cv2
import numpy as np
from cachetools import LRUCache, cached
from numpy.typing import NDArray

from raymask.faces.masks.kinds.respirator import FILTERS
from raymask.faces.masks.shapes import plane

Array = NDArray[np.floating]
# (X, Y, rng, pixel size) -> first pattern colour's share, second's share, brightness factor; X and Y in half faces
Painter = Callable[[Array, Array, np.random.Generator, float], tuple[Array, Array, Array]]

_KEPT = 96 * 2**20
"""Bytes of painted fabrics: all of them for faces of up to 570 pixels across, or 40 of larger ones."""


def _step(distance: Array, pixel: float) -> Array:
    """1 where `distance` > 0, 0 where < 0, with an edge one pixel wide."""
    return np.clip(distance / pixel + 0.5, 0.0, 1.0)


def _wave(x: Array, period: float) -> Array:
    return np.sin(x * np.float32(2 * math.pi / period))


def _noise(shape: tuple[int, ...], rng: np.random.Generator, cells: int) -> Array:
    """Smooth noise of deviation about 1 with `cells` cells across: the same field at every resolution."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    size = (shape[1], shape[0])
    interpolation = cv2.INTER_CUBIC if cells < min(size) else cv2.INTER_AREA
    return cv2.resize(coarse, size, interpolation=interpolation)


def _weave(x: Array, y: Array, period: float, depth: float) -> Array:
    return 1.0 + depth * _wave(x, period) * _wave(y, period)


def _lattice(x: Array, y: Array, pitch: float) -> Array:
    """Distance to the nearest point of a staggered lattice whose rows are `pitch` apart."""
    row = np.round(y / pitch)
    shifted = x / pitch - 0.5 * (row % 2)
    return pitch * np.hypot(shifted - np.round(shifted), y / pitch - row)


def _none(x: Array) -> Array:
    return np.zeros_like(x)


def _spunbond(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    dots = np.exp(-((_lattice(x, y, 0.045) / 0.012) ** 2))
    fibres = _noise(x.shape, rng, 110)
    return 0.5 * dots, _none(x), 1.0 + 0.025 * fibres


def _crepe(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    ribs = _wave(y + 0.004 * _noise(x.shape, rng, 30), 0.032)
    return _none(x), _none(x), 1.0 + 0.04 * ribs + 0.015 * _noise(x.shape, rng, 90)


def _diamond(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    lines = np.maximum(np.abs(_wave(x + y, 0.14)), np.abs(_wave(x - y, 0.14)))
    return 0.8 * np.clip((lines - 0.9) * 10, 0, 1), _none(x), 1.0 + 0.02 * _noise(x.shape, rng, 100)


def _felt(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    return _none(x), _none(x), 1.0 + 0.022 * _noise(x.shape, rng, 120) + 0.015 * _noise(x.shape, rng, 40)


def _ribbed(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    bend = y + 0.12 * x * x
    return _none(x), _none(x), 1.0 + 0.06 * _wave(bend, 0.17) + 0.015 * _noise(x.shape, rng, 110)


def _honeycomb(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    rim = _step(_lattice(x, y, 0.1) - 0.045, 2 * pixel)
    return 0.7 * rim, _none(x), 1.0 + 0.02 * _noise(x.shape, rng, 110)


def _pressed(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    pits = np.exp(-((_lattice(x, y, 0.07) / 0.014) ** 2))
    return 0.6 * pits, _none(x), 1.0 + 0.02 * _noise(x.shape, rng, 100)


def _panel(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    sides = _step(np.abs(x) - 0.62 - 0.22 * (y - 1.0), pixel)
    return sides, _none(x), 1.0 + 0.018 * _noise(x.shape, rng, 110)


def _linen(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    slubs = 0.5 * _noise(x.shape, rng, 60)
    threads = 0.045 * _wave(x, 0.036) + 0.045 * _wave(y, 0.036)
    return np.clip(0.25 * slubs, 0, 1), np.clip(-0.3 * slubs, 0, 1), 1.0 + threads


def _plain(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    return _none(x), _none(x), _weave(x, y, 0.03, 0.05) + 0.015 * _noise(x.shape, rng, 80)


def _gingham(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    check = float(rng.uniform(0.06, 0.13))
    across = _step(_wave(x, 2 * check) * check / 3, pixel)
    down = _step(_wave(y, 2 * check) * check / 3, pixel)
    both = across * down
    return 0.55 * (across + down) - 1.1 * both, both, _weave(x, y, 0.03, 0.03)


def _stripes(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    angle = float(rng.choice(np.array([0.0, 0.5, 1.0]))) * math.pi / 2
    along = math.cos(angle) * x + math.sin(angle) * y
    pitch = float(rng.uniform(0.14, 0.26))
    wide = _step((_wave(along, pitch) - 0.2) * pitch / 6, pixel)
    thin = _step((-_wave(along, pitch) - 0.93) * pitch / 3, pixel)
    return wide, thin, _weave(x, y, 0.03, 0.035)


def _polka(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    pitch = float(rng.uniform(0.11, 0.2))
    return _step(0.3 * pitch - _lattice(x, y, pitch), pixel), _none(x), _weave(x, y, 0.03, 0.035)


def _scatter(rng: np.random.Generator, pitch: float) -> NDArray[np.float64]:
    """Points (n, 2) all over the pattern, about `pitch` apart."""
    columns, rows = np.meshgrid(np.arange(-1.5, 1.5, pitch), np.arange(-0.1, 2.2, pitch))
    columns[1::2] += pitch / 2
    points = np.stack([columns, rows], -1).reshape(-1, 2)
    return points + rng.uniform(-0.28, 0.28, points.shape) * pitch


def _floral(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    flowers, leaves = _none(x), _none(x)
    origin = np.array([x[0, 0], y[0, 0]])
    for centre in _scatter(rng, 0.27):
        size, turn = rng.uniform(0.045, 0.075), rng.uniform(0, math.tau)
        for k in range(5):
            angle = turn + k * math.tau / 5
            _blob(
                flowers, (centre + size * np.array([math.cos(angle), math.sin(angle)]) - origin) / pixel, size / pixel
            )
        leaf = centre + 2.3 * size * np.array([math.cos(turn), math.sin(turn)])
        _blob(leaves, (leaf - origin) / pixel, 0.9 * size / pixel, turn, 0.4)
        _blob(flowers, (centre - origin) / pixel, 0.5 * size / pixel, value=0.35)
    leaves *= 1.0 - np.minimum(flowers, 1.0)
    return flowers, leaves, _weave(x, y, 0.03, 0.03)


def _blob(
    canvas: Array, centre: NDArray[np.float64], radius: float, turn: float = 0.0, flat: float = 0.8, value: float = 1.0
) -> None:
    """Paints an ellipse of `value` onto `canvas`, antialiased by sixteenths of a pixel."""
    where = (round(float(centre[0]) * 16), round(float(centre[1]) * 16))
    axes = (max(round(radius * 16), 8), max(round(radius * flat * 16), 8))
    points = cv2.ellipse2Poly((0, 0), (axes[0], axes[1]), round(math.degrees(turn)), 0, 360, 30)
    cv2.fillConvexPoly(canvas, (points + np.array(where)).astype(np.int32), value, cv2.LINE_8, 4)


def _camouflage(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    first = _noise(x.shape, rng, 13) + 0.4 * _noise(x.shape, rng, 26)
    second = _noise(x.shape, rng, 12) + 0.4 * _noise(x.shape, rng, 24)
    dark = _step((second - 0.75) * 0.1, pixel)
    return _step((first - 0.1) * 0.1, pixel) * (1 - dark), dark, _weave(x, y, 0.028, 0.04)


def _denim(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    twill = _wave(x + y + 0.004 * _noise(x.shape, rng, 60), 0.034)
    wear = _noise(x.shape, rng, 9)
    return np.clip(0.4 * twill, 0, 1), np.clip(0.35 * wear, 0, 1), 1.0 + 0.07 * twill + 0.05 * _noise(x.shape, rng, 110)


def _heather(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    coarse = rng.standard_normal((110, 55), dtype=np.float32)
    flecks = cv2.resize(coarse, (x.shape[1], x.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip(flecks, 0, 1), np.clip(-1.2 * flecks, 0, 1), 1.0 + 0.09 * flecks


def _tartan(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    pitch = float(rng.uniform(0.3, 0.42))
    bands = [_step((_wave(axis, pitch) + 0.1) * pitch / 6, pixel) for axis in (x, y)]
    lines = [_step((-_wave(axis, pitch) - 0.97) * pitch / 2, pixel) for axis in (x, y)]
    line = np.clip(lines[0] + lines[1], 0, 1) * 0.8
    return 0.47 * (bands[0] + bands[1]) * (1 - line), line, 1.0 + 0.04 * _wave(x + y, 0.032)


def _tiedye(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    cx, cy = rng.uniform(-0.4, 0.4), rng.uniform(0.7, 1.3)
    radius = np.hypot(x - cx, y - cy) + 0.05 * _noise(x.shape, rng, 12)
    swirl = np.arctan2(y - cy, x - cx) * 3 + radius * 9 + 0.4 * _noise(x.shape, rng, 25)
    first = np.clip(0.5 + 0.9 * np.sin(swirl), 0, 1)
    second = np.clip(0.9 * np.sin(swirl * 0.667 + 2.0), 0, 1)
    return first * (1 - second), second, _weave(x, y, 0.03, 0.03) + 0.03 * _noise(x.shape, rng, 50)


def _chevron(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    pitch = float(rng.uniform(0.16, 0.26))
    zigzag = y + np.abs((x / pitch) % 1.0 - 0.5) * pitch
    wide = _step((_wave(zigzag, pitch) - 0.15) * pitch / 6, pixel)
    odd = np.floor(zigzag / pitch) % 2
    return wide * (1 - odd), wide * odd, _weave(x, y, 0.03, 0.035)


def _logo(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    cx, cy = float(rng.choice(np.array([-0.5, 0.0, 0.5]))), float(rng.uniform(0.85, 1.15))
    size = float(rng.uniform(0.16, 0.26))
    dx, dy = (x - cx) / size, (y - cy) / size
    radius = np.hypot(dx, dy)
    ring = _step((0.16 - np.abs(radius - 0.9)) * size, pixel)
    lobes = int(rng.integers(3, 7))
    star = _step((0.5 + 0.22 * np.cos(lobes * np.arctan2(dy, dx)) - radius) * size, pixel)
    letters = (np.abs(dy - 1.5) < 0.16) & (np.abs(dx) < 1.3) & ((dx * 3.3) % 1.0 < 0.68)
    return np.maximum(ring, letters.astype(np.float32)), star, _weave(x, y, 0.03, 0.04)


def _leopard(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    nearest = np.full_like(x, 9.0)
    angle = _none(x)
    for cx, cy in _scatter(rng, 0.17):
        box = np.s_[
            max(round((cy - 0.12 - y[0, 0]) / pixel), 0) : max(round((cy + 0.12 - y[0, 0]) / pixel), 0),
            max(round((cx - 0.12 - x[0, 0]) / pixel), 0) : max(round((cx + 0.12 - x[0, 0]) / pixel), 0),
        ]
        dx, dy = x[box] - cx, y[box] - cy
        distance = np.hypot(dx, dy * rng.uniform(0.8, 1.2))
        closer = distance < nearest[box]
        angle[box][closer] = (np.arctan2(dy, dx) + rng.uniform(0, math.tau))[closer]
        nearest[box][closer] = distance[closer]
    wobble = nearest + 0.008 * _noise(x.shape, rng, 40)
    ring = _step(0.018 - np.abs(wobble - 0.05), pixel) * _step(np.sin(angle * 1.5) + 0.75, 0.3)
    heart = _step(0.04 - wobble, pixel) * (1 - ring)
    return ring, heart, _weave(x, y, 0.03, 0.03)


def _foam(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    pores = np.clip(_noise(x.shape, rng, 150) - 1.2, 0, 1)
    return _none(x), _none(x), 1.0 - 0.10 * pores + 0.012 * _noise(x.shape, rng, 60)


def _rubber(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    filters = _step(0.30 - np.hypot(np.abs(x) - FILTERS[0], y - FILTERS[1]), pixel)
    label = _step(0.13 - np.hypot(np.abs(x) - FILTERS[0], y - FILTERS[1]), pixel)
    return filters - label, label, 1.0 + 0.02 * _noise(x.shape, rng, 70)


def _skin(x: Array, y: Array, rng: np.random.Generator, pixel: float) -> tuple[Array, Array, Array]:
    mottled = _noise(x.shape, rng, 14)
    return (
        np.clip(0.25 + 0.25 * mottled, 0, 1),
        np.clip(-0.2 * mottled, 0, 1),
        1.0 + 0.02 * _noise(x.shape, rng, 90),
    )


PAINTERS: dict[str, Painter] = {
    "spunbond": _spunbond,
    "crepe": _crepe,
    "diamond": _diamond,
    "felt": _felt,
    "ribbed": _ribbed,
    "honeycomb": _honeycomb,
    "pressed": _pressed,
    "panel": _panel,
    "linen": _linen,
    "plain": _plain,
    "gingham": _gingham,
    "stripes": _stripes,
    "polka": _polka,
    "floral": _floral,
    "camouflage": _camouflage,
    "denim": _denim,
    "heather": _heather,
    "tartan": _tartan,
    "tiedye": _tiedye,
    "chevron": _chevron,
    "logo": _logo,
    "leopard": _leopard,
    "foam": _foam,
    "rubber": _rubber,
    "skin": _skin,
}


EVEN = 128  # brightness of threads that neither darken nor brighten the fabric


def _bytes(maps: tuple[NDArray[np.uint8], ...]) -> int:
    return sum(drawn.nbytes for drawn in maps)


@cached(LRUCache(_KEPT, getsizeof=_bytes), lock=Lock())
def paint(texture: str, variant: int, ppu: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """The fabric `texture`, drawing number `variant`, at `ppu` pixels for half a face, over `shapes.plane(ppu)`.

    Returns three (h, w) uint8 maps, read-only: the shares of the first and second pattern colour (255 = all) and the
    brightness of the threads (`EVEN` = the fabric's own).
    """
    fine = 2  # painted at twice the size, then averaged, so that fine threads do not alias
    x, y = plane(ppu * fine)
    rng = np.random.default_rng([variant, zlib.crc32(texture.encode())])
    first, second, threads = PAINTERS[texture](x, y, rng, 1.0 / (ppu * fine))
    size = plane(ppu)[0].shape[::-1]
    maps = []
    for layer, whole in ((first, 255), (second, 255), (threads, EVEN)):
        small = cv2.resize(layer.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        painted = np.clip(small * whole + 0.5, 0, 255).astype(np.uint8)
        painted.flags.writeable = False
        maps.append(painted)
    return maps[0], maps[1], maps[2]
