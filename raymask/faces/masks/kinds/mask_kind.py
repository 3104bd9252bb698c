"""What is known of one kind of mask, and of what else can be before a face."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Floats = NDArray[np.float64]

Rgb = tuple[int, int, int]
"""A colour."""
Palette = tuple[Rgb, Rgb, Rgb]
"""Ground, first and second pattern colour, as seen on a normally exposed photo."""
Palettes = Mapping[str, tuple[Palette, ...]]
"""The palettes of each texture."""

Worn = Literal["", "below-nose", "chin"]
WORN: tuple[Worn, ...] = ("below-nose", "chin")
"""How a mask can be worn wrongly: the nose out, or pulled down under the lips."""

Limb = tuple[float, float, float, float, float]
"""A line with a thickness: from X, Y to X, Y of the pattern, and half its width."""
Detail = Callable[[Array, Array, Array, float], tuple[Array, Array, Array | None]]
"""From X, Y, the distance to the edge (positive inside), all (h, w), and a pixel's size, all in half face widths: the
relief, the factor on the brightness, and how much of it is metal, 0 to 1, or None."""


@dataclass(frozen=True)
class Strap:
    """A band from the mask's edge over the head, as pattern points (n, 2); it is drawn where it faces the camera."""

    path: Floats
    width: float  # in half face widths


@dataclass(frozen=True)
class StandOff:
    """How far the fabric stands off the face: along its middle line by height, less and less sideways.

    A soft mask hangs from nose to chin like a tent, a cup stands off all round.
    """

    heights: tuple[float, ...]
    lengths: tuple[float, ...]
    """At these heights."""
    fade: float
    """Angle, in radians, over which it fades sideways."""
    ridged: bool = False
    """Whether it has a sharp ridge along its middle, as a folded mask keeps; others are round there."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskKind:
    """A kind of mask, in the coordinates (X, Y) of the flat pattern that `surface` explains.

    Kinds are compared and hashed as objects, so that drawings are kept by kind. A kind's name is part of each seed.
    """

    name: str
    detail: Detail
    """Draws its folds and seams."""
    outline: Floats | None = None
    """Closed curve (n, 2), from the bridge of the nose over the right cheek; None: it is made of limbs alone."""
    limbs: tuple[Limb, ...] = ()
    """What it has beside its outline."""
    straps: tuple[Strap, ...] = ()
    """On both sides."""
    elastic: bool = True
    """Whether its straps are dark or pale bands; they have its colour otherwise."""
    softness: float
    """How deep its wrinkles are."""
    stand_off: StandOff
    textures: Palettes
    """What training draws; each texture has a painter of its name."""
    test_textures: Palettes = field(default_factory=dict)
    """For people whom training has not seen either; no texture or palette of these is in `textures`."""
    own: bool = False
    """Whether it can be made of a user's own pictures."""
    worn: tuple[Worn, ...] = WORN
    """How it can be worn wrongly."""
    often_worn: tuple[Worn, ...] = ()
    """How it is worn wrongly often enough that looks of training and tests name it."""
    is_mask: bool = True
    skin: bool = False
    """Whether it is of bare skin: its colours are the face's, and its straps are limbs, which are round."""

    def palettes(self, texture: str) -> tuple[Palette, ...]:
        """Those in which it is made of `texture`."""
        return self.textures.get(texture) or self.test_textures[texture]


def tints(*grounds: Rgb) -> tuple[Palette, ...]:
    """Palettes of a fabric of one colour: the pattern colours are a little darker and lighter than the ground."""
    palettes = []
    for r, g, b in grounds:
        darker = (int(r * 0.86), int(g * 0.86), int(b * 0.86))
        lighter = (min(r + 14, 255), min(g + 14, 255), min(b + 14, 255))
        palettes.append(((r, g, b), darker, lighter))
    return tuple(palettes)
