"""The two ears: small relief discs hinged to the head just behind the contour of the face."""

import numpy as np

from raymask.demo_faces.arrays import Array
from raymask.demo_faces.head.form import normals_of
from raymask.demo_faces.head.skin import skin_colour
from raymask.demo_faces.person import Person

_GRID = (60, 40)  # rows and columns of points on one ear


def ear(person: Person, side: float) -> tuple[Array, Array, Array, Array]:
    """Points (H, W, 3) mm, normals (H, W, 3), colour (H, W, 3) and openness (H, W) of one ear.

    `side` is -1 for the ear on the image's left, 1 for the other.
    """
    around = np.linspace(-1, 1, _GRID[0])[:, None]
    out = np.linspace(0, 1, _GRID[1])[None]
    # Width of the ear at each height: broad above, narrow at the lobe.
    contour = np.sqrt(np.clip(1 - around**2, 0, 1)) * (1.0 - 0.28 * np.clip(around + 0.2, 0, 1))
    across = 0.56 * person.ear_size * contour * out
    down = np.broadcast_to(0.5 * person.ear_size * around, across.shape)
    rim = np.exp(-(((out - 0.86) / 0.12) ** 2)) * contour
    fold = 0.6 * np.exp(-(((out - 0.52) / 0.10) ** 2)) * np.clip(0.6 - around, 0, 1)
    bowl = np.exp(-(((out - 0.25) / 0.22) ** 2) - ((around - 0.05) / 0.38) ** 2)
    lift = 3.2 * rim + 2.5 * fold - 4.0 * bowl
    flare = np.radians(person.ear_flare)
    x = across * np.sin(flare) + lift * np.cos(flare)
    z = -across * np.cos(flare) + lift * np.sin(flare)
    hinge = 0.5 * person.face_width * 0.955
    tilt = 0.12 * down
    points = np.stack([side * (hinge + x), 13.0 + down, 4.0 + z - tilt], 2).astype(np.float32)
    if side < 0:
        points = np.ascontiguousarray(points[:, ::-1])
        bowl, rim, fold = (part[:, ::-1] for part in (bowl, rim, fold))
    openness = np.clip(0.80 - 0.55 * bowl + 0.2 * rim + 0.1 * fold, 0.15, 1.0).astype(np.float32)
    colour = np.broadcast_to(skin_colour(person) * np.array([0.98, 0.84, 0.83], np.float32), points.shape)
    return points, normals_of(points), colour, openness
