"""What makes a segmenter's task harder than the masks of our own wardrobe: colours and prints that no look has, things
held before the face, and what cameras and editors do to whole photos."""

from __future__ import annotations

import math

import cv2
import numpy as np


def recoloured(masked: np.ndarray, opaque: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The photo with its mask in any colour, three times in four; half of these are plain, the rest have prints.

    Light, folds and grain stay, though maybe fainter: cloth may be smooth.

    Args:
        masked: (H, W, 3) uint8 RGB.
        opaque: (H, W) uint8, how opaque the mask is; its edge stays soft, and its shadow a shadow.
    """
    inside = opaque > 0
    if rng.random() < 0.25 or not inside.any():
        return masked
    cloth = masked[inside].astype(np.float32)
    grey = cloth @ np.array([0.299, 0.587, 0.114], np.float32)
    keep = rng.uniform(0, 1)
    shade = (grey / max(float(grey.mean()), 1.0))[:, None] ** np.float32(rng.uniform(0.2, 1))
    changed = keep * cloth + (1 - keep) * shade * _dye(rng)
    for _ in range(max(0, int(rng.integers(-2, 4)))):
        amount = _print(opaque.shape, rng)[inside][:, None]
        changed = changed * (1 - amount) + amount * shade * _dye(rng)
    result = masked.copy()
    share = opaque[inside].astype(np.float32)[:, None] / 255
    result[inside] = np.clip(changed * share + cloth * (1 - share), 0, 255).astype(np.uint8)
    return result


def _dye(rng: np.random.Generator) -> np.ndarray:
    """(3,) float32, RGB: black and white as often as what lies between, grey as often as colours that glow."""
    tint = 1 - rng.uniform(0, 1) * rng.uniform(0, 1, 3)
    return (rng.uniform(8, 250) * tint / tint.max()).astype(np.float32)


def _print(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32, 0 to 1: how much of a second colour there is; stripes, dots or blotches."""
    height, width = shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    turn, period = rng.uniform(0, math.pi), rng.uniform(0.02, 0.2) * height
    along = (x * math.cos(turn) + y * math.sin(turn)) * (2 * math.pi / period)
    across = (y * math.cos(turn) - x * math.sin(turn)) * (2 * math.pi / period)
    sort = rng.integers(3)
    if sort == 0:
        wave = np.sin(along)
    elif sort == 1:
        wave = np.sin(along) + np.sin(across) - 0.5
    else:
        noise = rng.standard_normal((max(2, int(height / period)), max(2, int(width / period)))).astype(np.float32)
        wave = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(wave * 4 + 0.5, 0, 1) * np.float32(rng.uniform(0.3, 1))


def with_object(photo: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The photo with a hand, a microphone or a piece of cloth before the lower face, one time in four.

    Args:
        photo: (H, W, 3) uint8 RGB.
        landmarks: (68, 2) in its pixels.
    """
    nothing = np.zeros(photo.shape[:2], np.uint8)
    if rng.random() < 3 / 4:
        return photo
    width = float(np.linalg.norm(landmarks[16] - landmarks[0]))
    mouth = landmarks[48:68].mean(0)
    sort = rng.integers(3)
    where = (_fingers, _microphone, _blob)[sort](nothing, mouth, width, rng)
    soft = cv2.GaussianBlur(where, (0, 0), max(0.5, 0.006 * width))
    cover = _skin(photo, landmarks, rng) if sort == 0 else _stuff(photo, rng, dark=sort == 1)
    alpha = soft[..., None].astype(np.float32) / 255
    edge = cv2.GaussianBlur(where, (0, 0), 0.05 * width)[..., None].astype(np.float32) / 255
    shaded = cover * (0.55 + 0.45 * edge)
    return np.clip(photo * (1 - alpha) + shaded * alpha, 0, 255).astype(np.uint8)


def _fingers(canvas: np.ndarray, mouth: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """A fist or a flat hand: a palm from below, and fingers side by side."""
    drawn = canvas.copy()
    turn = rng.uniform(-1.2, 1.2)
    along, across = np.array([math.sin(turn), -math.cos(turn)]), np.array([math.cos(turn), math.sin(turn)])
    tip = mouth + width * (rng.uniform(-0.35, 0.35) * across + rng.uniform(-0.1, 0.25) * along)
    thick = width * rng.uniform(0.09, 0.14)
    for number in range(int(rng.integers(1, 5))):
        end = tip + across * (number - 1.5) * thick - along * thick * abs(number - 1.5) * 0.3
        start = end - along * width * rng.uniform(0.35, 0.6)
        cv2.line(drawn, _whole(start), _whole(end), 255, max(1, round(thick)), cv2.LINE_AA)
    palm = tip - along * width * 0.6
    cv2.ellipse(drawn, _whole(palm), _whole([width * 0.26, width * 0.32]), math.degrees(turn), 0, 360, 255, -1)
    return drawn


def _microphone(canvas: np.ndarray, mouth: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """A ball or a tube on a rod from below."""
    drawn = canvas.copy()
    head = mouth + width * np.array([rng.uniform(-0.4, 0.4), rng.uniform(0, 0.5)])
    foot = head + width * np.array([rng.uniform(-0.6, 0.6), rng.uniform(0.6, 1.2)])
    size = width * rng.uniform(0.08, 0.2)
    cv2.line(drawn, _whole(head), _whole(foot), 255, max(1, round(size * rng.uniform(0.5, 1.2))), cv2.LINE_AA)
    turn = math.degrees(math.atan2(*(foot - head)[::-1])) - 90
    cv2.ellipse(drawn, _whole(head), _whole([size, size * rng.uniform(1, 1.6)]), turn, 0, 360, 255, -1, cv2.LINE_AA)
    return drawn


def _blob(canvas: np.ndarray, mouth: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """Something with a smooth outline over a part of the lower face: a scarf's end, a cup, somebody's shoulder."""
    drawn = canvas.copy()
    centre = mouth + width * np.array([rng.uniform(-0.7, 0.7), rng.uniform(0.1, 0.8)])
    for _ in range(int(rng.integers(1, 4))):
        place = centre + width * rng.uniform(-0.2, 0.2, 2)
        axes = width * rng.uniform(0.12, 0.4, 2)
        cv2.ellipse(drawn, _whole(place), _whole(axes), rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    return drawn


def _whole(point: np.ndarray | list[float]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _skin(photo: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32: the colour between eyes and cheeks, lighter or darker, as hands are, with grain."""
    height, width = photo.shape[:2]
    points = landmarks[[28, 29, 31, 35, 39, 42]].round().astype(int)
    colours = photo[np.clip(points[:, 1], 0, height - 1), np.clip(points[:, 0], 0, width - 1)]
    colour = np.median(colours, axis=0) * rng.uniform(0.8, 1.15)
    grain = rng.normal(0, 3, photo.shape[:2])[..., None]
    return (colour + grain).astype(np.float32)


def _stuff(photo: np.ndarray, rng: np.random.Generator, *, dark: bool) -> np.ndarray:
    """(H, W, 3) float32: another part of the photo, or one colour with grain."""
    if rng.random() < (0.2 if dark else 0.6):
        moved = np.roll(photo, tuple(rng.integers(photo.shape[0] // 3, photo.shape[0], 2)), (0, 1))
        return moved[:, ::-1].astype(np.float32) * np.float32(rng.uniform(0.6, 1.2))
    colour = rng.uniform(5, 90 if dark else 230, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(5, 120))
    return (colour + rng.normal(0, 4, photo.shape[:2])[..., None]).astype(np.float32)


def photographed(photo: np.ndarray, opaque: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The whole photo in another light and through another camera.

    Args:
        photo: (H, W, 3) uint8 RGB.
        opaque: (H, W) uint8, how opaque the mask is.

    Returns:
        The photo, and how opaque the mask is now that the camera has blurred it: maps hold a mask's soft edge.
    """
    if rng.random() < 0.2:
        return photo, opaque
    levels = np.arange(256, dtype=np.float32) / 255
    gamma, gain = rng.uniform(0.7, 1.4), rng.uniform(0.75, 1.25)
    cast = rng.uniform(0.9, 1.1, 3)
    lift = rng.uniform(-0.08, 0.08)
    table = np.clip((levels[:, None] ** gamma * gain * cast + lift) * 255, 0, 255).astype(np.uint8)
    seen = cv2.LUT(photo, np.ascontiguousarray(table[:, None]))
    if rng.random() < 0.15:
        seen = cv2.cvtColor(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.3:
        sigma = rng.uniform(0.4, 1.6)
        seen, opaque = (cv2.GaussianBlur(image, (0, 0), sigma) for image in (seen, opaque))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 8), seen.shape)
        seen = np.clip(seen + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))]
        stored = cv2.imencode(".jpg", cv2.cvtColor(seen, cv2.COLOR_RGB2BGR), quality)[1]
        seen = cv2.cvtColor(cv2.imdecode(stored, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return seen, opaque
