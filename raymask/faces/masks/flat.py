"""Masks as MaskTheFace lays them on (Anwar and Raychowdhury 2020, arXiv 2008.11104): a flat picture over six points.

There is no light on them, no fold meets the face, straps are missing, edges are hard, and cheeks that are turned away
look like those that are not. Those who train on such masks should be asked about others, and the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from raymask.faces.masks import shapes
from raymask.faces.masks.draw import check_photo, checked_landmarks
from raymask.faces.masks.looks import Wear, choose, parse_look
from raymask.faces.masks.textures import paint

if TYPE_CHECKING:
    from raymask.faces.masks.own import Textures

Floats = NDArray[np.float64]

_PPU = 200
"""Pixels of the picture for half a face."""

_CORNERS = np.array([(-1.05, 0.55), (0.0, 0.24), (1.05, 0.55), (0.88, 1.40), (0.0, 1.86), (-0.88, 1.40)])
"""(6, 2) where the six points lie in the pattern: upper corners, bridge of the nose, lower corners, chin."""


def draw_flat_mask(
    photo: NDArray[np.uint8], landmarks: Floats, kind: str, seed: int, *, textures: Textures | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Lay the picture of a mask over a face; arguments and results as `draw_mask`'s.

    Of a look only fabric and colours count, not how it is worn.
    """
    look = parse_look(kind)
    wear = choose(look, seed, textures)
    check_photo(photo)
    points = six_points(checked_landmarks(landmarks))
    drawn = shapes.pattern(wear.kind, wear.creases, _PPU)
    picture = _fabric(wear) * drawn.shade[..., None]
    picture = np.clip(picture * np.array(wear.tint, np.float32), 0, 255).astype(np.uint8)
    corners = (_CORNERS - (shapes.LEFT, shapes.TOP)) * _PPU - 0.5
    matrix, _ = cv2.findHomography(corners, points)
    if matrix is None:
        return photo.copy(), np.zeros(photo.shape[:2], np.uint8)
    size = photo.shape[1::-1]
    laid = cv2.warpPerspective(picture, matrix, size)
    mask_map = np.where(cv2.warpPerspective(drawn.alpha, matrix, size) > 0.5, 255, 0).astype(np.uint8)
    masked = np.where(mask_map[..., None] > 0, laid, photo)
    return masked, mask_map if look.is_mask else np.zeros_like(mask_map)


def _fabric(wear: Wear) -> NDArray[np.float32]:
    """(h, w, 3), 0 to 255."""
    if wear.picture is not None:
        return wear.picture.tile(_PPU).astype(np.float32)
    layers = paint(wear.texture, wear.variant, _PPU)
    first, second = (layer[..., None].astype(np.float32) / 255 for layer in layers[:2])
    ground, one, two = (np.array(colour, np.float32) for colour in wear.palette)
    fabric: NDArray[np.float32] = ground + first * (one - ground) + second * (two - ground)
    return fabric


def six_points(landmarks: Floats) -> Floats:
    """(68, 2) to (6, 2), in the order of the pattern's corners.

    Upper corners lie where the line of the eyes, lowered by the length of the nose's bridge, meets the outline of the
    chin; lower ones where it does so at the lowest point of the lips; the chin's on the line along the nose.
    """
    left, right = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    along = (right - left) / max(float(np.linalg.norm(right - left)), 1e-6)
    down = np.array([-along[1], along[0]])
    bridge = landmarks[27:31]
    upper = (left + right) / 2 + down * float(np.linalg.norm(bridge[3] - bridge[0]))
    lips = landmarks[48:60]
    lower = lips[int(np.argmax(lips @ down))]
    outline = landmarks[:17]
    a, c = _meets(outline, upper, along)
    f, d = _meets(outline, lower, along)
    chin = _meets(outline, bridge[0], lips[9] - bridge[0])[1]
    return np.array([a, bridge[1:3].mean(0), c, d, chin, f])


def _meets(outline: Floats, point: Floats, direction: Floats) -> tuple[Floats, Floats]:
    """The first and the last place at which the line meets the open outline (n, 2), by how far along it they lie;
    where it misses it, the outline's ends."""
    across = np.array([-direction[1], direction[0]])
    side = (outline - point) @ across
    cut = np.flatnonzero(side[:-1] * side[1:] <= 0)
    if not len(cut):
        return outline[0], outline[-1]
    share = side[cut] / np.where(side[cut] == side[cut + 1], 1, side[cut] - side[cut + 1])
    places = outline[cut] + share[:, None] * (outline[cut + 1] - outline[cut])
    order = np.argsort((places - point) @ direction)
    first, last = places[order[0]], places[order[-1]]
    if len(cut) == 1:  # the other end of the outline hangs over the line
        ahead = (first - point) @ direction > 0
        return (outline[0], first) if ahead else (first, outline[-1])
    return first, last
