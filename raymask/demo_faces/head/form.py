"""The head as a surface in space: millimetres, x right, y down, z towards the viewer, origin between the ears."""

from dataclasses import dataclass

import numpy as np

from raymask.demo_faces.arrays import Array
from raymask.demo_faces.head.layout import TOP, Layout
from raymask.demo_faces.person import Person

COLUMNS, ROWS = 180, 190
"""Size of the grid of surface points, `(ROWS, COLUMNS)`."""

EDGE_DEGREES = 115.0
"""The grid goes from this far on the image's left of the middle of the face to this far on its right."""

_CONTOUR_HEIGHTS = (-0.01, 0.15, 0.312, 0.476, 0.63, 0.77, 0.885, 0.974, 1.0)  # of landmarks 0-8, over the chin's
_MOST_YAW = 25.0  # degrees, of a Shot
_CONTOUR_EDGE = np.radians(91.0)


@dataclass(frozen=True)
class Head:
    """A head's grid of points: `points` (ROWS, COLUMNS, 3), `angles` (COLUMNS,) radians, `heights` (ROWS,) mm."""

    points: Array
    angles: Array
    heights: Array


def build_head(person: Person, layout: Layout) -> Head:
    """The bald head of `person` with the expression of `layout`."""
    angles = grid_angles(COLUMNS)
    resting = grid_heights(person, ROWS)
    # An opening mouth takes along what lies below the nose and leaves the rest where it is.
    dropping = np.clip((resting - 25.0) / (person.chin_drop - 25.0), 0.0, 1.0)
    heights = (resting + (layout.chin - person.chin_drop) * dropping).astype(np.float32)
    width, front, side, back = _profiles(person, layout, heights)
    sine, cosine = np.sin(angles), np.cos(angles)
    x = width[:, None] * sine
    depth = np.where(cosine > 0, (front - side)[:, None] * np.abs(cosine), back[:, None] * cosine)
    z = side[:, None] + depth
    y = np.broadcast_to(heights[:, None], x.shape)
    fade = np.clip(cosine / 0.35, 0.0, 1.0)
    z = z + fade * fade * (3 - 2 * fade) * _relief(person, layout, x, y)
    return Head(points=np.stack([x, y, z], 2).astype(np.float32), angles=angles, heights=heights)


def grid_angles(columns: int) -> Array:
    """(columns,) angles of a head's grid in radians, closer together in front, which no pose turns edge-on."""
    degrees = np.linspace(-EDGE_DEGREES, EDGE_DEGREES, 461)
    needed = np.maximum(np.cos(np.radians(np.maximum(np.abs(degrees) - _MOST_YAW, 0.0))), 0.25)
    total = np.cumsum(needed)
    even = np.linspace(total[0], total[-1], columns)
    return np.radians(np.interp(even, total, degrees)).astype(np.float32)


def grid_heights(person: Person, rows: int) -> Array:
    """(rows,) heights of a head's grid in mm, mouth closed, closer together at both ends, where it curves away."""
    share = np.linspace(0.0, 1.0, rows)
    share = 0.75 * share + 0.25 * (0.5 - 0.5 * np.cos(np.pi * share))
    return TOP + (person.chin_drop - TOP) * share


def landmark_points(head: Head, layout: Layout, facing: Array) -> Array:
    """(68, 3) landmarks on the surface.

    `facing` is the (3, 3) rotation into the camera's frame: the contour 0 to 16 is what stands out furthest from
    there, but no further back than just before the ears.
    """
    contour = np.stack([_contour_point(head, facing, landmark, layout.chin) for landmark in range(17)])
    width = np.interp(layout.features[:, 1], head.heights, np.abs(head.points[:, -1, 0] / np.sin(head.angles[-1])))
    angle = np.arcsin(np.clip(layout.features[:, 0] / width, -0.999, 0.999))
    inner = sample(head, angle, layout.features[:, 1])
    return np.concatenate([contour, inner]).astype(np.float32)


def sample(head: Head, angle: Array, height: Array) -> Array:
    """(N, 3) surface points at N angles (radians) and heights (mm), bilinear."""
    column = np.interp(angle, head.angles, np.arange(COLUMNS))
    row = np.interp(height, head.heights, np.arange(ROWS))
    c0 = np.clip(column.astype(int), 0, COLUMNS - 2)
    r0 = np.clip(row.astype(int), 0, ROWS - 2)
    fc, fr = (column - c0)[:, None], (row - r0)[:, None]
    grid = head.points
    upper = grid[r0, c0] * (1 - fc) + grid[r0, c0 + 1] * fc
    lower = grid[r0 + 1, c0] * (1 - fc) + grid[r0 + 1, c0 + 1] * fc
    return upper * (1 - fr) + lower * fr


