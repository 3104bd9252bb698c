"""The KN95: folded flat, with a ridge along its middle and ear loops."""

import numpy as np

from raymask.faces.masks.kinds.mask_kind import Array, MaskKind, StandOff, tints
from raymask.faces.masks.kinds.strokes import closed_curve, ear_loops, line, rows

_OUTLINE = closed_curve([
    (0.00, 0.21), (0.14, 0.25), (0.34, 0.36), (0.62, 0.48), (0.92, 0.60), (1.08, 0.70), (1.13, 0.80),
    (1.12, 0.96), (1.05, 1.14), (0.88, 1.40), (0.60, 1.67), (0.30, 1.82), (0.00, 1.88),
])  # fmt: skip


def _detail(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """Two halves welded along the middle fold, welded edges, and a crease on each side where it was folded flat."""
    v, tall = rows(_OUTLINE, x, y)
    relief = 0.016 * line(x, 0.022, pixel) - 0.01 * line(np.abs(x) - 0.055, 0.02, pixel)
    shade = 1.0 - 0.10 * line(np.abs(x) - 0.035, 0.008, pixel)
    spots = np.clip(np.sin((x + y) * 90.0) + 0.2, 0, 1)
    shade -= 0.13 * line(edge - 0.04, 0.016, pixel) * spots
    crease = np.abs(x) - (0.62 + 0.22 * np.clip(y - 1.0, -1, 1))
    relief += 0.012 / (1.0 + np.exp(np.clip(crease / max(0.012, pixel), -20, 20)))
    shade -= 0.09 * line(crease, 0.010, pixel)
    relief += 0.012 * line(v * tall - 0.115, 0.03, pixel) * np.clip((0.42 - np.abs(x)) / 0.05, 0, 1)
    return relief, shade, None


KN95 = MaskKind(
    name="kn95",
    outline=_OUTLINE,
    detail=_detail,
    straps=ear_loops(0.76, 1.02, 0.048),
    softness=0.35,
    stand_off=StandOff(
        heights=(0.10, 0.30, 0.60, 0.85, 1.15, 1.45, 1.70, 1.95),
        lengths=(0.00, 0.08, 0.22, 0.40, 0.38, 0.24, 0.10, 0.00),
        fade=0.42,
        ridged=True,
    ),
    textures={
        "pressed": tints((240, 241, 241), (36, 37, 40), (150, 153, 158), (232, 233, 229)),
        "panel": (
            ((236, 236, 235), (206, 208, 210), (244, 244, 244)),
            ((44, 44, 47), (66, 67, 71), (34, 34, 36)),
            ((178, 192, 206), (232, 234, 236), (190, 204, 216)),
        ),
    },
    test_textures={"linen": tints((218, 196, 198), (188, 206, 190), (86, 96, 122), (222, 218, 226))},
    often_worn=("below-nose", "chin"),
)
