"""Probes: whole photos as they are, and with masks drawn on them afresh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from raymask.data.photo_work import mask_choice
from raymask.data.photos import Photo
from raymask.data.storage import Folder
from raymask.evaluate.config import Drawing
from raymask.evaluate.finder import shared_finder
from raymask.faces import draw_mask
from raymask.faces.images import decode_photo
from raymask.faces.masks import Textures
from raymask.faces.masks.flat import draw_flat_mask


class Probe(NamedTuple):
    """A photo as it is or masked."""

    photo: Photo
    masked: bool


class Probes:
    """Makes the pixels of probes; the same seed and looks give the same pixels, so nothing needs to be kept."""

    def __init__(
        self,
        images: Folder,
        *,
        masks: Sequence[str],
        seed: int,
        drawing: Drawing = "fitted",
        textures: Textures | None = None,
    ) -> None:
        """Take photos from `images` and draw `masks` on them; `textures`: what the look cloth:own is made of."""
        self._images, self._masks, self._seed, self._textures = images, masks, seed, textures
        self._draw = draw_flat_mask if drawing == "flat" else draw_mask

    def look(self, photo: Photo) -> str:
        """The mask that the photo wears when masked, as `parse_look` takes it."""
        return mask_choice(photo.image_id, self._masks, self._seed)[0]

    def bare(self, photo: Photo) -> np.ndarray:
        """The photo, (H, W, 3) uint8 RGB.

        Raises:
            ImageError, UnreadableError: it is no photo, not there, or may not be read.
            DataError: storage fails, now and when it is asked again.
        """
        return decode_photo(self._images.read_patiently(photo.image_id), photo.image_id)

    def masked(self, photo: Photo, bare: np.ndarray) -> np.ndarray | None:
        """The photo `bare` with the mask on its subject; None if no face is found that it would cover."""
        drawn = self.drawn(photo, bare)
        return None if drawn is None else drawn[0]

    def drawn(self, photo: Photo, bare: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The photo as `masked` gives it, and the mask's map, (H, W) uint8 of 0 and 255."""
        face = shared_finder()(bare)
        if face is None:
            return None
        kind, mask_seed = mask_choice(photo.image_id, self._masks, self._seed)
        masked, mask_map = self._draw(bare, face.landmarks, kind, mask_seed, textures=self._textures)
        return None if np.array_equal(masked, bare) else (masked, mask_map)
