"""The cloth mask: two sewn panels with ear loops, in many fabrics, also of a user's own pictures."""

import numpy as np

from raymask.faces.masks.kinds.mask_kind import Array, MaskKind, StandOff, tints
from raymask.faces.masks.kinds.strokes import closed_curve, ear_loops, line, stitches

_OUTLINE = closed_curve([
    (0.00, 0.22), (0.13, 0.25), (0.30, 0.36), (0.55, 0.44), (0.85, 0.50), (1.06, 0.54),
    (1.09, 0.57), (1.10, 0.80), (1.07, 1.12), (1.03, 1.18), (0.87, 1.44), (0.59, 1.70), (0.30, 1.82), (0.00, 1.85),
])  # fmt: skip


def _detail(x: Array, y: Array, edge: Array, pixel: float) -> tuple[Array, Array, Array | None]:
    """Two panels sewn along a middle seam, with stitched hems and a channel for the ear loop at each side."""
    relief = 0.014 * (1.0 - line(x, 0.014, pixel)) - 0.010 * line(edge - 0.065, 0.012, pixel)
    shade = 1.0 - 0.26 * line(x, 0.008, pixel)
    turn = np.where(np.abs(x) > 0.95, y, x)  # along the hem
    shade -= 0.20 * stitches(edge - 0.055, turn, pixel)
    shade -= 0.14 * stitches(np.abs(x) - 0.045, y, pixel) * (edge > 0.08)
    channel = np.abs(x) - 0.97
    relief -= 0.010 * line(channel, 0.014, pixel)
    shade -= 0.14 * line(channel, 0.010, pixel) * (edge > 0)
    return relief, shade, None


CLOTH = MaskKind(
    name="cloth",
    outline=_OUTLINE,
    detail=_detail,
    straps=ear_loops(0.62, 1.10, 0.042),
    softness=1.2,
    stand_off=StandOff(
        heights=(0.10, 0.35, 0.60, 0.80, 1.10, 1.45, 1.70, 1.95),
        lengths=(0.00, 0.03, 0.06, 0.20, 0.19, 0.11, 0.04, 0.01),
        fade=0.42,
    ),
    textures={
        "plain": tints((32, 33, 38), (44, 58, 98), (150, 40, 46), (208, 200, 184), (92, 104, 88), (226, 226, 224)),
        "gingham": (
            ((240, 240, 236), (196, 62, 66), (176, 40, 46)),
            ((238, 240, 240), (74, 106, 168), (52, 82, 146)),
            ((238, 238, 234), (62, 62, 66), (36, 36, 40)),
        ),
        "stripes": (
            ((232, 232, 226), (48, 66, 110), (160, 46, 52)),
            ((54, 56, 64), (190, 190, 186), (120, 124, 130)),
            ((212, 178, 90), (86, 66, 46), (236, 226, 200)),
        ),
        "polka": (
            ((52, 62, 108), (236, 236, 232), (236, 236, 232)),
            ((178, 48, 58), (242, 240, 236), (242, 240, 236)),
            ((234, 230, 220), (70, 72, 76), (150, 60, 70)),
        ),
        "floral": (
            ((228, 222, 210), (188, 82, 96), (92, 122, 84)),
            ((46, 54, 82), (222, 164, 160), (118, 142, 112)),
            ((170, 196, 204), (234, 232, 224), (196, 96, 84)),
        ),
        "camouflage": (
            ((112, 112, 78), (66, 76, 50), (52, 44, 34)),
            ((184, 168, 132), (136, 116, 84), (96, 82, 62)),
            ((142, 146, 148), (94, 98, 102), (52, 54, 58)),
        ),
        "denim": tints((62, 84, 122), (88, 116, 156), (40, 50, 70)),
        "heather": tints((128, 130, 134), (88, 92, 112), (158, 120, 122)),
    },
    test_textures={
        "tartan": (
            ((142, 32, 38), (30, 46, 40), (222, 196, 104)),
            ((38, 62, 74), (22, 28, 42), (196, 200, 196)),
        ),
        "tiedye": (
            ((232, 108, 120), (92, 150, 206), (240, 208, 96)),
            ((70, 84, 160), (220, 228, 238), (128, 74, 150)),
        ),
        "chevron": (
            ((224, 228, 222), (52, 132, 132), (214, 128, 70)),
            ((72, 70, 78), (206, 170, 60), (224, 222, 214)),
        ),
        "logo": (
            ((28, 30, 34), (228, 228, 230), (204, 54, 48)),
            ((230, 231, 226), (34, 70, 140), (214, 52, 56)),
            ((104, 34, 52), (236, 218, 150), (236, 218, 150)),
        ),
        "leopard": (
            ((204, 166, 114), (48, 36, 28), (150, 102, 60)),
            ((198, 196, 196), (44, 44, 48), (122, 120, 122)),
        ),
    },
    own=True,
    often_worn=("below-nose", "chin"),
)
