"""The skin of a person without its moving features: tone, mottling, freckles, moles, lines, beard."""

from functools import lru_cache

import cv2
import numpy as np

from raymask.demo_faces.arrays import Array
from raymask.demo_faces.head.canvas import ABOVE, BELOW, HALF_WIDTH, Canvas, ellipse, spline
from raymask.demo_faces.head.form import smooth_curve
from raymask.demo_faces.person import Person

_TONES = np.array(  # reflectance in linear light from little melanin to much
    [[0.78, 0.56, 0.47], [0.66, 0.43, 0.32], [0.50, 0.29, 0.19], [0.32, 0.17, 0.10], [0.165, 0.08, 0.048]]
)
_HAIR_TONES = np.array([[0.46, 0.32, 0.16], [0.24, 0.145, 0.07], [0.10, 0.055, 0.028], [0.022, 0.016, 0.013]])
_RED_HAIR = np.array([0.30, 0.085, 0.025])
_GREY_HAIR = np.array([0.30, 0.29, 0.28])


def skin_colour(person: Person) -> Array:
    """(3,) reflectance of the skin, in linear light."""
    at = np.full(1, 4.0 * person.melanin)
    return np.array([smooth_curve(at, np.arange(5.0), _TONES[:, c])[0] for c in range(3)], np.float32)


def hair_colour(person: Person) -> Array:
    """(3,) reflectance of the hair, in linear light."""
    at = 3.0 * person.hair_darkness
    brown = np.array([np.interp(at, np.arange(4.0), _HAIR_TONES[:, c]) for c in range(3)])
    red = person.hair_red * (1.0 - 0.7 * person.hair_darkness)
    colour = brown + (_RED_HAIR - brown) * red
    return (colour + (_GREY_HAIR - colour) * person.hair_grey).astype(np.float32)


def deeper(strength: float) -> Array:
    """(3,) factor that darkens skin the way blood and shade do: blue and green go first."""
    return np.power(np.array([0.62, 0.42, 0.38]), strength).astype(np.float32)


@lru_cache(maxsize=2)
def bare_skin(person: Person, density: float) -> Canvas:
    """The canvas that eyes, brows and mouth are painted on. Shared: copy it before painting."""
    rng = np.random.default_rng([person.texture_seed, 1])
    canvas = Canvas.blank(density, skin_colour(person))
    _mottle(canvas, rng)
    _flush(canvas, person)
    _spots(canvas, person, rng)
    _lines(canvas, person)
    if person.beard > 0:
        _beard(canvas, person, rng)
    canvas.image.setflags(write=False)
    return canvas


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Array:
    """(H, W) smooth noise of mean 0 and standard deviation about 1, whose blobs are `cell` pixels wide."""
    small = (max(2, round(shape[0] / cell)), max(2, round(shape[1] / cell)))
    field = rng.standard_normal(small, np.float32)
    return 1.3 * cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def _mottle(canvas: Canvas, rng: np.random.Generator) -> None:
    shape = canvas.image.shape[:2]
    value = 0.022 * noise(rng, shape, 16 * canvas.density) + 0.016 * noise(rng, shape, 4 * canvas.density)
    value += 0.018 * noise(rng, shape, 1.1 * canvas.density)
    hue = 0.025 * noise(rng, shape, 9 * canvas.density)
    canvas.image[:] *= np.stack([1 + value, 1 + value - hue, 1 + value - hue], 2)


def _flush(canvas: Canvas, person: Person) -> None:
    """Red cheeks, nose and chin; yellower forehead."""
    strength = 0.25 + 0.75 * person.redness
    red = np.array([1.0, 0.84, 0.85], np.float32)
    for side in (-1, 1):
        canvas.darken(ellipse(side * 42, 32, 19, 14), red, opacity=strength, soft=8)
        canvas.darken(ellipse(side * 31, 8, 14, 5), deeper(0.35), opacity=person.eye_bags, soft=2.5)
    canvas.darken(ellipse(0, 36, 10, 9), red, opacity=strength, soft=4)
    canvas.darken(ellipse(0, person.chin_drop - 14, 12, 8), red, opacity=0.6 * strength, soft=5)


