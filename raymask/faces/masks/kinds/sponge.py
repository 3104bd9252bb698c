"""The sponge mask: one piece of foam, whose ear loops are cut from it."""

import numpy as np

from raymask.faces.masks.kinds.mask_kind import Array, MaskKind, StandOff, tints
from raymask.faces.masks.kinds.strokes import closed_curve, ear_loops, line

_OUTLINE = closed_curve([
    (0.00, 0.26), (0.12, 0.28), (0.28, 0.38), (0.52, 0.47), (0.80, 0.52), (1.02, 0.55), (1.10, 0.57),
    (1.10, 0.72), (1.06, 0.92), (1.04, 1.04), (0.90, 1.34), (0.62, 1.62), (0.32, 1.76), (0.00, 1.80),
])  # fmt: skip


def _detail(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """One piece of foam, moulded over a ridge along its middle, its cut edge a little thick."""
    relief = 0.022 * np.exp(-np.abs(x) / 0.05) - 0.008 * line(edge - 0.02, 0.018, pixel)
    shade = 1.0 - 0.10 * line(x, 0.010, pixel) - 0.06 * line(edge - 0.012, 0.012, pixel)
    return relief, shade, None


SPONGE = MaskKind(
    name="sponge",
    outline=_OUTLINE,
    detail=_detail,
    straps=ear_loops(0.66, 0.94, 0.13),
    elastic=False,
    softness=0.3,
    stand_off=StandOff(
        heights=(0.10, 0.35, 0.60, 0.80, 1.10, 1.45, 1.70, 1.95),
        lengths=(0.00, 0.03, 0.05, 0.16, 0.15, 0.08, 0.03, 0.00),
        fade=0.45,
    ),
    textures={
        "foam": tints((30, 30, 32), (58, 59, 63), (36, 44, 66), (196, 150, 150), (222, 216, 206)),
    },
    often_worn=("chin",),
)
