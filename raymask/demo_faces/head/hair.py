"""Hair: where it grows on the head's grid, how far it stands off, what it looks like, and what hangs behind."""

from functools import lru_cache

import cv2
import numpy as np

from raymask.demo_faces.arrays import Array
from raymask.demo_faces.head.form import EDGE_DEGREES, Head, grid_angles, grid_heights, normals_of, smooth_curve
from raymask.demo_faces.head.layout import TOP
from raymask.demo_faces.head.skin import hair_colour, noise
from raymask.demo_faces.person import Person

_FRINGE_DROP = 20.0  # mm by which a fringe hangs below the hairline
_VOLUME = {"bald": 0.0, "crop": 0.25, "short": 0.7, "fringe": 0.8, "tied": 0.3, "long": 0.8, "curly": 1.5}
_HANGING = {"long": 170.0, "curly": 38.0, "fringe": 82.0}  # mm below the eyes down to which hair hangs behind the head
_OVER_EARS = ("long", "fringe")
_SHELL = (150, 170)  # rows and columns of the grid of hanging hair


def raise_hair(head: Head, person: Person) -> Head:
    """The head with its hair on: the grid's points moved out by the thickness of the hair."""
    volume = _VOLUME[person.hair_style] * person.hair_volume + (0.0 if person.hair_style == "bald" else 1.0)
    line = _hairline(person, np.degrees(head.angles))[None]
    above = np.clip((line - head.heights[:, None] - 2.0) / 26.0, 0.0, 1.0)
    thickness = (
        volume * above * (2.0 - above) * np.clip(1.0 - np.clip(head.heights[:, None] - 5.0, 0, 45) / 45.0, 0.35, 1)
    )
    if person.hair_style == "curly":
        rng = np.random.default_rng([person.texture_seed, 5])
        thickness = thickness * (1.0 + 0.10 * noise(rng, thickness.shape, 7))
    outward = head.points - np.array([0.0, -25.0, 0.0], np.float32)
    outward /= np.linalg.norm(outward, axis=2, keepdims=True) + 1e-6
    points = head.points + outward * thickness[..., None]
    return Head(points=points.astype(np.float32), angles=head.angles, heights=head.heights)


@lru_cache(maxsize=2)
def hair_texture(person: Person, rows: int, columns: int) -> tuple[Array, Array]:
    """Opacity (rows, columns) and colour (rows, columns, 3) of the hair over the head's grid, in linear light.

    Shared: do not write to what is returned.
    """
    rng = np.random.default_rng([person.texture_seed, 3])
    degrees = np.degrees(grid_angles(columns))
    heights = grid_heights(person, rows)
    strands = _strands(person, rng, rows, columns)
    line = _hairline(person, degrees)
    ragged = 5.0 if person.hair_style == "fringe" else 2.5
    line = line + ragged * cv2.GaussianBlur(rng.standard_normal((1, columns)), (0, 0), columns / 250)[0] * 1.5
    soft = 5.0 if person.hair_style == "fringe" else 9.0
    inside = (line[None] - heights[:, None] + 2.5 * strands) / soft + 0.3
    density = 0.55 if person.hair_style == "bald" else 1.0
    if person.hair_style == "bald":
        # What is left runs around the sides and the back.
        inside = np.minimum(inside, (np.abs(degrees)[None] - 68 + 4 * strands) / 14)
        inside = np.minimum(inside, (heights[:, None] + 78) / 25)
    opacity = (density * np.clip(inside, 0, 1)).astype(np.float32)
    tone = np.clip(1.0 + 0.30 * strands, 0.25, 2.0)[..., None]
    return opacity, (hair_colour(person) * tone).astype(np.float32)


def covers_ears(person: Person) -> bool:
    """Whether the hanging hair lies over the ears."""
    return person.hair_style in _OVER_EARS


def hanging_hair(person: Person) -> tuple[Array, Array, Array] | None:
    """Points (H, W, 3) mm, normals (H, W, 3) and colour (H, W, 3) of the hair behind the head, if there is any."""
    if person.hair_style not in _HANGING:
        return None
    rng = np.random.default_rng([person.texture_seed, 4])
    rows, columns = _SHELL
    low = _HANGING[person.hair_style] + 12.0 * rng.standard_normal()
    front = 74.0 if covers_ears(person) else 98.0
    angles = np.radians(np.linspace(front, 360.0 - front, columns))
    share = np.linspace(0.0, 1.0, rows)[:, None]
    heights = -85.0 + (low + 85.0) * share
    heights = heights + 5.0 * share**4 * noise(rng, (1, columns), 6)
    half = 0.5 * person.face_width
    volume = _VOLUME[person.hair_style] * person.hair_volume
    dome = np.sqrt(np.clip(1.0 - np.clip((-heights - 20.0) / (-TOP + volume - 20.0), 0, 1) ** 2.2, 0, 1))
    flow = 3.0 * noise(rng, (rows, columns), 26) * share
    width = (half + 5.0 + 0.9 * volume * (0.5 + 0.5 * np.sin(np.pi * np.clip(share * 1.1, 0, 1)))) * dome + flow
    x = width * np.sin(angles)
    z = -8.0 + (70.0 + volume) * dome * np.cos(angles)
    points = np.stack(np.broadcast_arrays(x, heights, z), 2).astype(np.float32)
    tone = np.clip(1.0 + 0.32 * _strands(person, rng, rows, columns), 0.25, 2.0)[..., None]
    return points, normals_of(points), (hair_colour(person) * tone).astype(np.float32)


def _hairline(person: Person, degrees: Array) -> Array:
    """(N,) height above which hair grows, in mm, at angles around the head."""
    forehead = -person.hairline
    around = np.abs(degrees)
    drawn_back = 16.0 * person.temple_recession
    knots = np.array([0.0, 16, 32, 46, 58, 68, 76, 84, 92, 100, EDGE_DEGREES])
    line = np.array([0.0, 1 - 0.4 * drawn_back, 3 - drawn_back, 16 - drawn_back, 34, 0, 0, 0, 0, 0, 0])
    line = line + forehead
    line[5:] = [-10, 16, 18, 4, 40, 70]
    if person.hair_style == "fringe":
        line[:4] = np.minimum(line[:4] + _FRINGE_DROP + np.array([0, 1, 3, 4]), -31.0)
    if person.hair_style in ("tied", "curly"):
        line[5:7] = [-18, 2]
    return smooth_curve(around, knots, line)


def _strands(person: Person, rng: np.random.Generator, rows: int, columns: int) -> Array:
    """(rows, columns) streaks along the hair, mean 0 and standard deviation about 1."""
    if person.hair_style == "curly":
        return 0.7 * noise(rng, (rows, columns), columns / 75) + 0.5 * noise(rng, (rows, columns), columns / 200)
    if person.hair_style in ("crop", "bald"):
        return 0.5 * noise(rng, (rows, columns), columns / 300) + 0.5 * noise(rng, (rows, columns), columns / 70)
    fine = cv2.resize(
        rng.standard_normal((9, columns)).astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC
    )
    coarse = noise(rng, (9, columns // 7), 1)
    coarse = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    streaks = 0.6 * cv2.GaussianBlur(fine, (0, 0), 0.8) * 1.6 + 0.6 * coarse
    # Strands fan out from the parting: shift the streaks sideways the further down they are.
    column, row = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    part = (0.5 + 0.16 * person.hair_part) * columns
    side = np.tanh((column - part) / (0.3 * columns))
    fan = side * 0.2 * columns * np.sqrt(np.clip(row / rows, 0, 1))
    return cv2.remap(streaks, column - fan, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
