"""Painting what moves in a face onto its skin: brows, eyes, nostrils and mouth."""

import cv2
import numpy as np

from raymask.demo_faces.arrays import Array
from raymask.demo_faces.head.canvas import Canvas, ellipse, spline
from raymask.demo_faces.head.layout import Layout
from raymask.demo_faces.head.skin import deeper, hair_colour, skin_colour
from raymask.demo_faces.person import Person
from raymask.demo_faces.shot import Shot

_IRIS_TONES = np.array(
    [
        [0.035, 0.018, 0.01],
        [0.11, 0.05, 0.02],
        [0.19, 0.13, 0.05],
        [0.16, 0.22, 0.12],
        [0.14, 0.26, 0.40],
        [0.3, 0.36, 0.4],
    ]
)
_SCLERA = np.array([0.62, 0.57, 0.54])
_TEETH = np.array([0.70, 0.64, 0.55])
_DARKEST_BROW = np.array([0.022, 0.016, 0.013], np.float32)
_IRIS_RADIUS = 6.0  # mm, nearly the same in all grown-ups


def paint_features(canvas: Canvas, person: Person, shot: Shot, layout: Layout) -> None:
    """Paint brows, eyes, nostrils and mouth of `person` in `shot` onto `canvas`."""
    for side in (-1.0, 1.0):
        _paint_eye(canvas, person, shot, layout, side)
        _paint_brow(canvas, person, layout, side)
        _paint_nostril(canvas, person, layout, side)
    _paint_mouth(canvas, person, layout)


def _paint_eye(canvas: Canvas, person: Person, shot: Shot, layout: Layout, side: float) -> None:
    mirror = np.array([side, 1.0])
    corners = layout.points(42, 47) * mirror
    upper = spline(corners[[0, 1, 2, 3]])
    lower = spline(corners[[3, 4, 5, 0]])
    outline = np.concatenate([upper, lower])
    skin = skin_colour(person)
    centre = corners.mean(0)
    _paint_lids(canvas, person, upper, lower, centre)
    region = canvas.region(outline, 2.0)
    inside = canvas.coverage(outline, region, 0.12)
    ball = _eyeball(canvas, person, shot, centre, region)
    # The upper lid and its lashes throw a shadow on the ball.
    shadow = canvas.line_coverage(upper + np.array([0.0, 0.6]), 2.0, region, 0.7)
    ball *= 1.0 - 0.6 * shadow[..., None]
    canvas.blend(region, ball, inside)
    pink = skin * np.array([0.85, 0.55, 0.55], np.float32)
    canvas.fill(ellipse(corners[0, 0] + side * 1.3, corners[0, 1] + 0.2, 1.5, 1.1), pink, opacity=0.7, soft=0.4)
    lash = np.array([0.02, 0.014, 0.012])
    canvas.fill(_stroke(upper, 0.5 + 1.1 * person.lashes, -1.0), lash, opacity=0.6 + 0.35 * person.lashes, soft=0.2)
    canvas.crease(lower, 0.7, deeper(1.0), opacity=0.45 + 0.3 * person.lashes, soft=0.25)


def _stroke(path: Array, width: float, rise: float) -> Array:
    """Outline of a line along `path` that swells to `width` mm in its outer two thirds, on its upper side."""
    swell = np.sin(np.pi * np.linspace(0.06, 0.94, len(path))) ** 0.6
    edge = path + np.stack([np.zeros(len(path)), rise * width * swell], 1)
    return np.concatenate([path + np.array([0.0, 0.3]), edge[::-1]])


def _paint_lids(canvas: Canvas, person: Person, upper: Array, lower: Array, centre: Array) -> None:
    canvas.darken(ellipse(centre[0], centre[1] - 5, 14, 7), deeper(0.22), soft=3.5)
    rise = np.sin(np.pi * np.linspace(0.0, 1.0, len(upper))) ** 0.7
    fold = upper - np.stack([np.zeros(len(upper)), 0.8 + person.lid_fold * rise], 1)
    canvas.crease(fold, 0.8, deeper(1.1), opacity=0.75, soft=0.45)
    below = lower + np.array([0.0, 3.0 + 1.5 * person.eye_bags])
    canvas.crease(below, 1.0, deeper(0.6), opacity=0.2 + 0.5 * person.eye_bags, soft=1.0)


