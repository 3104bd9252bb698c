"""What a photo shows besides the head: background, neck and clothes."""

from dataclasses import dataclass

import cv2
import numpy as np

from raymask.demo_faces.arrays import Array, Image
from raymask.demo_faces.head.canvas import spline
from raymask.demo_faces.head.skin import noise, skin_colour
from raymask.demo_faces.person import Person
from raymask.demo_faces.studio.camera import Camera
from raymask.demo_faces.studio.light import Light, develop

_NECK_DEPTH = -25.0  # mm behind the ears, the middle of the neck


@dataclass(frozen=True)
class _Body:
    """Outlines of the body in an image, in pixels: `neck` (N, 2), `clothes` (M, 2), and the pixels a mm."""

    neck: Array
    clothes: Array
    axis: Array
    scale: float
    chin: float


def background(rng: np.random.Generator, size: int) -> Image:
    """(size, size, 3) RGB backdrop: a wall with a gradient, blurred shapes, lights or stripes."""
    base, other = rng.uniform(0.01, 0.95, (2, 3)) ** rng.uniform(0.7, 2.2)
    small = max(24, size // 6)
    ramp = np.linspace(-1, 1, small)
    angle = rng.uniform(0, 2 * np.pi)
    mix = 0.5 + 0.5 * (np.cos(angle) * ramp[None] + np.sin(angle) * ramp[:, None]) / 1.42
    image = (base + (other - base) * mix[..., None] * rng.uniform(0.2, 1.0)).astype(np.float32)
    for _ in range(int(rng.integers(2, 14))):
        colour = tuple(float(c) for c in rng.uniform(0.0, 1.0, 3) ** 1.8)
        x, y = (int(v) for v in rng.integers(0, small, 2))
        w, h = (int(v) for v in rng.integers(2, small // 2, 2))
        if rng.random() < 0.5:
            cv2.rectangle(image, (x - w // 2, y - h), (x + w // 2, y + h), colour, -1)
        else:
            cv2.circle(image, (x, y), max(2, w // 3), colour, -1)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 3.5))
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    grain = 1.0 + rng.uniform(0.0, 0.05) * noise(rng, (size, size), rng.uniform(3, 14))
    return develop(np.clip(image * grain[..., None], 0, 2) * rng.uniform(0.4, 1.1))


def draw_body(
    image: Image, person: Person, camera: Camera, light: Light, rng: np.random.Generator, chin: float
) -> None:
    """Draw neck, shoulders and clothes into `image` (H, W, 3); `chin` is the chin's height in mm."""
    body = _body(person, camera, rng, chin)
    _draw_neck(image, body, person, light)
    _draw_clothes(image, body, light, rng)


def _body(person: Person, camera: Camera, rng: np.random.Generator, chin: float) -> _Body:
    # The body does not nod or roll with the head: it hangs straight down from where the neck leaves it.
    axis = camera.project(np.array([0.0, 70.0, _NECK_DEPTH]))[:2]
    scale = camera.scale
    half = 0.38 * person.face_width * person.jaw_fullness
    down = chin - 70.0
    slope = rng.uniform(0.30, 0.55)
    side = np.array(
        [[half, -40], [half, down + 10], [half + 5, down + 28], [half + 22, down + 44], [200, down + 52 + 140 * slope]]
    )
    right = spline(side)
    neck = np.concatenate([right * [-1, 1], (right)[::-1], [[0, -40]]])
    collar = down + rng.uniform(18, 40)
    opening = half + rng.uniform(4, 18)
    dip = rng.uniform(5, 45)
    neckline = np.array([[opening, collar], [0.55 * opening, collar + 0.75 * dip], [0, collar + dip]])
    left_line = spline(np.concatenate([neckline * [-1, 1], neckline[::-1][1:]]))
    shoulder = np.array([[opening + 2, collar - 3], [half + 48, down + 50], [205, down + 48 + 140 * slope], [215, 600]])
    right_edge = spline(shoulder)
    clothes = np.concatenate([left_line, right_edge, (right_edge * [-1, 1])[::-1]])
    return _Body(neck=axis + neck * scale, clothes=axis + clothes * scale, axis=axis, scale=scale, chin=down)


def _draw_neck(image: Image, body: _Body, person: Person, light: Light) -> None:
    rows = _rows(image, body.neck)
    width = image.shape[1]
    x = (np.arange(width, dtype=np.float32) - body.axis[0]) / (body.scale * 0.46 * person.face_width)
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) - body.axis[1]) / body.scale - body.chin
    across = np.clip(x, -0.98, 0.98)
    normals = np.stack([across, np.zeros(width), np.sqrt(1 - across**2)], 1)[None].astype(np.float32)
    lit = light.diffuse(normals, np.full((1, width), 0.9, np.float32))
    # The chin's shadow: deep right below it, gone a hand's breadth further down.
    shadow = 0.30 + 0.55 * np.clip(y / 55.0, 0, 1)
    tendon = 1.0 - 0.10 * np.exp(-(((np.abs(x)[None] - 0.25 - 0.25 * (60 - y[:, None]) / 60) / 0.10) ** 2))
    colour = skin_colour(person) * lit * (shadow[:, None] * tendon)[..., None]
    _cover(image, rows, body.neck, develop(colour), 1.0)


def _draw_clothes(image: Image, body: _Body, light: Light, rng: np.random.Generator) -> None:
    rows = _rows(image, body.clothes)
    height, width = rows.stop - rows.start, image.shape[1]
    first, second = (rng.uniform(0.02, 0.9, (2, 3)) ** rng.uniform(0.8, 2.5, (2, 1))).astype(np.float32)
    x = ((np.arange(width, dtype=np.float32) - body.axis[0]) / body.scale)[None]
    y = ((np.arange(rows.start, rows.stop, dtype=np.float32) - body.axis[1]) / body.scale)[:, None]
    kind = rng.integers(4)
    period = rng.uniform(6, 26)
    stripes = np.zeros((height, width), np.float32)
    if kind == 1:
        stripes = np.broadcast_to(np.sin(2 * np.pi * (y - 0.1 * np.abs(x)) / period) > 0.2, stripes.shape)
    elif kind == 2:
        stripes = np.sin(2 * np.pi * x / period) * np.sin(2 * np.pi * y / period) > 0.1
    colour = first + (second - first) * np.asarray(stripes, np.float32)[..., None]
    folds = 1.0 + 0.10 * noise(rng, (height, width), 18 * body.scale)
    turned = np.clip(x / 190.0, -0.9, 0.9)
    normals = np.stack([turned, np.full_like(turned, -0.35), np.sqrt(1 - turned**2)], 2).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    lit = light.diffuse(normals, np.full(turned.shape, 0.9, np.float32))
    linear = colour * lit * folds[..., None]
    _cover(image, rows, body.clothes - np.array([0, 1.2 * body.scale]), develop(0.35 * linear), 2.0 * body.scale)
    _cover(image, rows, body.clothes, develop(linear), 0.0)


def _rows(image: Image, outline: Array) -> slice:
    """The rows of `image` that `outline` (N, 2) reaches, with a margin; at least one."""
    height = image.shape[0]
    top = int(np.clip(outline[:, 1].min() - 8, 0, height - 1))
    return slice(top, int(np.clip(outline[:, 1].max() + 8, top + 1, height)))


def _cover(image: Image, rows: slice, outline: Array, colour: Image, soft: float) -> None:
    """Lay `colour` (h, W, 3) over those `rows` of `image` inside `outline`, whose edge is `soft` pixels wide."""
    mask = np.zeros(colour.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round((outline - [0, rows.start]) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    if soft > 0:
        mask = cv2.GaussianBlur(mask, (0, 0), soft)
    alpha = mask[..., None].astype(np.uint16)
    image[rows] = ((image[rows] * (255 - alpha) + colour * alpha + 127) // 255).astype(np.uint8)
