"""Prepared faces in a fresh mask at each visit, drawn from their stored landmarks, so that none is seen twice alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymask.data.crops import CropStore
from raymask.data.sampler import Shot
from raymask.faces.crop import CROP_SIZE, resize_crop
from raymask.faces.masks import draw_mask


class FreshMasks:
    """Draws on the bare crops of a store; holds 272 bytes of landmarks a photo."""

    def __init__(self, store: CropStore, looks: Sequence[str], *, quiet: bool = False) -> None:
        """`looks`: masks to draw. Raises DataError if the landmarks cannot be read."""
        self._store, self._looks = store, looks
        self._landmarks = store.landmarks(quiet=quiet)

    def pixels(self, shots: Sequence[Shot], size: int, draws: np.ndarray) -> np.ndarray:
        """As `CropStore.pixels`, each masked shot in the mask that its draw says.

        Args:
            shots: B of them.
            size: of the crops, pixels.
            draws: (B,) whole numbers of at least 0, of which each decides a mask.
        """
        bare = self._store.pixels([Shot(shot.row, masked=False) for shot in shots], CROP_SIZE).transpose(0, 2, 3, 1)
        crops = np.empty((len(shots), size, size, 3), dtype=np.uint8)
        for place, (shot, draw) in enumerate(zip(shots, draws.tolist(), strict=True)):
            crop = bare[place]
            if shot.masked:
                landmarks = self._landmarks[shot.row].astype(np.float64)
                crop, _ = draw_mask(crop, landmarks, self._looks[draw % len(self._looks)], draw)
            crops[place] = resize_crop(crop, size)
        return crops.transpose(0, 3, 1, 2)
