"""A picture of masks on invented people, each seen from three sides."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raymask.demo_faces import Person, Shot, render
from raymask.faces.crop import Square
from raymask.faces.masks import Textures, draw_mask

YAWS = (-25.0, 0.0, 25.0)
"""Degrees to which the faces are turned."""
ACROSS, TILE, GAP, CAPTION = 3, 140, 8, 18
"""Looks side by side; pixels of a face, between looks, and for a look's name."""


def draw_look_sheet(looks: Sequence[str], *, seed: int = 0, textures: Textures | None = None) -> bytes:
    """PNG of all looks, each named, on a person of its own; `textures`: what cloth:own is made of.

    Raises ConfigError for a look that cannot be drawn.
    """
    from PIL import Image, ImageDraw

    width = len(YAWS) * TILE
    lines = -(-len(looks) // ACROSS)
    size = (ACROSS * (width + GAP) + GAP, lines * (TILE + CAPTION + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for place, look in enumerate(looks):
        left, top = GAP + place % ACROSS * (width + GAP), GAP + place // ACROSS * (TILE + CAPTION + GAP)
        pen.text((left, top), look, fill="black")
        sheet.paste(Image.fromarray(_views(look, seed + place, textures)), (left, top + CAPTION))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _views(look: str, seed: int, textures: Textures | None) -> np.ndarray:
    """(TILE, 3 TILE, 3): a person in a mask, from the left, from the front and from the right."""
    person, shot = Person.invent(seed), Shot.invent(seed)
    shot = replace(shot, exposure=0.3, focus_blur=0.3, sensor_noise=1, scale=0.76, shift_y=-0.04)
    tiles = []
    for yaw in YAWS:
        photo = render(person, replace(shot, yaw_degrees=yaw), size=500)
        masked, _ = draw_mask(photo.image, photo.landmarks.astype(np.float64), look, seed, textures=textures)
        low, high = photo.landmarks.min(axis=0), photo.landmarks.max(axis=0)
        high[1] += 0.2 * (high[1] - low[1])  # masks reach under the chin
        tiles.append(Square.around(np.concatenate([low, high])).cut(masked, TILE))
    return np.concatenate(tiles, axis=1)
