"""What a recogniser is, and what every one of ours does alike: find the subjects, embed those, leave rows of zeros for
the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from raymask.faces import Face
from raymask.recognisers.face_finder import shared_finder


@runtime_checkable
class Recogniser(Protocol):
    """Anything that finds, aligns and embeds the subject of whole photos."""

    def embed(self, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Embed photos.

        Args:
            photos: N arrays (H, W, 3) uint8 RGB, of any and differing sizes.

        Returns:
            Embeddings (N, D) float32, each row of length 1, and found (N,) bool. Where no face was found, the row is 0.
        """
        ...


class SubjectRecogniser(ABC):
    """A recogniser of the subject that the shared finder finds; subclasses cut the face out and embed it."""

    size: int
    """Values of an embedding."""

    @abstractmethod
    def cut(self, photo: np.ndarray, face: Face) -> np.ndarray:
        """The face as the network takes it, an array of a fixed shape, from (H, W, 3) uint8 RGB."""

    def find(self, photo: np.ndarray) -> Face | None:
        """The subject of a photo, or None."""
        return shared_finder()(photo)

    @abstractmethod
    def embed_cut(self, faces: np.ndarray) -> np.ndarray:
        """Stacked outputs of `cut` to (N, D) embeddings of any length."""

    def to_device(self, device: str) -> None:  # noqa: B027  # most need nothing
        """Compute on this device, as torch names it; networks that cannot stay on the processor."""

    def embed(self, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Embed the subject of each photo, as `raymask.evaluate.Recogniser` says."""
        faces = [self.find(photo) for photo in photos]
        found = np.array([face is not None for face in faces], dtype=bool)
        embeddings = np.zeros((len(photos), self.size), dtype=np.float32)
        cuts = [self.cut(photo, face) for photo, face in zip(photos, faces, strict=True) if face is not None]
        if cuts:
            embeddings[found] = unit_rows(self.embed_cut(np.stack(cuts)))
        return embeddings, found


def unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """(N, D) with each row scaled to length 1, float32; rows of zeros stay."""
    rows = np.asarray(embeddings, dtype=np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
