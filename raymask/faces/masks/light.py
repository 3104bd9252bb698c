"""How a photo shows its face: brightness and its gradient, colour cast, chroma, blur and grain.

Light is reckoned in squared pixel values (0..1), near enough to linear light and cheap to invert.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from raymask.faces.masks import surface
from raymask.faces.masks.fit import Fit, warp_weights

Floats = NDArray[np.float64]

LUMA = np.array([0.30, 0.59, 0.11])
_SKIN = np.array([1.43, 0.86, 0.60])  # colour of a typical face in neutral light, per unit of luminance
_SKIN_LUMINANCE = 0.42  # of that face, well exposed
_STEEPEST = 0.55  # gradient of the light: more is a beard, hair or a cast shadow
_FEW = 12  # samples of skin below which a photo says nothing about its light


@dataclass(frozen=True)
class FaceLight:
    """The light on a face and the camera's traces.

    gain: factor (3,) on a fabric's light in red, green and blue; skin: (3,) the face's own; gradient: (2,) relative
    change of brightness for a surface turned fully to the photo's right and down; chroma: 0 (black and white photo) to
    1; blur and grain: standard deviations in pixels and in pixel values.
    """

    gain: Floats
    skin: Floats
    gradient: Floats
    chroma: float
    blur: float
    grain: float


def estimate(photo: NDArray[np.uint8], fit: Fit, landmarks: Floats) -> FaceLight:
    """The light on the face that `fit` places in `photo`, (H, W, 3) uint8 RGB, with `landmarks` (68, 2) in pixels."""
    skin, normals = _skin(photo, fit)
    chroma = _chroma(photo, landmarks)
    blur, grain = _sharpness(photo, fit, landmarks)
    if len(skin) < _FEW:
        return FaceLight(np.full(3, 0.8), _SKIN * _SKIN_LUMINANCE, np.zeros(2), chroma, blur, grain)
    luminance = skin @ LUMA
    level, gradient = _gradient(luminance, normals)
    # Skin may be dark by itself: fabric follows the face's brightness by less than its full ratio.
    brightness = np.clip((level / _SKIN_LUMINANCE) ** 0.7, 0.04, 1.15)
    colour = np.median(skin / np.maximum(luminance, 1e-4)[:, None], axis=0)
    cast = _cast(colour, chroma)
    return FaceLight(brightness * cast, level * colour, gradient, chroma, blur, grain)


def _cast(colour: Floats, chroma: float) -> Floats:
    """The light's colour (3,), of luminance 1, by which skin is seen in `colour` (3,), of luminance 1.

    Skins differ in colour, so in a colour photo about half of the difference from typical skin is laid to the light;
    and light differs from warm to cold, hardly from green to pink. A photo without chroma is all cast.
    """
    seen = np.log(np.clip(colour / (chroma * _SKIN + (1 - chroma)), 0.5, 1.8)) * (1.0 - 0.55 * chroma)
    greenish = seen[1] - (seen[0] + seen[2]) / 2
    cast: Floats = np.exp(seen + 0.65 * chroma * greenish * np.array([1, -2, 1]) / 3)
    return cast / max(float(cast @ LUMA), 1e-3)


@lru_cache(maxsize=1)
def _patches() -> tuple[Floats, Floats, Floats]:
    """Pattern points (n, 2) of bare skin, the head's points (n, 3) and normals (n, 3) there."""
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(-1.0, 1.0, 21), np.linspace(-0.45, 1.5, 20)))
    eyes = (np.abs(y) < 0.20) | ((y < 0) & (y > -0.36) & (np.abs(x) > 0.1))
    mouth = (np.abs(x) < 0.45) & (y > 0.56) & (y < 1.25)
    low = (np.abs(x) > 0.75) & (y > 1.2)
    high = (np.abs(x) > 0.45) & (y < -0.3)
    points = np.column_stack([x, y])[~(eyes | mouth | low | high)]
    return points, surface.head(points), surface.normals(surface.head, points)


def _skin(photo: NDArray[np.uint8], fit: Fit) -> tuple[Floats, Floats]:
    """Squared colours (n, 3) of the skin patches seen in the photo, and their normals (n, 3) towards the camera."""
    _, head, normals = _patches()
    pixels, _ = fit.place(head, _patch_weights())
    turned = normals @ fit.rotation.T
    height, width = photo.shape[:2]
    inside = (pixels > 0).all(axis=1) & (pixels[:, 0] < width - 1) & (pixels[:, 1] < height - 1)
    seen = inside & (turned[:, 2] > 0.2)
    near = np.round(pixels[seen]).astype(np.int64)
    return (photo[near[:, 1], near[:, 0]] / 255.0) ** 2, turned[seen]


