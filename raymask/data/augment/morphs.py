"""Morphs, faces that nobody has, blended of two people's: more to learn from teachers than there are photos.

Teachers describe such a face as they describe any. A network that is to follow them sees many more faces this way than
the photos hold, and cannot learn them by heart. Both faces are first bent so that their landmarks meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from raymask.data.reading.crops import Crops
from raymask.data.reading.sampler import BatchPhoto
from raymask.errors import ConfigError
from raymask.faces.alignment import similarity
from raymask.faces.crop import CROP_SIZE, resize_crop

_LEAST_SHARE = 0.3
"""Of either face in a morph: with less it would look like the other."""
_CANDIDATES = 16
"""People at random, of whom the one whose head is held most alike is blended in."""
_GRID = 26
"""Places a side at which a bend is worked out; between them it is interpolated."""


class MorphedStore:
    """The photos of a store, and behind them morphs of two of their faces each, which count as a person each.

    The same store, count and seed give the same morphs. They are made as they are asked for.
    """

    def __init__(self, store: Crops, count: int, seed: int, *, quiet: bool = False) -> None:
        """Raises DataError if the store's landmarks or points cannot be read, ConfigError if it holds one person.

        Args:
            count: of morphs.
            seed: decides who meets whom.
        """
        self._store = store
        self._landmarks, self._points = store.landmarks(quiet=quiet), store.points(quiet=quiet)
        self._pairs, self._shares = _chosen(self._landmarks, store.identities, count, np.random.default_rng([seed, 4]))
        first = len(store.people)
        self.people = [*store.people, *(f"morph {number}" for number in range(count))]
        """Names; those of morphs are made up."""
        self.identities = np.concatenate([store.identities, np.arange(first, first + count)])
        """(N,) int64: which of `people` each photo shows."""

    def __len__(self) -> int:
        return len(self.identities)

    def landmarks(self, *, quiet: bool = False) -> np.ndarray:
        """As `Crops.landmarks`; nothing is read any more."""
        return self._with_morphs(self._landmarks)

    def points(self, *, quiet: bool = False) -> np.ndarray:
        """As `Crops.points`; nothing is read any more."""
        return self._with_morphs(self._points)

    def pixels(self, shots: Sequence[BatchPhoto], size: int) -> np.ndarray:
        """As `Crops.pixels`; a masked morph is blended of what its two people's masked crops were prepared as."""
        rows = np.array([shot.row for shot in shots])
        is_morph = rows >= len(self._store)
        plain, morphs = np.flatnonzero(~is_morph).tolist(), np.flatnonzero(is_morph).tolist()
        crops = np.empty((len(shots), 3, size, size), dtype=np.uint8)
        if plain:
            crops[plain] = self._store.pixels([shots[place] for place in plain], size)
        if morphs:
            crops[morphs] = self._morphs([shots[place] for place in morphs], size)
        return crops

    def _with_morphs(self, points: np.ndarray) -> np.ndarray:
        first, second = points[self._pairs[:, 0]], points[self._pairs[:, 1]]
        share = self._shares[:, None, None]
        return np.concatenate([points, ((1 - share) * first + share * second).astype(points.dtype)])

    def _morphs(self, shots: Sequence[BatchPhoto], size: int) -> np.ndarray:
        """M morphs as (M, 3, size, size) uint8 RGB."""
        numbers = np.array([shot.row for shot in shots]) - len(self._store)
        pairs = self._pairs[numbers]
        both = [BatchPhoto(int(row), shot.masked) for shot, rows in zip(shots, pairs, strict=True) for row in rows]
        parents = self._store.pixels(both, CROP_SIZE)
        made = np.empty((len(shots), size, size, 3), dtype=np.uint8)
        for place, (number, rows) in enumerate(zip(numbers, pairs, strict=True)):
            share, marks = float(self._shares[number]), self._landmarks[rows].astype(np.float64)
            meeting = (1 - share) * marks[0] + share * marks[1]
            crops = parents[2 * place : 2 * place + 2].transpose(0, 2, 3, 1)
            bent = [bend(np.ascontiguousarray(crop), own, meeting) for crop, own in zip(crops, marks, strict=True)]
            made[place] = resize_crop(cv2.addWeighted(bent[0], 1 - share, bent[1], share, 0), size)
        return made.transpose(0, 3, 1, 2)


def _chosen(
    landmarks: np.ndarray, identities: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(count, 2) int64 photos of two people, heads held about alike, and (count,) float32 shares of the second."""
    order = np.argsort(identities, kind="stable")  # a person's rows side by side
    shapes = _shapes(landmarks)[order]
    _, starts, counts = np.unique(identities[order], return_index=True, return_counts=True)
    if len(starts) < 2:
        raise ConfigError("morphs need photos of at least two people; prepare more")
    person = np.repeat(np.arange(len(starts)), counts)
    pairs = np.empty((count, 2), dtype=np.int64)
    for place, one in enumerate(rng.integers(len(order), size=count)):
        start, own = starts[person[one]], counts[person[one]]
        others = rng.integers(len(order) - own, size=_CANDIDATES)
        others += own * (others >= start)  # past the person's own
        apart = np.abs(shapes[others] - shapes[one]).sum(1)
        pairs[place] = one, others[apart.argmin()]
    return order[pairs], rng.uniform(_LEAST_SHARE, 1 - _LEAST_SHARE, count).astype(np.float32)


def _shapes(landmarks: np.ndarray) -> np.ndarray:
    """(N, 136) float32: landmarks without their place and size."""
    centred = landmarks.astype(np.float32) - landmarks.astype(np.float32).mean(1, keepdims=True)
    return (centred / np.sqrt((centred**2).mean((1, 2), keepdims=True))).reshape(len(landmarks), -1)


def bend(crop: np.ndarray, landmarks: np.ndarray, to: np.ndarray) -> np.ndarray:
    """A crop moved and bent so that its landmarks come to lie where they should.

    Args:
        crop: (C, C, 3) uint8 RGB.
        landmarks: (68, 2) in its pixels.
        to: (68, 2), where they should lie.
    """
    side = crop.shape[0]
    matrix = similarity(to, landmarks)
    rest = landmarks - (to @ matrix[:, :2].T + matrix[:, 2])
    ticks = np.linspace(0, side - 1, _GRID)
    places = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    apart = ((places[:, None] - to[None]) ** 2).sum(-1)
    near = 1 / np.square(apart + (0.02 * side) ** 2)
    still = 1 / (0.3 * side) ** 4  # far from all landmarks nothing is bent
    moved = near @ rest / (near.sum(1, keepdims=True) + still)
    source = (places @ matrix[:, :2].T + matrix[:, 2] + moved).astype(np.float32).reshape(_GRID, _GRID, 2)
    stretch = (_GRID - 1) / (side - 1)
    whole = cv2.warpAffine(
        source,
        np.array([[stretch, 0, 0], [0, stretch, 0]]),
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.remap(crop, whole, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
