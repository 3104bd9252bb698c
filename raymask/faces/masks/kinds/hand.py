"""A hand over the mouth, which is no mask: limbs of the face's own skin."""

import numpy as np

from raymask.faces.masks.kinds.mask_kind import Array, Limb, MaskKind, StandOff
from raymask.faces.masks.kinds.strokes import limb_distances, line, strap

_LIMBS: tuple[Limb, ...] = (
    (0.30, 1.06, 0.60, 1.46, 0.33),  # palm, and its heel
    (0.52, 1.34, 0.86, 1.84, 0.31),
    (0.26, 0.84, -0.58, 0.64, 0.105),  # fingers
    (0.20, 1.04, -0.76, 0.86, 0.108),
    (0.16, 1.24, -0.72, 1.08, 0.102),
    (0.16, 1.42, -0.54, 1.30, 0.088),
    (0.56, 1.16, 0.84, 0.62, 0.112),  # thumb
)


def _detail(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """Fingers, round and side by side, with creases at their joints; the back of the hand."""
    heights, creases = [], np.zeros_like(x)
    for number, (away, along, half) in enumerate(limb_distances(_LIMBS, x, y)):
        heights.append(np.clip(half - away**2 / half, 0, None) * (1.0 if number > 1 else 0.4))
        if number > 1:
            across = np.exp(-((away / (0.75 * half)) ** 4))
            length = float(np.hypot(*np.subtract(_LIMBS[number][2:4], _LIMBS[number][:2])))
            for joint in (0.36, 0.68):
                creases += 0.12 * across * line((along - joint) * length, 0.012, pixel)
            creases -= 0.10 * np.exp(-((np.hypot((along - 1.0) * length, 0.8 * away) / 0.06) ** 4))  # a nail
    relief = np.maximum.reduce(heights)
    between = np.exp(-relief / 0.03) * np.clip((edge - 0.02) / 0.04, 0, 1)
    return 0.4 * relief, 1.04 - creases - 0.4 * between, None


HAND = MaskKind(
    name="hand",
    limbs=_LIMBS,
    detail=_detail,
    straps=(strap(0.60, (0.64, 1.44), (0.86, 1.86), (1.00, 2.5), (1.08, 3.2), (1.14, 4.2)),),  # the arm
    elastic=False,
    softness=0.0,
    stand_off=StandOff(
        heights=(0.10, 0.40, 0.70, 0.85, 1.15, 1.45, 1.70, 1.95),
        lengths=(0.12, 0.12, 0.14, 0.26, 0.28, 0.24, 0.20, 0.20),
        fade=0.60,
    ),
    textures={"skin": (((205, 160, 135), (176, 128, 104), (222, 178, 160)),)},
    worn=(),
    is_mask=False,
    skin=True,
)
