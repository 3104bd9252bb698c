"""Taking the mask off a face in a photo: find the mask in the crop, fill it, put it back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch

from raymask.errors import ImageError
from raymask.faces.crop import Square
from raymask.models.bundle import load_bundle
from raymask.models.networks.inpainter import Filled, Inpainter, shrink_hole
from raymask.models.networks.segmenter import MaskSegmenter

MASKED_FROM, MASKED_TO = 0.02, 0.8
"""Share of a crop that a mask covers at least, and that is to be painted at most. What covers less is no mask; where
more would be painted nothing is left of the face to paint it from. Both are left alone."""

_MARGIN = 2
"""Pixels of the crop by which the hole is wider than the map that was found: a rim of mask left over would be painted
on."""


class Unmasked(NamedTuple):
    """A face with its mask taken off."""

    photo: np.ndarray
    """(H, W, 3) uint8 RGB; outside the hole the pixels of before, bit for bit."""
    crop: np.ndarray
    """(C, C, 3) uint8 RGB: the face as it came."""
    mask_map: np.ndarray
    """(C, C) uint8, 255 where a mask was found."""
    hole_map: np.ndarray
    """(C, C) uint8, 255 where the crop was filled: a little more than the mask; nowhere, if none was taken off."""
    edges: np.ndarray | None
    """(S, S) uint8, 0 to 255: the edges that led the painting; None where no mask was taken off."""
    filled: np.ndarray
    """(C, C, 3) uint8 RGB: the crop without its mask."""

    @property
    def coverage(self) -> float:
        """Share of the crop that was found to be covered, 0 to 1."""
        return float((self.mask_map > 0).mean())

    @property
    def hole(self) -> np.ndarray:
        """(C, C) bool: `hole_map`."""
        return self.hole_map > 0

    @property
    def had_mask(self) -> bool:
        """Whether a mask was taken off; if not, the photo came back as it was."""
        return self.edges is not None


class MaskFinder:
    """A segmenter."""

    def __init__(self, segmenter: MaskSegmenter) -> None:
        self.segmenter = segmenter.eval().to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, bundle: str | os.PathLike[str]) -> MaskFinder:
        """Raises ModelError if the bundle is missing, damaged or of another kind."""
        model = load_bundle(bundle, "MaskSegmenter").model
        assert isinstance(model, MaskSegmenter)
        return cls(model)

    def find(self, crop: np.ndarray) -> np.ndarray:
        """The mask map of a crop: (C, C, 3) uint8 RGB, C a multiple of 32, to (C, C) uint8 of 0 and 255.

        Raises:
            ImageError: `crop` is no such array.
        """
        if crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8 or crop.shape[0] % 32 or crop.shape[1] % 32:
            raise ImageError(
                f"a crop is an array (C, C, 3) of uint8 RGB, C a multiple of 32, not {crop.dtype} {crop.shape}"
            )
        return self.find_all(crop[None])[0]

    @torch.inference_mode()
    def find_all(self, crops: np.ndarray) -> np.ndarray:
        """The mask maps of crops, (N, C, C, 3) to (N, C, C), as `find`."""
        device = next(self.segmenter.parameters()).device
        batch = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2)
        return ((self.segmenter(batch)[:, 0] > 0).to(torch.uint8) * 255).cpu().numpy()


class MaskRemover:
    """An inpainter."""

    def __init__(self, inpainter: Inpainter) -> None:
        self.inpainter = inpainter.eval()

    @classmethod
    def load(cls, bundle: str | os.PathLike[str]) -> MaskRemover:
        """Raises ModelError if the bundle is missing, damaged or of another kind."""
        model = load_bundle(bundle, "Inpainter").model
        assert isinstance(model, Inpainter)
        return cls(model)

    def remove(self, photo: np.ndarray, box: np.ndarray, mask_map: np.ndarray) -> Unmasked:
        """Take the mask off the face in `box`, if the map shows one that can be taken off.

        Args:
            photo: (H, W, 3) uint8 RGB.
            box: (4,) left, top, right, bottom, pixels of the photo.
            mask_map: (C, C) uint8 of the face's crop, 255 where a mask is.
        """
        return self.remove_all([(photo, box, mask_map)])[0]

    def remove_all(self, faces: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[Unmasked]:
        """Take the masks off faces, of one photo or several, in one pass: photo, box and map of each, as `remove`."""
        crops = [Square.around(box).cut(photo) for photo, box, _ in faces]
        holes = [self._hole(mask_map) for _, _, mask_map in faces]
        chosen = [place for place, hole in enumerate(holes) if hole.any()]
        filled: dict[int, Filled] = {}
        if chosen:
            all_filled = self.inpainter.fill_all([crops[place] for place in chosen], [holes[place] for place in chosen])
            filled = dict(zip(chosen, all_filled, strict=True))
        return [
            _unmasked(*face, crop, hole, filled.get(place))
            for place, (face, crop, hole) in enumerate(zip(faces, crops, holes, strict=True))
        ]

    def _hole(self, mask_map: np.ndarray) -> np.ndarray:
        """What is to be painted, (C, C) uint8 of 0 and 255; nothing, if no mask can be taken off."""
        width = 2 * _MARGIN + 1
        hole = cv2.dilate(mask_map, np.ones((width, width), np.uint8))
        painted = shrink_hole(hole > 0, self.inpainter.config.side).mean()
        return hole if is_mask(mask_map) and painted <= MASKED_TO else np.zeros_like(mask_map)


def _unmasked(
    photo: np.ndarray,
    box: np.ndarray,
    mask_map: np.ndarray,
    crop: np.ndarray,
    hole: np.ndarray,
    filled: Filled | None,
) -> Unmasked:
    if filled is None:
        return Unmasked(photo.copy(), crop, mask_map, hole, None, crop.copy())
    whole = Square.around(box).put_back(photo, filled.crop, hole)
    return Unmasked(whole, crop, mask_map, hole, filled.edges, filled.crop)


def is_mask(mask_map: np.ndarray) -> bool:
    """Whether a map covers enough of a crop to be a mask's."""
    return bool((mask_map > 0).mean() >= MASKED_FROM)


class Unmasker:
    """A segmenter and an inpainter."""

    def __init__(self, segmenter: MaskSegmenter, inpainter: Inpainter) -> None:
        self.finder, self.remover = MaskFinder(segmenter), MaskRemover(inpainter)

    @classmethod
    def load(cls, segmenter: str | os.PathLike[str], inpainter: str | os.PathLike[str]) -> Unmasker:
        """From two bundles. Raises ModelError if one is missing, damaged or of another kind."""
        return cls(MaskFinder.load(segmenter).segmenter, MaskRemover.load(inpainter).inpainter)

    def find(self, crop: np.ndarray) -> np.ndarray:
        """The mask map of a crop, as `MaskFinder.find`."""
        return self.finder.find(crop)

    def unmask(self, photo: np.ndarray, box: np.ndarray) -> Unmasked:
        """Take the mask off the face in `box`, if it wears one.

        Args:
            photo: (H, W, 3) uint8 RGB.
            box: (4,) left, top, right, bottom, pixels of the photo.
        """
        return self.remover.remove(photo, box, self.find(Square.around(box).cut(photo)))
