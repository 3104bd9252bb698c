"""Choices by name: rendezvous hashing, which asks neither for the order of the names nor for their number."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def pick(key: str, names: Sequence[str]) -> str:
    """One of `names`, drawn by `key`: each name gets a score by a hash of both, and the highest score wins.

    One name more changes only the draws that fall on it. A name that is given twice is drawn twice as often.
    """
    names = tuple(names)
    mixed = _hashes(names) ^ _hash(key)
    # The finaliser of splitmix64; arrays of uint64 wrap around silently, as it asks.
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return names[int(np.argmax(mixed))]


@lru_cache(maxsize=256)
def _hashes(names: tuple[str, ...]) -> Hashes:
    """(n,) of the names; a repeated name gets another hash each time."""
    seen: Counter[str] = Counter()
    hashes = []
    for name in names:
        hashes.append(_hash(f"{name}\n{seen[name]}"))
        seen[name] += 1
    return np.array(hashes, np.uint64)


def _hash(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
