"""The respirator: a moulded half mask with a filter on each side."""

import numpy as np

from raymask.faces.masks.kinds.mask_kind import Array, MaskKind, StandOff
from raymask.faces.masks.kinds.strokes import both_sides, closed_curve, line, strap

FILTERS = (0.64, 1.20)
"""X and Y of the middles of the filters, one on each side."""
_FILTER_SIDE = 0.33
_OUTLINE = closed_curve([
    (0.00, 0.20), (0.12, 0.23), (0.24, 0.36), (0.38, 0.56), (0.50, 0.80), (0.58, 1.00),
    (0.64, 1.25), (0.62, 1.46), (0.50, 1.66), (0.28, 1.80), (0.00, 1.85),
])  # fmt: skip


def _detail(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """A moulded half mask: a round valve before the mouth, ribs to the nose, a filter on each side."""
    away = np.hypot(np.abs(x) - FILTERS[0], y - FILTERS[1])
    relief = 0.09 / (1.0 + np.exp(np.clip((away - 0.95 * _FILTER_SIDE) / max(0.018, pixel), -20, 20)))
    shade = 1.0 - 0.30 * line(away - _FILTER_SIDE, 0.02, pixel) - 0.16 * line(away - 0.25, 0.012, pixel)
    body = away > _FILTER_SIDE
    front = np.hypot(x, y - 1.22)
    relief = relief + body * 0.05 / (1.0 + np.exp(np.clip((front - 0.22) / max(0.014, pixel), -20, 20)))
    shade = shade - body * (0.24 * line(front - 0.225, 0.016, pixel) + 0.14 * line(front - 0.13, 0.012, pixel))
    relief = relief + body * 0.03 * np.exp(-((x / 0.10) ** 2)) * np.clip((0.95 - y) / 0.2, 0, 1)
    shade = shade - body * 0.10 * line(edge - 0.07, 0.016, pixel)
    return relief, shade, None


RESPIRATOR = MaskKind(
    name="respirator",
    outline=_OUTLINE,
    limbs=tuple((sign * FILTERS[0], FILTERS[1], sign * FILTERS[0], FILTERS[1], _FILTER_SIDE) for sign in (-1, 1)),
    detail=_detail,
    straps=both_sides(
        strap(0.085, (0.40, 0.66), (0.85, 0.42), (1.35, 0.02), (1.80, -0.40), (2.20, -0.70)),
        strap(0.085, (0.80, 1.36), (1.05, 1.24), (1.25, 1.12), (1.45, 1.00)),
    ),
    softness=0.0,
    stand_off=StandOff(
        heights=(0.10, 0.30, 0.60, 0.85, 1.15, 1.45, 1.70, 1.95),
        lengths=(0.00, 0.08, 0.22, 0.40, 0.44, 0.30, 0.10, 0.00),
        fade=0.60,
    ),
    textures={
        "rubber": (
            ((52, 54, 58), (84, 88, 94), (196, 66, 60)),
            ((92, 98, 106), (206, 208, 206), (172, 60, 108)),
            ((38, 40, 44), (62, 64, 68), (222, 190, 70)),
        ),
    },
    worn=(),
)
