"""The surgical mask: pleated, with ear loops."""

import numpy as np

from raymask.faces.masks.kinds.mask_kind import Array, MaskKind, StandOff, tints
from raymask.faces.masks.kinds.strokes import closed_curve, ear_loops, line, rows

_OUTLINE = closed_curve([
    (0.00, 0.235), (0.12, 0.25), (0.26, 0.33), (0.50, 0.43), (0.80, 0.47), (1.07, 0.48),
    (1.09, 0.52), (1.09, 0.80), (1.08, 1.12), (1.06, 1.20), (0.93, 1.45), (0.64, 1.72), (0.32, 1.84), (0.00, 1.87),
])  # fmt: skip


def _detail(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """Three pleats that open towards the middle, hems along top and sides, a bent wire at the nose."""
    v, tall = rows(_OUTLINE, x, y)
    relief, shade = np.zeros_like(x), np.ones_like(x)
    for k, at in enumerate((0.26, 0.46, 0.66)):
        opened = 0.045 * (k - 0.6) * np.cos(np.clip(x, -1.1, 1.1) * 1.4)  # the chin pulls the pleats apart
        below = (v - at - opened) * tall
        step = 1.0 / (1.0 + np.exp(-np.clip(below / max(0.010, pixel), -20, 20)))
        relief -= 0.022 * step * np.exp(-np.clip(below, 0, None) / 0.10)
        shade -= 0.20 * line(np.minimum(below, 0) + np.maximum(below, 0) / 3.5, 0.012, pixel)
    relief += 0.012 * line(v * tall - 0.07, 0.022, pixel) * (np.abs(x) < 0.42)
    shade -= 0.10 * line(v * tall - 0.115, 0.007, pixel)
    shade -= 0.08 * line((1 - v) * tall - 0.06, 0.007, pixel)
    weld = line(np.abs(np.abs(x) - 1.03), 0.012, pixel)
    shade -= 0.12 * weld * np.clip(np.sin(y * 110.0) + 0.4, 0, 1)
    return relief, shade, None


SURGICAL = MaskKind(
    name="surgical",
    outline=_OUTLINE,
    detail=_detail,
    straps=ear_loops(0.54, 1.12, 0.034),
    softness=1.0,
    stand_off=StandOff(
        heights=(0.10, 0.35, 0.60, 0.80, 1.10, 1.45, 1.70, 1.95),
        lengths=(0.00, 0.04, 0.06, 0.20, 0.20, 0.13, 0.06, 0.02),
        fade=0.50,
    ),
    textures={
        "spunbond": tints((142, 186, 214), (233, 236, 238), (158, 206, 196), (116, 164, 205)),
        "crepe": tints((174, 208, 226), (240, 240, 236), (132, 194, 178), (96, 148, 192)),
    },
    test_textures={"diamond": tints((226, 172, 190), (40, 42, 46), (190, 178, 214), (222, 216, 168))},
    often_worn=("below-nose", "chin"),
)
