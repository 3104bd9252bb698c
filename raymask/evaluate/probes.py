"""Probes: whole photos as they are, bare or masked in truth, and with masks drawn on them afresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from raymask.data.prepare.photo_work import mask_choice
from raymask.data.prepare.photos import Photo
from raymask.data.prepare.textures import load_textures
from raymask.evaluate.config import Drawing, EvaluateConfig
from raymask.faces import draw_mask
from raymask.faces.images import decode_photo
from raymask.faces.masks import Textures
from raymask.faces.masks.flat import draw_flat_mask
from raymask.recognisers.face_finder import shared_finder
from raymask.storage import Folder

Source = Literal["images", "masked_images", "crowd_images"]
"""The folder of `EvaluateConfig` that a photo lies in."""


class Probe(NamedTuple):
    """A photo as it is or masked."""

    photo: Photo
    masked: bool
    source: Source = "images"

    @property
    def is_drawn(self) -> bool:
        """Whether its mask is drawn; a photo of `masked_images` shows one already."""
        return self.masked and self.source != "masked_images"


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
        others: Mapping[Source, Folder] | None = None,
    ) -> None:
        """
        Args:
            images: folder of the bare photos.
            masks: looks to draw on them.
            seed: decides who wears which.
            drawing: how they are drawn.
            textures: what the look cloth:own is made of.
            others: the folders of photos that do not lie under `images`.
        """
        self._folders: dict[Source, Folder] = {"images": images, **(others or {})}
        self._masks, self._seed, self._textures = masks, seed, textures
        self._draw = draw_flat_mask if drawing == "flat" else draw_mask

    @classmethod
    def of(cls, config: EvaluateConfig) -> Probes:
        """Of an evaluation. Raises DataError if its textures cannot be read."""
        others: dict[Source, str | None] = {"masked_images": config.masked_images, "crowd_images": config.crowd_images}
        return cls(
            Folder(config.images),
            masks=config.masks,
            seed=config.seed,
            drawing=config.drawing,
            textures=load_textures(config.textures),
            others={source: Folder(uri) for source, uri in others.items() if uri is not None},
        )

    def look(self, photo: Photo) -> str:
        """The mask that the photo wears when masked, as `parse_look` takes it."""
        return mask_choice(photo.image_id, self._masks, self._seed)[0]

    def as_it_is(self, probe: Probe) -> np.ndarray:
        """The probe's photo without a drawn mask, (H, W, 3) uint8 RGB.

        Raises:
            ImageError, UnreadableError: it is no photo, not there, or may not be read.
            DataError: storage fails, now and when it is asked again.
        """
        image_id = probe.photo.image_id
        return decode_photo(self._folders[probe.source].read_patiently(image_id), image_id)

    def bare(self, photo: Photo) -> np.ndarray:
        """A photo under `images`, as `as_it_is` gives it."""
        return self.as_it_is(Probe(photo, False))

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
