"""MRII, mask removal and image inpainting (paper §4.4): take the mask off, then ask any bare-face recogniser."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raymask.models.bundle import bundle_config
from raymask.models.spec import MriiParts
from raymask.models.unmasker import Unmasked, Unmasker
from raymask.recognisers.base import Recogniser
from raymask.recognisers.face_finder import shared_finder
from raymask.recognisers.kinds import load_recogniser
from raymask.recognisers.photo_cache import PhotoMemory, shared_memory
from raymask.recognisers.remote_bundles import fetched

_PHOTOS = 32
"""Photos that are remembered without their masks: recognisers are given no more at a time."""


class MriiRecogniser:
    """Any recogniser, on photos whose masks were taken off; a photo without a mask it gets as it is."""

    def __init__(self, parts: str) -> None:
        """Raises ConfigError for another form, ModelError for a bundle that is missing or of another kind."""
        named = MriiParts.of(f"mrii:{parts}")
        with tempfile.TemporaryDirectory() as copy:
            segmenter = fetched(named.segmenter, Path(copy) / "segmenter")
            inpainter = fetched(named.inpainter, Path(copy) / "inpainter")
            self.unmask_face = _shared(segmenter, inpainter)
            self.training = bundle_config(inpainter)["training"]
        self.embedder: Recogniser = load_recogniser(named.embedder)

    def embed(self, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Embed the subject of each photo, as `raymask.evaluate.Recogniser` says.

        Where the embedder finds no face any more without the mask, it is asked about the photo as it was.
        """
        unmasked = [self.unmask(photo) for photo in photos]
        changed = [photo if one is None else one.photo for photo, one in zip(photos, unmasked, strict=True)]
        embeddings, found = self.embedder.embed(changed)
        lost = [place for place, one in enumerate(unmasked) if one is not None and one.had_mask and not found[place]]
        if lost:
            embeddings, found = embeddings.copy(), found.copy()
            embeddings[lost], found[lost] = self.embedder.embed([photos[place] for place in lost])
        return embeddings, found

    def unmask(self, photo: np.ndarray) -> Unmasked | None:
        """The photo without the mask on its subject; None if no face is found."""
        face = shared_finder()(photo)
        return None if face is None else self.unmask_face(photo, face.box)


def _shared(segmenter: Path, inpainter: Path) -> PhotoMemory[Unmasked]:
    """One for the same two bundles wherever they lie; both are read and checked."""
    unmasker = Unmasker.load(segmenter, inpainter)
    digests = tuple(bundle_config(folder)["sha256"] for folder in (segmenter, inpainter))
    return shared_memory(digests, unmasker.unmask, photos=_PHOTOS)
