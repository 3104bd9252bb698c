"""Faces in real masks among those in drawn masks: nobody knows their true points, but two views of one must agree."""

from __future__ import annotations

import math

import numpy as np
import torch

from raymask.data.augment.redraw import Drawn, Redraw, row_at
from raymask.data.reading.crops import Crops
from raymask.data.reading.sampler import BatchPhoto
from raymask.faces.alignment import similarity
from raymask.faces.crop import CROP_SIZE
from raymask.train.staged.drawn_batches import DrawnFaces

_KEPT = 10
"""One face in so many is measured on and not learned from."""


def learned_and_kept(faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the faces to learn from, and of those to measure on; of two faces or more each gets one at least."""
    order = np.random.default_rng(0).permutation(faces)
    kept = math.ceil(faces / _KEPT) if faces > 1 else 0
    return order[kept:], order[:kept]


class TwoViews(DrawnFaces):
    """Some faces of a store as they are, each drawn twice, as two cameras and two detectors might see it.

    The drawn face is the first view. Its `more`, S being pixels a side of a view:
        second: (3, S, S) uint8 RGB, the other view.
        across: (2, 3) float32, which brings points of the first view to the same places in the second.
        worn: () bool, true.
    """

    def __init__(
        self, store: Crops, rows: np.ndarray, redraw: Redraw, *, seed: int, device: torch.device, quiet: bool
    ) -> None:
        """
        Args:
            store: crops that show real masks.
            rows: (N,) int, which of them.
            redraw: how they are drawn; it must not mirror.
            seed: decides their order and their views.
            device: where batches go.
            quiet: whether to read without a word.

        Raises:
            DataError: landmarks or points cannot be read.
        """
        super().__init__(device)
        self._store, self._rows, self._redraw, self._seed = store, rows, redraw, seed
        self._landmarks, self._points = store.landmarks(quiet=quiet), store.points(quiet=quiet)

    def __len__(self) -> int:
        return len(self._rows)

    def draw(self, place: int) -> tuple[Drawn, dict[str, np.ndarray]]:
        """The face at a place of the endless order, and its other view."""
        row = int(self._rows[row_at(place, len(self._rows), self._seed)])
        crop = self._store.pixels([BatchPhoto(row, False)], CROP_SIZE)[0].transpose(1, 2, 0)
        rng = np.random.default_rng([self._seed, place, 2])
        first, second = (
            self._redraw(crop, self._landmarks[row], self._points[row], rng, masked=False, things=False)
            for _ in range(2)
        )
        return first, _more(second.masked, similarity(first.points, second.points), worn=True)


class WornAmongDrawn(DrawnFaces):
    """Faces in drawn masks, and at a share of the places, evenly spread, faces in real ones.

    What stands at a place does not depend on batches and ranks. Faces in drawn masks have the same `more` as those of
    `TwoViews`, in which `worn` is false and the rest is 0.
    """

    def __init__(self, drawn: DrawnFaces, worn: TwoViews, share: float, *, device: torch.device) -> None:
        """`share`: of the places that are of `worn`, over 0 and under 1."""
        super().__init__(device)
        self._drawn, self._worn, self._share = drawn, worn, share

    def __len__(self) -> int:
        return len(self._drawn)

    def draw(self, place: int) -> tuple[Drawn, dict[str, np.ndarray]]:
        """The face at a place of the endless order, and its other view if it wears a real mask."""
        before, until = (math.floor(self._share * number) for number in (place, place + 1))
        if until > before:
            return self._worn.draw(before)
        drawn, _ = self._drawn.draw(place - before)
        return drawn, _more(np.zeros_like(drawn.masked), np.zeros((2, 3)), worn=False)


def _more(second: np.ndarray, across: np.ndarray, *, worn: bool) -> dict[str, np.ndarray]:
    return {
        "second": np.ascontiguousarray(second.transpose(2, 0, 1)),
        "across": across.astype(np.float32),
        "worn": np.array(worn),
    }
