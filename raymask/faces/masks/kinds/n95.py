"""The N95: a stiff cup with bands around the head; and the same with a valve."""

from dataclasses import replace

import numpy as np

from raymask.faces.masks.kinds.mask_kind import Array, MaskKind, StandOff, tints
from raymask.faces.masks.kinds.strokes import both_sides, closed_curve, line, rows, strap

_HALF = [
    (0.00, 0.20), (0.13, 0.22), (0.28, 0.31), (0.50, 0.42), (0.75, 0.54), (0.95, 0.72),
    (1.04, 0.95), (1.00, 1.18), (0.86, 1.42), (0.62, 1.66), (0.32, 1.81), (0.00, 1.86),
]  # fmt: skip
_OUTLINE = closed_curve(_HALF)
_VALVE = (0.0, 1.04, 0.20)
"""X, Y and half the width."""


def _detail(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array]:
    """A flat welded rim around the cup, an embossed band, and a metal clip over the nose."""
    v, tall = rows(_OUTLINE, x, y)
    cup = 1.0 / (1.0 + np.exp(-np.clip((edge - 0.085) / 0.018, -20, 20)))
    relief = 0.035 * cup + 0.012 * line(edge - 0.26, 0.03, pixel)
    shade = 1.0 - 0.16 * line(edge - 0.075, 0.012, pixel)
    across = np.sin(np.arctan2(y - 1.0, x) * 70.0)
    shade -= 0.07 * line(edge - 0.035, 0.014, pixel) * np.clip(across + 0.3, 0, 1)
    clip = (v * tall - 0.105) / 0.028
    metal = np.clip((1.15 - np.abs(clip)) / 0.3, 0, 1) * np.clip((0.40 - np.abs(x)) / 0.02, 0, 1)
    relief += 0.012 * metal
    return relief, shade, metal.astype(np.float32)


def _valved(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array]:
    """An N95 with a round valve of plastic in the middle: a rim, and slots to breathe out through."""
    relief, shade, metal = _detail(x, y, edge, pixel)
    centre_x, centre_y, half = _VALVE
    away = np.hypot(x - centre_x, (y - centre_y) * 1.12)
    inside = np.clip((half - away) / (0.01 + pixel) + 0.5, 0, 1)
    relief = relief + 0.05 / (1.0 + np.exp(np.clip((away - half) / max(0.012, pixel), -20, 20)))
    relief = relief - 0.02 * line(away - 0.78 * half, 0.012, pixel)
    slots = np.clip(np.sin((y - centre_y) * 95.0) - 0.35, 0, 1) * (away < 0.66 * half)
    shade = shade - 0.16 * line(away - half, 0.016, pixel) - 0.34 * slots
    return relief, shade, np.maximum(metal, 0.55 * inside).astype(np.float32)


N95 = MaskKind(
    name="n95",
    outline=_OUTLINE,
    detail=_detail,
    straps=both_sides(
        strap(0.065, (0.80, 0.74), (1.10, 0.36), (1.45, -0.06), (1.80, -0.40), (2.20, -0.70)),
        strap(0.065, (0.84, 1.22), (1.05, 1.12), (1.25, 1.01), (1.45, 0.90)),
    ),
    softness=0.15,
    stand_off=StandOff(
        heights=(0.10, 0.30, 0.60, 0.85, 1.15, 1.45, 1.70, 1.95),
        lengths=(0.00, 0.06, 0.20, 0.36, 0.36, 0.26, 0.10, 0.00),
        fade=0.62,
    ),
    textures={
        "felt": tints((238, 238, 234), (228, 230, 231), (242, 238, 228)),
        "ribbed": tints((236, 237, 239), (196, 214, 226), (224, 222, 214)),
    },
    test_textures={"honeycomb": tints((206, 208, 206), (178, 198, 186), (214, 204, 188))},
    often_worn=("chin",),
)

N95VALVE = replace(
    N95,
    name="n95valve",
    outline=closed_curve([(x, y if y < 1 else 1 + 1.04 * (y - 1)) for x, y in _HALF]),
    detail=_valved,
    test_textures={},
    often_worn=(),
)
