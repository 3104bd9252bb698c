"""From a person and a shot to a photo with landmarks."""

import cv2
import numpy as np
from numpy.typing import NDArray

from raymask.demo_faces.arrays import Array, Image
from raymask.demo_faces.head.ears import ear
from raymask.demo_faces.head.features import paint_features
from raymask.demo_faces.head.form import Head, build_head, landmark_points, normals_of
from raymask.demo_faces.head.hair import covers_ears, hair_texture, hanging_hair, raise_hair
from raymask.demo_faces.head.layout import Layout, lay_out
from raymask.demo_faces.head.skin import bare_skin, skin_colour
from raymask.demo_faces.person import Person
from raymask.demo_faces.photo import DemoPhoto
from raymask.demo_faces.shot import Shot
from raymask.demo_faces.studio.camera import SUPERSAMPLING, Camera, camera_for, fill_pinholes, splat
from raymask.demo_faces.studio.light import Light, develop, light_of
from raymask.demo_faces.studio.scene import background, draw_body

_CANVAS_DENSITY = 2.2  # pixels a mm of the face's flat picture, for a photo of 250 pixels
_POINT_ROWS, _POINT_COLUMNS = 520, 600  # points of the head that are drawn, for a photo of 250 pixels
_FOREHEAD_SHARE = 0.34  # of the distance from brows to chin, what the box adds above the brows


def take(person: Person, shot: Shot, size: int) -> DemoPhoto:
    """The photo of `person` that `shot` describes, `size` x `size` pixels."""
    layout = lay_out(person, shot)
    head = build_head(person, layout)
    camera = camera_for(shot, size)
    light = light_of(shot, skin_colour(person))
    rng = np.random.default_rng([shot.scene_seed, 7])
    close = camera_for(shot, size * SUPERSAMPLING)
    image = background(rng, size * SUPERSAMPLING)
    hair = hanging_hair(person)
    if hair is not None:
        _draw_grid(image, [_lit_hair(hair, close, light)])
    draw_body(image, person, close, light, rng, layout.chin)
    grids = [_lit_head(person, shot, layout, head, close, light, size / 250)]
    if hair is not None:
        _draw_grid(image, [_lit_hair(hair, close, light, front_only=True)])
    if not covers_ears(person):
        grids += [_lit_ear(person, side, close, light) for side in (-1.0, 1.0)]
    _draw_grid(image, grids)
    # The camera counts from the corner of the first pixel, a photo's coordinates from its centre.
    landmarks = camera.project(landmark_points(head, layout, camera.facing))[:, :2] - np.float32(0.5)
    return DemoPhoto(
        image=_expose(image, shot, size, rng), landmarks=landmarks, box=_box(landmarks), person=person, shot=shot
    )


_Grid = tuple[Array, Image, NDArray[np.bool_]]