@lru_cache(maxsize=1)
def _patch_weights() -> Floats:
    return warp_weights(_patches()[0])


def _gradient(luminance: Floats, normals: Floats) -> tuple[float, Floats]:
    """Robust fit of luminance = level * (1 + gradient . normal), the normal's part across the photo."""
    level = float(np.median(luminance))
    design = np.column_stack([np.ones(len(luminance)), normals[:, :2]])
    spread = max(float(np.median(np.abs(luminance - level))), 1e-3)
    solution = np.array([level, 0.0, 0.0])
    for _ in range(4):  # hair, beards and glasses weigh little once they stick out
        weights = 1.0 / np.maximum(np.abs(luminance - design @ solution) / (1.5 * spread), 1.0)
        weighted = design * weights[:, None]
        solution = np.linalg.solve(weighted.T @ design + np.diag([0.0, 4.0, 4.0]), weighted.T @ luminance)
    level = max(float(solution[0]), 0.005)
    gradient = solution[1:] / level
    return level, gradient * min(1.0, _STEEPEST / max(float(np.linalg.norm(gradient)), 1e-6))


def _chroma(photo: NDArray[np.uint8], landmarks: Floats) -> float:
    """0 for a photo of one hue (black and white, sepia) to 1, by how its colours scatter around the face."""
    x0, y0, x1, y1 = _box(landmarks, photo.shape, 0.3)
    thumb = cv2.resize(photo[y0:y1, x0:x1], (24, 24), interpolation=cv2.INTER_AREA).reshape(-1, 3) / 255.0
    luma = thumb @ LUMA
    design = np.column_stack([np.ones(len(luma)), luma, luma**2])
    colour = thumb[:, [0, 2]] - thumb[:, 1:2]
    moments = design.T @ design + 1e-9 * np.eye(3)  # a photo of one brightness has no other
    left = colour - design @ np.linalg.solve(moments, design.T @ colour)
    scatter = 255 * float(np.quantile(np.abs(left), 0.7))  # not the mean: clipped highlights are no colour
    return min(max((scatter - 1.0) / 2.0, 0.0), 1.0)


def _sharpness(photo: NDArray[np.uint8], fit: Fit, landmarks: Floats) -> tuple[float, float]:
    """Blur and grain of the face: its strongest edges against themselves blurred, and its smallest differences."""
    x0, y0, x1, y1 = _box(landmarks[17:60], photo.shape, 0.05, longest=320)
    grey = cv2.cvtColor(photo[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY).astype(np.float32)
    again = min(max(1.0, fit.scale / 60.0), 16.0)
    softer = cv2.GaussianBlur(grey, (0, 0), again)
    steep, softened = _steepness(grey), _steepness(softer)
    strongest = softened >= np.quantile(softened, 0.9)
    ratio = float(steep[strongest].sum()) / max(float(softened[strongest].sum()), 1e-6)
    blur = again / np.sqrt(max(ratio - 1.0, 0.02))
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    grain = float(np.median(np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel)))) / (0.6745 * 6)
    # On a small face the smallest differences are features, not grain.
    return float(np.clip(blur, 0.3, 0.06 * fit.scale + 0.3)), min(grain, 0.06 * fit.scale, 10.0)


def _steepness(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared gradient."""
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return dx * dx + dy * dy


def _box(
    landmarks: Floats, shape: tuple[int, ...], margin: float, longest: int | None = None
) -> tuple[int, int, int, int]:
    """The part of the photo around the landmarks, at least 3 pixels a side: x0, y0, x1, y1."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    low, high = low - margin * (high - low), high + margin * (high - low)
    if longest is not None:
        middle, reach = (low + high) / 2, np.minimum((high - low) / 2, longest / 2)
        low, high = middle - reach, middle + reach
    limit = np.array([shape[1], shape[0]])
    low = np.clip(np.floor(low), 0, np.maximum(limit - 3, 0)).astype(int)
    high = np.clip(np.ceil(high), np.minimum(low + 3, limit), limit).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
