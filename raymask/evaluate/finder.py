"""The subject of a photo, found once however many recognisers ask for it."""

from __future__ import annotations

import functools

from raymask.evaluate.memory import PhotoMemory
from raymask.faces import Face, detect, subject

_PHOTOS = 512
"""Whose faces are remembered."""

FaceFinder = PhotoMemory[Face | None]
"""The subject of a photo, or None."""


def face_finder() -> FaceFinder:
    """A finder that remembers nothing yet. It raises ImageError for what is no photo."""
    return PhotoMemory(lambda photo: subject(detect(photo), photo.shape), photos=_PHOTOS)


@functools.cache
def shared_finder() -> FaceFinder:
    """The process's one finder, which all recognisers use."""
    return face_finder()
