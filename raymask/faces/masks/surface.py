"""The mean head in numbers: its 68 landmarks, its surface under a flat pattern, and a mask's bulge over it.

Unit of length: half a face's width (landmark 0 to 16), about 70 mm. x points to the photo's right, y down, z towards
the camera; the origin is the top of the nose (landmark 27). The flat pattern has coordinates (X, Y): X is the angle
in radians around the head's upright axis, 0 at the nose, and Y is y.
"""

from collections.abc import Callable

import numpy as np

from raymask.faces.masks.kinds.mask_kind import Floats, StandOff

# One side of a typical face, as (x, y, z): x <= 0 lies left in the photo.
_JAW = [
    (-1.00, 0.10, -1.05),
    (-0.99, 0.36, -1.00),
    (-0.96, 0.62, -0.95),
    (-0.92, 0.88, -0.87),
    (-0.84, 1.12, -0.72),
    (-0.70, 1.34, -0.50),
    (-0.50, 1.52, -0.30),
    (-0.26, 1.65, -0.12),
    (0.00, 1.70, -0.06),
]
_BROW = [
    (-0.80, -0.10, -0.32),
    (-0.67, -0.22, -0.15),
    (-0.50, -0.27, -0.04),
    (-0.32, -0.26, 0.02),
    (-0.16, -0.18, 0.05),
]
_NOSE = [(0.00, 0.00, 0.00), (0.00, 0.16, 0.10), (0.00, 0.32, 0.21), (0.00, 0.48, 0.32)]
_NOSTRIL = [(-0.20, 0.61, 0.06), (-0.10, 0.65, 0.13), (0.00, 0.68, 0.17)]
_EYE = [
    (-0.59, 0.05, -0.27),
    (-0.49, -0.02, -0.18),
    (-0.36, -0.02, -0.15),
    (-0.26, 0.06, -0.17),
    (-0.37, 0.08, -0.16),
    (-0.49, 0.08, -0.19),
]
_LIPS = [  # 48-51, then 57-59 in their order from the middle outwards
    (-0.38, 0.98, -0.05),
    (-0.24, 0.91, 0.07),
    (-0.10, 0.87, 0.13),
    (0.00, 0.89, 0.14),
    (0.00, 1.17, 0.10),
    (-0.12, 1.16, 0.09),
    (-0.26, 1.11, 0.04),
]
_INNER_LIPS = [(-0.33, 0.98, -0.03), (-0.11, 0.94, 0.09), (0.00, 0.95, 0.11), (0.00, 1.05, 0.10), (-0.11, 1.04, 0.08)]


def _mean_face() -> Floats:
    """(68, 3) float64: the landmarks of the mean face, mirrored from one side of it."""

    def right(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
        return [(-x, y, z) for x, y, z in reversed(points)]

    left_eye = _EYE
    right_eye = right(_EYE[:4]) + right(_EYE[4:])
    outer = _LIPS[:4] + right(_LIPS[:3]) + right(_LIPS[5:]) + _LIPS[4:]
    inner = _INNER_LIPS[:3] + right(_INNER_LIPS[:2]) + right(_INNER_LIPS[4:]) + _INNER_LIPS[3:]
    face = _JAW + right(_JAW[:8]) + _BROW + right(_BROW) + _NOSE + _NOSTRIL + right(_NOSTRIL[:2])
    return np.array(face + left_eye + right_eye + outer + inner)


MEAN_FACE = _mean_face()

# Profiles by height: half width of the head, depth of the cheeks' middle, and how far the nose stands out of it.
_Y = np.array([-0.70, -0.30, 0.00, 0.30, 0.60, 0.90, 1.20, 1.50, 1.70, 1.85, 2.10])
_HALF_WIDTH = np.array([0.97, 1.01, 1.02, 1.01, 0.99, 0.96, 0.91, 0.83, 0.76, 0.71, 0.64])
_MIDDLE = np.array([-0.02, 0.05, -0.05, 0.00, 0.03, 0.06, 0.05, 0.00, -0.04, -0.16, -0.42])
_NOSE_OUT = np.array([0.00, 0.00, 0.05, 0.18, 0.26, 0.08, 0.04, 0.00, 0.00, 0.00, 0.00])
_BACK = 1.25  # depth from the middle of the face to the ears, over 1 - cos of their angle

# How a mask worn wrongly lies: its heights on the face are the pattern's times a factor, and lower.
_WORN = {"": (1.0, 0.0), "below-nose": (0.71, 0.60), "chin": (0.46, 1.14)}


def worn_height(y: Floats, worn: str) -> Floats:
    """Heights on the face of the pattern's heights `y` when the mask is worn so."""
    factor, lower = _WORN[worn]
    return factor * y + lower


def pattern_point(points: Floats) -> Floats:
    """The flat pattern's (X, Y) of points (n, 3) on the head; sideways beyond the ears is held at 1.4 radians."""
    half_width = np.interp(points[:, 1], _Y, _HALF_WIDTH)
    return np.stack([np.arcsin(np.clip(points[:, 0] / half_width, -0.985, 0.985)), points[:, 1]], axis=1)


def head(pattern: Floats) -> Floats:
    """(n, 3) float64: the points of the bare head under pattern points (n, 2)."""
    angle, y = pattern[:, 0], pattern[:, 1]
    nose = np.interp(y, _Y, _NOSE_OUT) * np.exp(-((angle / 0.24) ** 2))
    z = np.interp(y, _Y, _MIDDLE) - _BACK * (1 - np.cos(angle)) + nose
    return np.stack([np.interp(y, _Y, _HALF_WIDTH) * np.sin(angle), y, z], axis=1)


def mask(stand_off: StandOff, worn: str, pattern: Floats) -> Floats:
    """(n, 3) float64: the points of a mask on the face over the bare head's pattern points (n, 2)."""
    factor, lower = _WORN[worn]
    angle, y = pattern[:, 0], (pattern[:, 1] - lower) / factor
    fade = stand_off.fade
    if stand_off.ridged:
        shape = np.exp(-(np.sqrt(angle**2 + 0.04**2) - 0.04) / (1.1 * fade))
    else:
        shape = np.exp(-((np.abs(angle) / fade) ** 2))
    points = head(pattern)
    points[:, 2] += np.interp(y, stand_off.heights, stand_off.lengths) * shape
    return points


def normals(shape: Callable[[Floats], Floats], pattern: Floats) -> Floats:
    """(n, 3) float64 unit normals, outwards, of the surface `shape` at pattern points (n, 2)."""
    right, below = np.array([0.01, 0.0]), np.array([0.0, 0.01])
    across = shape(pattern + right) - shape(pattern - right)
    down = shape(pattern + below) - shape(pattern - below)
    outwards = np.cross(across, down)
    return outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
