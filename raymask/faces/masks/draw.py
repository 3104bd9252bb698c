"""Drawing one mask onto one photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raymask.errors import ConfigError, ImageError
from raymask.faces.masks.compose import as_photographed, compose
from raymask.faces.masks.fit import fit_head
from raymask.faces.masks.light import estimate
from raymask.faces.masks.looks import choose, parse_look
from raymask.faces.masks.place import place
from raymask.faces.masks.render import render

if TYPE_CHECKING:
    from raymask.faces.masks.own import Textures

Floats = NDArray[np.float64]

_FARTHEST = 100_000  # pixels; OpenCV cannot draw much farther


def draw_mask(
    photo: NDArray[np.uint8], landmarks: Floats, kind: str, seed: int, *, textures: Textures | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draws a face mask onto the face with these landmarks.

    photo: (H, W, 3) uint8 RGB. landmarks: (68, 2) float in iBUG order, pixels (x, y), also outside the photo.
    kind: a look such as "cloth", "cloth:gingham" or "surgical@chin" (`parse_look`). seed: at least 0; look and seed fix
    every choice. textures: the pictures that "cloth:own" is made of; their names and the seed decide which it is.

    Returns the masked photo, (H, W, 3) uint8, a new array, and its map, (H, W) uint8: 255 where the mask, its straps
    or its shadow cover the photo, 0 elsewhere; where it is 0 the photo is untouched. A hand is no mask: its map is 0
    everywhere.

    Raises ImageError for a photo of another shape or type, ConfigError for a look, seed or landmarks it cannot use, and
    for "cloth:own" without textures.
    """
    masked, covered, _ = draw_mask_layers(photo, landmarks, kind, seed, textures=textures)
    return masked, covered


def draw_mask_layers(
    photo: NDArray[np.uint8], landmarks: Floats, kind: str, seed: int, *, textures: Textures | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """As `draw_mask`, and also how opaque the mask itself is, (H, W) uint8: 255 where none of the face shows through, 0
    where there is none of it; its shadow is no part of it."""
    look = parse_look(kind)
    wear = choose(look, seed, textures)
    check_photo(photo)
    points = checked_landmarks(landmarks)
    fit = fit_head(points)
    masked, covered, opaque = photo.copy(), *(np.zeros(photo.shape[:2], np.uint8) for _ in range(2))
    placed = place(fit, wear, photo.shape)
    if placed is None:
        return masked, covered, opaque
    light = estimate(photo, fit, points)
    layer = as_photographed(render(placed, fit, wear, light), light)
    x0, y0, x1, y1 = placed.window
    window = np.s_[y0:y1, x0:x1]
    masked[window], cover, alpha = compose(photo[window], layer, fit, wear, light)
    if look.is_mask:
        covered[window], opaque[window] = cover, alpha
    return masked, covered, opaque


def check_photo(photo: NDArray[np.uint8]) -> None:
    """Raise ImageError if no mask can be drawn on it."""
    if not isinstance(photo, np.ndarray) or photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        found = f"{photo.dtype} {photo.shape}" if isinstance(photo, np.ndarray) else type(photo).__name__
        raise ImageError(f"A photo to mask must be an array (H, W, 3) of uint8 RGB, not {found}.")
    if min(photo.shape[:2]) < 8:
        raise ImageError(f"A photo to mask must be at least 8 pixels high and wide, not {photo.shape[:2]}.")


def checked_landmarks(landmarks: Floats) -> Floats:
    """(68, 2) float64. Raises ConfigError for another shape or numbers that are none."""
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (68, 2):
        raise ConfigError(f"A mask needs 68 landmarks as an array (68, 2) of x and y, not {points.shape}.")
    if not np.isfinite(points).all():
        raise ConfigError("The landmarks of a mask must be finite numbers; some are NaN or infinite.")
    if np.abs(points).max() > _FARTHEST:
        raise ConfigError(f"The landmarks of a mask must lie within {_FARTHEST:,} pixels of the photo's corner.")
    return points
