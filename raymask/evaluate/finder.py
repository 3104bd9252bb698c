"""The subject of a photo, found once however many recognisers ask for it: detection is what takes the time."""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections import OrderedDict

import numpy as np

from raymask.faces import Face, detect, subject

CACHED = 512
"""Photos whose faces are remembered; recognisers are given the same photos one right after the other."""


class FaceFinder:
    """Finds the subject of a photo and remembers it by the photo's digest. Safe to share between threads."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Time spent in detection so far, so that it can be told apart from the embedding's."""
        self._known: OrderedDict[bytes, Face | None] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, photo: np.ndarray) -> Face | None:
        """The subject of `photo`, (H, W, 3) uint8 RGB, or None. Raises ImageError for another shape or dtype."""
        key = _digest(photo)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        started = time.perf_counter()
        face = subject(detect(photo), photo.shape)
        with self._lock:
            self.seconds += time.perf_counter() - started
            self._known[key] = face
            if len(self._known) > CACHED:
                self._known.popitem(last=False)
        return face


def _digest(photo: np.ndarray) -> bytes:
    digest = hashlib.blake2b(repr(photo.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(photo).data)
    return digest.digest()


@functools.cache
def shared_finder() -> FaceFinder:
    """The process's one finder, which all recognisers use."""
    return FaceFinder()
