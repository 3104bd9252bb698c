"""What was found out about photos, remembered while recognisers ask for it one right after the other."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import numpy as np

T = TypeVar("T")


class PhotoMemory(Generic[T]):
    """A function of a photo that remembers its answers by the photo's digest. Safe to share between threads."""

    def __init__(self, find: Callable[..., T], *, photos: int) -> None:
        """`find` takes (H, W, 3) uint8 RGB, and maybe more that follows from it; `photos` are remembered."""
        self.seconds = 0.0
        """Time spent in `find` so far."""
        self.spared = 0.0
        """Time that `find` would have taken for what was remembered."""
        self._find, self._photos = find, photos
        self._known: OrderedDict[bytes, tuple[T, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, photo: np.ndarray, *more: Any) -> T:
        """What `find` says of the photo."""
        key = _digest(photo)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                answer, seconds = self._known[key]
                self.spared += seconds
                return answer
        started = time.perf_counter()
        answer = self._find(photo, *more)
        with self._lock:
            seconds = time.perf_counter() - started
            self.seconds += seconds
            self._known[key] = answer, seconds
            if len(self._known) > self._photos:
                self._known.popitem(last=False)
        return answer


_SHARED: OrderedDict[Hashable, PhotoMemory[Any]] = OrderedDict()
_MOST_SHARED = 4


def shared_memory(key: Hashable, find: Callable[..., T], *, photos: int) -> PhotoMemory[T]:
    """The process's one memory of that key; the first to ask for it brings `find`."""
    memory = _SHARED.setdefault(key, PhotoMemory(find, photos=photos))
    _SHARED.move_to_end(key)
    if len(_SHARED) > _MOST_SHARED:
        _SHARED.popitem(last=False)
    return memory


def spared_seconds() -> float:
    """Time that shared memories have spared whoever asked them."""
    return sum(memory.spared for memory in _SHARED.values())


def _digest(photo: np.ndarray) -> bytes:
    digest = hashlib.blake2b(repr(photo.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(photo).data)
    return digest.digest()