def _eyeball(canvas: Canvas, person: Person, shot: Shot, centre: Array, region: tuple[slice, slice]) -> Array:
    """(h, w, 3) the ball behind the lids: white, iris, pupil and the light's reflection."""
    rows, columns = np.mgrid[region].astype(np.float32)
    x = (columns + 0.5) / canvas.density - (canvas.image.shape[1] / canvas.density / 2) - centre[0]
    y = (rows + 0.5 - float(canvas.pixels(centre)[1]) - 0.5) / canvas.density
    ball = _dimmed(_SCLERA, person) * (1.0 - 0.30 * np.clip((np.abs(x) - 4) / 9, 0, 1))[..., None] ** np.array(
        [0.7, 1.1, 1.2]
    )
    gaze_x, gaze_y = 2.5 * shot.gaze_x, 1.2 * shot.gaze_y - 0.6
    radius = np.hypot(x - gaze_x, y - gaze_y)
    tone = np.array([np.interp(5.0 * person.iris, np.arange(6.0), _IRIS_TONES[:, c]) for c in range(3)])
    turn = np.arctan2(y - gaze_y, x - gaze_x)
    fibres = 1.0 + 0.22 * np.sin(17 * turn + 3 * np.sin(5 * turn)) * np.clip(radius / 5, 0, 1)
    limbus = 1.0 - 0.65 * np.clip((radius - 4.6) / 1.3, 0, 1)
    iris = tone * (fibres * limbus * (1.25 - 0.09 * radius))[..., None]
    ball += (iris - ball) * np.clip((_IRIS_RADIUS - radius) * canvas.density + 0.5, 0, 1)[..., None]
    ball *= 1.0 - 0.97 * np.clip((2.3 - radius) * canvas.density + 0.5, 0, 1)[..., None]
    glint_x = gaze_x + 2.6 * np.sin(np.radians(shot.light_azimuth))
    glint = np.clip(1.6 - np.hypot(x - glint_x, y - gaze_y + 2.2), 0, 1)
    return (ball + 0.9 * glint[..., None]).astype(np.float32)


def _dimmed(white: Array, person: Person) -> Array:
    """(3,) a white that does not glare once a dark face around it has been exposed brighter."""
    return white * (0.5 + 0.5 * min(1.0, float(skin_colour(person).mean()) / 0.4))


def _paint_brow(canvas: Canvas, person: Person, layout: Layout, side: float) -> None:
    rng = np.random.default_rng([person.texture_seed, 2, int(side > 0)])
    path = spline(layout.points(22, 26)) * [side, 1.0]
    count = len(path)
    along = np.linspace(0, 1, count)
    thickness = person.brow_thickness * np.interp(along, [0, 0.12, 0.5, 1], [0.75, 1.0, 0.85, 0.25])
    down = np.stack([np.zeros(count), thickness], 1)
    top = path - 0.25 * down
    outline = np.concatenate([top, (path + 0.75 * down)[::-1]])
    hair = hair_colour(person) * 0.6
    colour = hair + (_DARKEST_BROW - hair) * (0.25 + 0.7 * person.brow_darkness)
    canvas.fill(outline, colour, opacity=0.2 + 0.5 * person.brow_density**1.5, soft=0.8)
    region = canvas.region(outline, 4.0)
    strands = np.zeros((region[0].stop - region[0].start, region[1].stop - region[1].start), np.uint8)
    corner = (region[1].start, region[0].start)
    number = round(60 + 160 * person.brow_density)
    at = rng.random(number)
    root = top[(at * (count - 1)).astype(int)] + down[(at * (count - 1)).astype(int)] * rng.uniform(0, 1, (number, 1))
    # Hairs stand up at the inner end and lie along the brow further out.
    lean = np.radians(np.interp(at, [0, 0.25, 0.6, 1], [-75, -45, -18, 8]) + rng.normal(0, 9, number))
    length = rng.uniform(3, 6.5, number)
    end = root + np.stack([side * np.cos(lean), np.sin(lean)], 1) * length[:, None]
    lines = np.round((canvas.pixels(np.stack([root, end], 1)) - corner) * 16).astype(np.int32)
    cv2.polylines(strands, list(lines), False, 200, 1, cv2.LINE_AA, 4)
    alpha = strands.astype(np.float32) / 255.0 * canvas.coverage(outline, region, 1.0) ** 0.5
    canvas.blend(region, colour, alpha)


