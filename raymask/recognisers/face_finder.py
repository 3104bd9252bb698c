"""The subject of a photo, found once however many recognisers ask for it."""

from __future__ import annotations

from raymask.faces import Face, detect, subject
from raymask.faces.detection.names import DEFAULT_DETECTOR
from raymask.recognisers.photo_cache import PhotoMemory

_PHOTOS = 512
"""Whose faces are remembered."""

FaceFinder = PhotoMemory[Face | None]
"""The subject of a photo, or None."""


def face_finder(detector: str = DEFAULT_DETECTOR) -> FaceFinder:
    """A finder that remembers nothing yet. It raises ImageError for what is no photo.

    Args:
        detector: its name, as `raymask.faces.detection.names` has it.
    """
    return PhotoMemory(lambda photo: subject(detect(photo, detector), photo.shape), photos=_PHOTOS)


_shared: dict[str, FaceFinder] = {}
"""The one finder, by the name of its detector."""


def shared_finder() -> FaceFinder:
    """The process's one finder, which all recognisers use."""
    if not _shared:
        share_finder(DEFAULT_DETECTOR)
    (finder,) = _shared.values()
    return finder


def share_finder(detector: str) -> None:
    """Let all recognisers of the process find faces with this detector from now on."""
    if detector not in _shared:
        _shared.clear()
        _shared[detector] = face_finder(detector)