def normals_of(points: Array) -> Array:
    """(H, W, 3) unit normals of a grid of points whose columns run to the right and whose rows run down."""
    across = np.gradient(points, axis=1)
    down = np.gradient(points, axis=0)
    normal = np.empty_like(points)
    for axis, (a, b) in enumerate(((1, 2), (2, 0), (0, 1))):
        normal[..., axis] = across[..., a] * down[..., b] - across[..., b] * down[..., a]
    length = np.sqrt(np.einsum("hwc,hwc->hw", normal, normal)) + 1e-9
    return (normal / length[..., None]).astype(np.float32)


def smooth_curve(x: Array, knots: Array, values: Array) -> Array:
    """Cubic through `(knots, values)` at `x`, straight beyond neither end: x is clipped to the knots."""
    slopes = np.gradient(values, knots)
    x = np.clip(x, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    span = knots[left + 1] - knots[left]
    t = (x - knots[left]) / span
    start, end = values[left], values[left + 1]
    cubic = (2 * t**3 - 3 * t**2 + 1) * start + (3 * t**2 - 2 * t**3) * end
    return cubic + span * ((t**3 - 2 * t**2 + t) * slopes[left] + (t**3 - t**2) * slopes[left + 1])


def _contour_point(head: Head, facing: Array, landmark: int, chin: float) -> Array:
    """(3,) the point of contour landmark 0 to 16."""
    if landmark == 8:
        return head.points[-1, COLUMNS // 2]
    side = -1.0 if landmark < 8 else 1.0
    height = _CONTOUR_HEIGHTS[min(landmark, 16 - landmark)] * chin
    angle = side * np.linspace(np.radians(20.0), _CONTOUR_EDGE, 60)
    candidates = sample(head, angle, np.full(60, height))
    return candidates[np.argmax(side * (candidates @ facing[0]))]


def _profiles(person: Person, layout: Layout, y: Array) -> tuple[Array, Array, Array, Array]:
    """Half-width, depth of the middle, depth of the side and depth behind the side, (ROWS,) mm, at heights `y`."""
    half = person.face_width / 2
    jaw, chin = person.jaw_fullness - 1, person.chin_fullness - 1
    # Against the root of the distance from the chin the contour is nearly a straight line there: a round chin.
    root = np.sqrt(1 - np.array([1.0, 0.974, 0.891, 0.783, 0.651, 0.503, 0.344, 0.185, 0.0]))
    usual = np.array([0.0, 0.272, 0.50, 0.693, 0.837, 0.918, 0.958, 0.986, 1.0])
    change = chin * np.array([0, 1, 0.75, 0.2, 0, 0, 0, 0, 0]) + jaw * np.array([0, 0.3, 0.7, 1, 1, 0.7, 0.35, 0.1, 0])
    share = np.clip(y / layout.chin, -1.0, 1.0)
    lower = half * smooth_curve(np.sqrt(1 - np.maximum(share, 0.0)), root, usual * (1 + change))
    temple = half * (1 + (person.forehead_width - 1) * np.clip(-y / 40.0, 0.0, 1.0))
    skull = 1 + 0.035 * np.clip(-(y + 15.0) / 40.0, 0.0, 1.0)
    upper = temple * skull * np.power(np.clip(1 - np.clip(y / TOP, 0, 1) ** 3.0, 0.0, 1.0), 0.5)
    width = np.where(y > 0, lower, upper)
    knots = np.array([-1.0, -0.97, -0.85, -0.6, -0.2, 0.0, 0.4, 0.62, 0.8, 0.93, 0.985, 1.0])
    at = np.where(y > 0, share, -y / TOP)
    front = smooth_curve(at, knots, np.array([-15.0, 15, 50, 78, 91, 90, 90, 91, 89, 90, 85, 79]))
    side = smooth_curve(at, knots, np.array([-15.0, -14, -10, -6, 0, 2, 8, 16, 30, 52, 74, 80]))
    back = smooth_curve(at, knots, np.array([4.0, 40, 70, 85, 90, 88, 70, 50, 36, 26, 12, 4]))
    return width, front, side, back


def _hill(x: Array, y: Array, centre: tuple[float, float], spread: tuple[float, float]) -> Array:
    """A bump of height 1 that falls off like a Gaussian."""
    return np.exp(-(((x - centre[0]) / spread[0]) ** 2) - ((y - centre[1]) / spread[1]) ** 2)


def _relief(person: Person, layout: Layout, x: Array, y: Array) -> Array:
    """(ROWS, COLUMNS) what the features add to the depth of a smooth egg, in millimetres."""
    x = x.astype(np.float32)
    y = y.astype(np.float32)
    beside = np.abs(x)
    relief = _brow_and_eyes(person, beside, y) + _nose_relief(person, layout, beside, y)
    relief += _cheeks(person, layout, beside, y)
    relief += _lips(person, layout, beside, y)
    return relief


def _brow_and_eyes(person: Person, beside: Array, y: Array) -> Array:
    eye_x = person.eye_spacing / 2
    ridge = person.brow_ridge * _hill(beside, y, (27.0, -17.0), (24.0, 8.0))
    socket = (2.0 + person.eye_depth) * _hill(beside, y, (eye_x - 2.0, -1.0), (17.0, 11.0))
    ball = (4.0 + 0.35 * person.eye_depth) * _hill(beside, y, (eye_x + 1.0, 0.5), (11.0, 7.5))
    bag = 1.3 * person.eye_bags * _hill(beside, y, (eye_x, 11.5), (10.0, 3.0))
    return ridge - socket + ball + bag


def _nose_relief(person: Person, layout: Layout, beside: Array, y: Array) -> Array:
    base = float(layout.point(33)[1])
    tip = float(layout.point(30)[1])
    # Along the middle: out from the root to the tip, then back to the lip.
    along = np.array([-26.0, -14.0, -4.0, 0.33 * tip, 0.66 * tip, tip - 2, tip + 3.0, base - 4.5, base + 1.5, base + 8])
    high, root, bend = person.nose_height, person.bridge_height, person.bridge_curve
    heights = np.array([0.0, 0.4 * root, root - 1, 0, 0, high, high - 0.8, 0.66 * high, 2.5, 0.0])
    heights[3] = heights[2] + 0.36 * (high - heights[2]) + bend
    heights[4] = heights[2] + 0.70 * (high - heights[2]) + 0.6 * bend
    middle = smooth_curve(y[:, :1], along, heights) * ((y[:, :1] > along[0]) & (y[:, :1] < along[-1]))
    widths = np.interp(y[:, :1], along[[1, 2, 5, 7]], [15.0, person.bridge_width + 1.5, person.tip_width + 2.5, 13.0])
    ridge = middle * np.exp(-np.power(beside / widths, 1.9))
    wing = 0.5 * person.nose_width - 4.5
    ala = (5.0 + 0.16 * high) * _hill(beside, y, (wing, base - 6.5), (5.6, 6.2))
    flank = 0.2 * high * _hill(beside, y, (10.0, base - 14.0), (9.0, 14.0))
    return ridge + ala + flank


def _cheeks(person: Person, layout: Layout, beside: Array, y: Array) -> Array:
    smile = max(layout.smile, 0.0)
    corner_x, corner_y = float(layout.point(54)[0]), float(layout.point(54)[1])
    bone = person.cheek_relief * _hill(beside, y, (47.0, 22.0), (19.0, 13.0))
    apple = (1.0 + 5.0 * smile) * _hill(beside, y, (36.0, 32.0 - 3 * smile), (15.0, 12.0))
    hollow = person.cheek_hollow * _hill(beside, y, (46.0, 58.0), (14.0, 17.0))
    # The fold from the wing of the nose past the corner of the mouth: a valley along a slanting line.
    top_x, top_y = 0.5 * person.nose_width + 2.0, float(layout.point(33)[1]) - 8.0
    t = np.clip((y - top_y) / (corner_y - top_y + 4.0), 0.0, 1.0)
    line = top_x + (corner_x + 4.0 - top_x) * t
    depth = (0.7 + 1.3 * person.wrinkles + 2.2 * smile) * np.sin(np.pi * np.clip(0.12 + 0.86 * t, 0, 1))
    inside = np.clip((y - top_y + 4.0) / 8.0, 0.0, 1.0)
    fold = depth * inside * np.exp(-(((beside - line) / 4.0) ** 2))
    return bone + apple - hollow - fold


def _lips(person: Person, layout: Layout, beside: Array, y: Array) -> Array:
    corner, upper_edge, lower_edge = layout.point(54), layout.point(51)[1], layout.point(57)[1]
    upper_line, lower_line = layout.point(62)[1], layout.point(66)[1]
    half = float(corner[0])
    swell = np.clip(1 - (beside / half) ** 2, 0.0, None)
    upper = (1.5 + 0.28 * person.upper_lip) * np.exp(-(((y - (upper_edge + upper_line) / 2 - 0.7) / 4.2) ** 2))
    lower = (1.5 + 0.28 * person.lower_lip) * np.exp(-(((y - (lower_edge + lower_line) / 2) / 4.6) ** 2))
    middle = (upper_line + lower_line) / 2
    gap = 1.2 * np.exp(-(((y - middle) / (1.2 + 0.5 * layout.gap)) ** 2))
    under = 3.2 * _hill(beside, y, (0.0, float(lower_edge) + 6.0), (20.0, 5.0))
    philtrum = 1.0 * _hill(beside, y, (0.0, float(upper_edge) - 4.0), (2.8, 5.0))
    ball = 3.0 * _hill(beside, y, (0.0, layout.chin - 16.0), (16.0 * person.chin_fullness, 12.0))
    return swell * (upper + lower - gap) - under - philtrum + ball