def _paint_nostril(canvas: Canvas, person: Person, layout: Layout, side: float) -> None:
    base = float(layout.point(33)[1])
    half = 0.5 * person.nose_width
    canvas.darken(ellipse(side * 0.42 * half, base - 2.6, 0.26 * half, 1.9, side * 14), deeper(3.2), soft=0.6)
    wing = np.array(
        [[half - 2.5, base - 13], [half + 0.3, base - 8.0], [half - 0.5, base - 3.0], [half - 4.5, base - 1.6]]
    )
    canvas.crease(spline(wing * [side, 1.0]), 0.9, deeper(1.0), opacity=0.6, soft=0.7)
    under = np.array([[0.0, base + 0.5], [0.3 * half, base - 0.2], [0.75 * half, base - 1.5]])
    canvas.crease(under * [side, 1.0], 1.4, deeper(0.7), opacity=0.5, soft=0.9)


def _paint_mouth(canvas: Canvas, person: Person, layout: Layout) -> None:
    skin = skin_colour(person)
    outer, inner = layout.points(48, 59), layout.points(60, 67)
    top, bottom = spline(outer[:7]), spline(np.concatenate([outer[6:], outer[:1]]))
    inner_top = spline(np.stack([outer[0], *inner[:5][1:4], outer[6]]))
    inner_bottom = spline(np.stack([outer[6], *inner[5:], outer[0]]))
    red = skin * np.power(np.array([0.86, 0.56, 0.58], np.float32), 0.5 + 1.0 * person.lip_colour)
    outline = np.concatenate([top, bottom])
    canvas.fill(outline, red, opacity=0.88, soft=0.45)
    canvas.darken(np.concatenate([top, inner_top[::-1]]), deeper(0.3), soft=0.8)
    cavity = np.concatenate([inner_top, inner_bottom])
    if layout.gap > 0.8:
        _paint_cavity(canvas, person, layout, cavity, inner_top)
    canvas.crease(inner_top, 0.9, deeper(2.4), opacity=0.85, soft=0.35)
    under = bottom + np.array([0.0, 2.5])
    canvas.crease(under[6:-6], 2.0, deeper(0.4), opacity=0.5, soft=1.4)
    for corner in (outer[0], outer[6]):
        canvas.darken(ellipse(corner[0], corner[1], 1.8, 1.4), deeper(1.0), opacity=0.7, soft=0.8)


def _paint_cavity(canvas: Canvas, person: Person, layout: Layout, cavity: Array, inner_top: Array) -> None:
    """Teeth below the upper lip, dark below them."""
    region = canvas.region(cavity, 1.0)
    inside = canvas.coverage(cavity, region, 0.2)
    canvas.blend(region, np.array([0.05, 0.016, 0.014], np.float32), inside)
    show = min(0.5 * layout.gap + 1.5, 6.5)
    teeth = np.concatenate([inner_top[3:-3], (inner_top[3:-3] + np.array([0.0, show]))[::-1]])
    alpha = canvas.coverage(teeth, region, 0.3) * inside * (0.7 + 0.25 * max(layout.smile, 0.0))
    columns = np.arange(region[1].start, region[1].stop) / canvas.density
    middle = canvas.image.shape[1] / canvas.density / 2
    beside = np.abs(columns - middle)
    gaps = 1.0 - 0.35 * np.clip(1 - (beside / 7.2 % 1.0) / 0.06, 0, 1)
    dim = gaps * np.clip(1.1 - beside / 40.0, 0, 1)
    canvas.blend(region, _dimmed(_TEETH, person) * dim[None, :, None], alpha)
