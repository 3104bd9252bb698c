"""Batches of faces with masks drawn afresh, made ahead of the training in threads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from raymask.data.augment.redraw import Drawn, Redraw, row_at, stack
from raymask.data.reading.crops import Crops
from raymask.data.reading.sampler import BatchPhoto, rank_slice
from raymask.faces.crop import CROP_SIZE
from raymask.train.engine.distributed import World

_AHEAD = 3
"""Batches that are being drawn while one is trained on."""


class DrawnBatch(NamedTuple):
    """One rank's share of a batch: B faces of S pixels a side."""

    bare: Tensor
    """(B, 3, S, S) uint8 RGB."""
    masked: Tensor
    """(B, 3, S, S) uint8 RGB."""
    mask_map: Tensor
    """(B, 1, S, S) uint8, 255 where the mask covers."""
    points: Tensor
    """(B, 5, 2) float32, the detector's of the bare face, pixels of the face."""
    share: float
    """B over the photos of all ranks."""
    more: Mapping[str, Tensor]
    """What the training's `more` made of each face, stacked."""


More = Callable[[Drawn, np.random.Generator], dict[str, np.ndarray]]
"""Makes of a face what a training needs beside it, in the threads that draw."""


class DrawnFaces(ABC):
    """Faces in an endless order, drawn one by one and batched."""

    def __init__(self, device: torch.device) -> None:
        """`device`: where batches go."""
        self._device = device

    @abstractmethod
    def __len__(self) -> int:
        """Photos that the faces are drawn from."""

    @abstractmethod
    def draw(self, place: int) -> tuple[Drawn, dict[str, np.ndarray]]:
        """The face at a place of the endless order, and more of it."""

    def first(self, count: int, *, at_once: int, world: World) -> Iterator[DrawnBatch]:
        """This rank's part of the first `count` faces, each once, at most `at_once` at a time; none if it has none."""
        own = rank_slice(range(min(count, len(self))), world.rank, world.size)
        for start in range(0, len(own), at_once):
            places = own[start : start + at_once]
            yield self._batch([self.draw(place) for place in places], len(places))

    def batches(self, size: int, steps: Sequence[int], *, world: World) -> Iterator[DrawnBatch]:
        """This rank's share of each batch of `size` photos, one a rank at least."""
        threads = torch.get_num_threads() if self._device.type == "cuda" else 1  # a CPU that trains has none to spare
        pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="draw")
        waiting: list[list[Future[tuple[Drawn, dict[str, np.ndarray]]]]] = []
        try:
            for place in range(len(steps) + _AHEAD):
                if place < len(steps):
                    own = rank_slice(range(steps[place] * size, (steps[place] + 1) * size), world.rank, world.size)
                    waiting.append([pool.submit(self.draw, number) for number in own])
                if place >= _AHEAD and waiting:
                    yield self._batch([drawn.result() for drawn in waiting.pop(0)], size)
        finally:
            pool.shutdown(cancel_futures=True)

    def _batch(self, faces: list[tuple[Drawn, dict[str, np.ndarray]]], size: int) -> DrawnBatch:
        bare, masked, maps, points = (
            torch.from_numpy(part).to(self._device) for part in stack([drawn for drawn, _ in faces])
        )
        more = {
            name: torch.from_numpy(np.stack([extra[name] for _, extra in faces])).to(self._device)
            for name in faces[0][1]
        }
        return DrawnBatch(bare, masked, maps, points, len(faces) / size, more)


class FreshlyDrawn(DrawnFaces):
    """The faces of a split, endlessly, each time in another mask; a photo's drawing depends on seed and place alone."""

    def __init__(
        self,
        store: Crops,
        redraw: Redraw,
        *,
        seed: int,
        device: torch.device,
        quiet: bool,
        more: More = lambda drawn, rng: {},
    ) -> None:
        """Raises DataError if landmarks or points cannot be read."""
        super().__init__(device)
        self._store, self._redraw, self._seed, self._more = store, redraw, seed, more
        self._landmarks, self._points = store.landmarks(quiet=quiet), store.points(quiet=quiet)

    def __len__(self) -> int:
        return len(self._store)

    def draw(self, place: int) -> tuple[Drawn, dict[str, np.ndarray]]:
        """The face at a place of the endless order, and more of it."""
        row = row_at(place, len(self._store), self._seed)
        crop = self._store.pixels([BatchPhoto(row, False)], CROP_SIZE)[0].transpose(1, 2, 0)
        rng = np.random.default_rng([self._seed, place, 1])
        drawn = self._redraw(crop, self._landmarks[row], self._points[row], rng)
        return drawn, self._more(drawn, rng)
