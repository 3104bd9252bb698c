"""Prepared faces as an embedder is to see them: in a fresh mask at each visit, aligned, and altered as by cameras.

Masks are drawn from the stored landmarks, so that no face is seen twice alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raymask.data.augment.redraw import Redraw
from raymask.data.reading.crops import Crops
from raymask.data.reading.sampler import BatchPhoto
from raymask.faces.alignment import Alignment, align
from raymask.faces.crop import CROP_SIZE, resize_crop
from raymask.faces.masks import Textures, draw_mask, pick_look

_SMALLEST = 48
"""Pixels of the smallest crop that an altered face is drawn on: a face of 40."""
_STRAY = {"turn": 2.5, "shift": 0.025, "zoom": 0.06, "stray": 0.01}
"""How far a face strays from where its points should lie, as `Redraw` takes it: a little more than the aligner leaves
it in use. On 564 masked LFW photos that was 1.9 degrees, 0.03 to 0.04 distances of the eyes or 1.4% of the side, and 5%
of the size (half of what lies between the 5th and the 95th percentile, over 1.64)."""
_STRAY_OF_BOX = {"turn": 4.0, "shift": 0.03, "zoom": 0.06}
"""The same of faces that are cut out around a detector's box."""


@dataclass(frozen=True, kw_only=True)
class Dressing:
    """What becomes of a prepared face before a network sees it."""

    looks: tuple[str, ...] | None = None
    """Masks that are drawn afresh; None: those that the faces were prepared with."""
    textures: Textures | None = None
    """The pictures that the look cloth:own is made of."""
    alignment: Alignment | None = None
    """Where the five points come to lie; None: crops as they are."""
    altered: bool = False
    """Whether size, light, colours and sharpness change, masks take colours and prints that no look has, hands and
    things come before bare faces, and the points stray."""

    @property
    def plain(self) -> bool:
        """Whether faces stay as they were prepared."""
        return self == Dressing()


class FreshFaces:
    """Dresses the crops of a store; holds 292 bytes of landmarks and points a photo."""

    def __init__(self, store: Crops, dressing: Dressing, *, quiet: bool = False) -> None:
        """Raises DataError if landmarks or points cannot be read."""
        self._store, self._dressing = store, dressing
        self._landmarks = store.landmarks(quiet=quiet)
        self._points = store.points(quiet=quiet)

    def pixels(self, shots: Sequence[BatchPhoto], size: int, draws: np.ndarray) -> np.ndarray:
        """As `Crops.pixels`, each face dressed as its draw says.

        Args:
            shots: B of them.
            size: of the faces, pixels.
            draws: (B,) whole numbers of at least 0, of which each decides a face.
        """
        fresh = self._dressing.looks is not None
        read = [BatchPhoto(shot.row, shot.masked and not fresh) for shot in shots]
        crops = self._store.pixels(read, CROP_SIZE).transpose(0, 2, 3, 1)
        faces = np.empty((len(shots), size, size, 3), dtype=np.uint8)
        for place, (shot, draw) in enumerate(zip(shots, draws.tolist(), strict=True)):
            if self._dressing.altered:
                faces[place] = self._altered(crops[place], shot, size, draw)
            else:
                faces[place] = self._drawn(crops[place], shot, size, draw)
        return faces.transpose(0, 3, 1, 2)

    def _drawn(self, crop: np.ndarray, shot: BatchPhoto, size: int, draw: int) -> np.ndarray:
        if shot.masked and self._dressing.looks is not None:
            look, landmarks = pick_look(self._dressing.looks, draw), self._landmarks[shot.row].astype(np.float64)
            crop, _ = draw_mask(crop, landmarks, look, draw, textures=self._dressing.textures)
        if self._dressing.alignment is None:
            return resize_crop(crop, size)
        return align(crop, self._points[shot.row].astype(np.float64), self._dressing.alignment, size)

    def _altered(self, crop: np.ndarray, shot: BatchPhoto, size: int, draw: int) -> np.ndarray:
        redraw = Redraw(
            side=size,
            looks=self._dressing.looks or (),
            textures=self._dressing.textures,
            strong=True,
            smallest=_SMALLEST,
            mirror=False,
            alignment=self._dressing.alignment,
            **(_STRAY_OF_BOX if self._dressing.alignment is None else _STRAY),
        )
        crop, rng = np.ascontiguousarray(crop), np.random.default_rng(draw)
        draws_mask = shot.masked and self._dressing.looks is not None
        return redraw.face(
            crop, self._landmarks[shot.row], self._points[shot.row], rng, masked=draws_mask, things=not shot.masked
        )