def _spots(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    brown = np.array([0.68, 0.55, 0.45], np.float32)
    for _ in range(round(260 * person.freckles)):
        x, y = rng.normal(0, 30), rng.normal(20, 20)
        radius = rng.uniform(0.4, 1.1)
        canvas.darken(ellipse(x, y, radius, radius), brown, opacity=rng.uniform(0.3, 0.9), soft=0.3)
    for _ in range(int(person.moles)):
        x, y = rng.uniform(-52, 52), rng.uniform(-50, 90)
        radius = rng.uniform(0.9, 2.2)
        canvas.darken(ellipse(x, y, radius, radius), np.array([0.30, 0.20, 0.17]), soft=0.25)


def _lines(canvas: Canvas, person: Person) -> None:
    """Lines across the forehead, between the brows and beside the eyes."""
    dark = deeper(0.8)
    strength = max(0.0, person.wrinkles - 0.2)
    if strength == 0.0:
        return
    x = np.linspace(-34, 34, 9)
    for row in range(3):
        y = -person.hairline + 9 + 8.5 * row
        path = np.stack([x, y + 1.5 * np.cos(x / 11 + row) - 0.002 * x**2], 1)
        canvas.crease(spline(path), 1.4, dark, opacity=0.6 * strength, soft=0.9)
    for side in (-1, 1):
        canvas.crease(np.array([[side * 4.5, -20], [side * 4, -9]]), 0.9, dark, opacity=0.8 * strength, soft=0.5)
        outer = person.eye_spacing / 2 + person.eye_width / 2
        for slant in (-5.0, 0.5, 6.0):
            path = np.array([[side * (outer + 4), 1 + 0.35 * slant], [side * (outer + 15), 1 + 1.3 * slant]])
            canvas.crease(path, 0.7, dark, opacity=0.7 * strength, soft=0.4)


def _beard(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """Stubble to full beard, by how many hairs stand on the area where beards grow."""
    shape = canvas.image.shape[:2]
    height = np.arange(shape[0], dtype=np.float32)[:, None] / canvas.density - ABOVE
    beside = np.abs(np.arange(shape[1], dtype=np.float32)[None] / canvas.density - HALF_WIDTH)
    lip = person.nose_length + 3.0
    mouth = person.nose_length + person.philtrum
    ring = np.hypot(beside / 35.0, (height - mouth - 4.0) / (0.75 * (person.chin_drop - mouth) + 8.0))
    around = np.clip((1.0 - ring) / 0.3, 0, 1) * np.clip((height - lip) / 5.0, 0, 1)
    # Up to the ears, the upper edge of the beard runs from the corner of the mouth to the sideburn.
    edge = mouth + 8.0 - 40.0 * np.clip((beside - 34.0) / 30.0, 0, 1) ** 1.5
    wide = np.clip((height - edge) / 9.0, 0, 1)
    area = np.maximum(around, wide * person.beard_spread)
    area *= 1.0 - 0.8 * np.exp(-((beside / 9) ** 2) - (((height - mouth - 19.0) / 4) ** 2))
    hairs = noise(rng, shape, 0.45 * canvas.density + 0.5) + 0.5 * noise(rng, shape, 1.5 * canvas.density)
    cover = np.clip(area * (0.15 + 1.1 * person.beard) + 0.3 * hairs * np.sqrt(area) * person.beard, 0, 0.95)
    tone = hair_colour(person) * (1.0 + 0.25 * np.clip(hairs, -2, 2))[..., None]
    canvas.blend((slice(0, shape[0]), slice(0, shape[1])), tone, cover * (height < BELOW))
