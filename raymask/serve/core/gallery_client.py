"""What the service asks of the gallery."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from raymask.errors import UnknownIdentityError
from raymask.gallery.reader import EnrolledPhoto, KeptPhoto
from raymask.gallery.rows import Enrolment
from raymask.gallery.view import Found, Likeness
from raymask.serve.core.gallery_checks import GalleryState


class GalleryClient(Protocol):
    """The gallery, wherever it is."""

    async def search(self, embeddings: np.ndarray, people: int) -> Found:
        """For each of (F, D) embeddings the nearest people, 1 or more, and among how many."""

    async def compare(self, embedding: np.ndarray, identity: str) -> Likeness | None:
        """How near an embedding, (D,), is to one person; None if nobody has that name."""

    async def enrol(self, enrolment: Enrolment) -> bool:
        """Whether the photo is new, once it is on disk."""

    async def erase(self, identity: str) -> int | None:
        """How many photos of the person are gone from every file."""

    async def identities(self, after: str, limit: int) -> list[tuple[str, int]]:
        """People by name, and how many photos of each."""

    async def state(self) -> GalleryState:
        """How many are enrolled, and whether the thresholds hold for them."""

    async def photos(self, identity: str) -> list[EnrolledPhoto]:
        """A person's photos."""

    async def pictures(self, identity: str) -> list[KeptPhoto]:
        """A person's photos that were kept; none that is deleted already."""

    async def picture(self, identity: str, key: bytes) -> bytes | None:
        """The file of a kept photo; None if there is none, or none any more."""

    async def delete_pictures(self, identity: str, key: bytes | None) -> int | None:
        """How many kept photos, this one or all, are gone from every file; None if none was kept."""


def nobody(identity: str) -> UnknownIdentityError:
    """The error for a person who is not enrolled."""
    return UnknownIdentityError(f"nobody is enrolled as {identity}")