def _lit_head(
    person: Person, shot: Shot, layout: Layout, head: Head, camera: Camera, light: Light, zoom: float
) -> _Grid:
    """The head's points in the image, their colours, and whether they face the camera."""
    canvas = bare_skin(person, _CANVAS_DENSITY * zoom).copy()
    paint_features(canvas, person, shot, layout)
    covered = raise_hair(head, person)
    normals = (normals_of(covered.points) @ camera.facing.T).astype(np.float32)
    cavity = cv2.GaussianBlur(head.points[..., 2], (0, 0), 3.0) - head.points[..., 2]
    cavity[:, np.abs(np.cos(head.angles)) < 0.5] = 0.0
    openness = np.clip(1.0 - 0.17 * np.clip(cavity, 0, None), 0.45, 1.0)
    oily = 0.05 + 0.02 * np.clip(-cavity, 0, 2)
    columns, rows = round(_POINT_COLUMNS * zoom), round(_POINT_ROWS * zoom)

    def finer(grid: Array) -> Array:
        return cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_LINEAR)

    projected = finer(camera.project(covered.points))
    places = finer(canvas.pixels(head.points[..., :2]).astype(np.float32))
    skin = cv2.remap(canvas.image, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    opacity, tone = hair_texture(person, rows, columns)
    skin *= 1.0 - 0.25 * cv2.GaussianBlur(opacity, (0, 0), 8 * zoom)[..., None]
    albedo = skin + (tone - skin) * opacity[..., None]
    lit = albedo * finer(light.diffuse(normals, openness))
    shine = finer(light.shine(normals, 22.0) * oily)
    lit += (shine * (1.0 - 0.7 * opacity))[..., None] * light.key
    return projected, develop(lit), finer(normals[..., 2]) > -0.05


def _lit_ear(person: Person, side: float, camera: Camera, light: Light) -> _Grid:
    points, normals, colour, openness = ear(person, side)
    turned = (normals @ camera.facing.T).astype(np.float32)
    return _finer(
        camera.project(points), develop(colour * light.diffuse(turned, openness)), np.ones(points.shape[:2], bool)
    )


def _lit_hair(hair: tuple[Array, Array, Array], camera: Camera, light: Light, *, front_only: bool = False) -> _Grid:
    """Hanging hair; with `front_only` just the part that hangs beside the face rather than behind it."""
    points, normals, colour = hair
    turned = (normals @ camera.facing.T).astype(np.float32)
    # The shell is seen from inside behind the neck, where it is dark.
    inside = turned[..., 2] < 0
    openness = np.where(inside, 0.25, 0.85).astype(np.float32)
    lit = colour * light.diffuse(turned, openness)
    visible = points[..., 2] > -30.0 if front_only else np.ones(points.shape[:2], bool)
    return _finer(camera.project(points), develop(lit), visible)


def _finer(projected: Array, colour: Image, visible: NDArray[np.bool_]) -> _Grid:
    """The same grid with enough points for its widest gap to be below a pixel."""
    steps = np.abs(np.diff(projected[..., :2], axis=1)).max(), np.abs(np.diff(projected[..., :2], axis=0)).max()
    columns, rows = (
        int(n * min(6.0, max(1.0, 1.3 * step))) for n, step in zip(visible.shape[::-1], steps, strict=True)
    )
    shown = cv2.resize(visible.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(projected, (columns, rows)), cv2.resize(colour, (columns, rows)), shown > 0


def _draw_grid(image: Image, grids: list[_Grid]) -> None:
    """Draw grids of points over `image`, the nearest point of all of them on top."""
    layer = np.zeros((*image.shape[:2], 4), np.uint8)
    places = np.concatenate([projected.reshape(-1, 3) for projected, _, _ in grids])
    colour = np.concatenate([tone.reshape(-1, 3) for _, tone, _ in grids])
    splat(layer, places, colour, np.concatenate([visible.ravel() for _, _, visible in grids]))
    layer = fill_pinholes(layer)
    np.copyto(image, layer[..., :3], where=layer[..., 3:] > 0)


def _expose(image: Image, shot: Shot, size: int, rng: np.random.Generator) -> Image:
    """Down to `size` pixels, through the lens and onto the sensor."""
    photo = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    photo = cv2.GaussianBlur(photo, (0, 0), shot.focus_blur * size / 250).astype(np.float32)
    grey = photo @ np.array([0.299, 0.587, 0.114], np.float32)
    photo = grey[..., None] + (photo - grey[..., None]) * np.float32(shot.saturation)
    photo += shot.sensor_noise * rng.standard_normal(photo.shape, np.float32)
    return np.clip(np.round(photo), 0, 255).astype(np.uint8)


def _box(landmarks: Array) -> Array:
    """(4,) x0, y0, x1, y1 around the face from the forehead to the chin."""
    left, right = landmarks[:, 0].min(), landmarks[:, 0].max()
    brows, chin = landmarks[17:27, 1].min(), landmarks[:17, 1].max()
    return np.array([left, brows - _FOREHEAD_SHARE * (chin - brows), right, chin], np.float32)
