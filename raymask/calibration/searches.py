"""Searches of strangers: the share of them that a score lets in, in galleries of any size.

A search compares one face with n people who are enrolled; it returns somebody where the highest of the n scores reaches
the threshold. The share of strangers' searches that do is the false-positive identification rate (FPIR; ISO/IEC
19795-1). Of N people known, every choice of n is an equally good gallery. So a stranger who reaches the threshold with
k of the N is returned somebody by a share of

    1 - C(N - k, n) / C(N, n)

of all galleries of n (hypergeometric): all of them count, and nothing has to be drawn.

Shapes: R searches, E enrolled people, T thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln

BINS = 20_000
"""Of cosine similarities from -1 to 1: what a threshold is good to."""
EDGES = np.linspace(-1, 1, BINS + 1)
"""(BINS + 1,) cosines: the thresholds that are looked at."""
_AT_ONCE = 256
"""Searches that are counted at a time, so that memory does not grow with their number."""


@dataclass(frozen=True, eq=False)
class Searches:
    """Faces of strangers, each compared with people who are enrolled."""

    cosines: np.ndarray
    """(R, E) float32; NaN where the two are not compared: one person, a known repeat, or no face found."""
    strangers: np.ndarray
    """(R,) int64 number of the person searched; all people count alike, however many searches they have."""

    def __post_init__(self) -> None:
        keep = ~np.isnan(self.cosines).all(axis=1)
        object.__setattr__(self, "cosines", self.cosines[keep])
        object.__setattr__(self, "strangers", self.strangers[keep])

    @property
    def people(self) -> int:
        """Strangers of whom at least one search is there."""
        return int(self.codes.max(initial=-1)) + 1

    @cached_property
    def codes(self) -> np.ndarray:
        """(R,) `strangers`, numbered anew from 0 without gaps."""
        return np.unique(self.strangers, return_inverse=True)[1]

    @cached_property
    def most(self) -> int:
        """The largest gallery that every one of these searches can have."""
        return int(self._compared.min(initial=self.cosines.shape[1]))

    @cached_property
    def _compared(self) -> np.ndarray:
        """(R,) people that each was compared with."""
        return (~np.isnan(self.cosines)).sum(axis=1)

    @cached_property
    def _weights(self) -> np.ndarray:
        """(R,) adding up to 1."""
        return np.asarray(1 / (self.people * np.bincount(self.codes)[self.codes]))

    def fpir(self, enrolled: Sequence[int]) -> np.ndarray:
        """Share of strangers' searches that return somebody, at each of EDGES.

        Args:
            enrolled: N sizes of galleries, each 1 to `most`.

        Returns:
            (N, BINS + 1) float64, falling along EDGES.
        """
        found = np.zeros((len(enrolled), BINS + 1))
        for compared in np.unique(self._compared):
            shares = [returned_share(np.arange(compared + 1), compared, size) for size in enrolled]
            rows = np.flatnonzero(self._compared == compared)
            for some in np.array_split(rows, -(-len(rows) // _AT_ONCE)):
                reached = _reached(self.cosines[some])
                for place, share in enumerate(shares):
                    found[place] += self._weights[some] @ share[reached]
        return found

    def strangers_reaching(self) -> np.ndarray:
        """(BINS + 1,) how many strangers reach each of EDGES with anybody at all: what an estimate there rests on."""
        best = np.full(self.people, -np.inf)
        np.maximum.at(best, self.codes, np.nanmax(self.cosines, axis=1))
        return np.asarray(self.people - np.searchsorted(np.sort(best), EDGES))

    def threshold(self, rate: float, enrolled: int) -> float:
        """The lowest of EDGES at which FPIR in galleries of `enrolled` is at most `rate`."""
        return float(EDGES[edge_at(self.fpir([enrolled])[0], rate)])


def edge_at(fpir: np.ndarray, rate: float) -> int:
    """Place in EDGES of the lowest at which a row of `Searches.fpir` is at most `rate`, but for rounding."""
    return int(np.argmax(fpir <= rate * (1 + 1e-9)))


def _reached(cosines: np.ndarray) -> np.ndarray:
    """(R, E) cosines to (R, BINS + 1) int64: with how many people each search reaches each of EDGES."""
    rows, columns = np.nonzero(~np.isnan(cosines))
    bins = np.clip(((cosines[rows, columns] + 1) * (BINS / 2)).astype(np.int64), 0, BINS - 1)
    counts = np.bincount(rows * BINS + bins, minlength=len(cosines) * BINS).reshape(-1, BINS)
    return np.pad(counts[:, ::-1].cumsum(axis=1)[:, ::-1], ((0, 0), (0, 1)))


def returned_share(reached: np.ndarray, compared: int, enrolled: int) -> np.ndarray:
    """Share of all galleries in which a search returns somebody.

    Args:
        reached: how many of the people compared reach the threshold.
        compared: N.
        enrolled: n, at most N.
    """
    others = compared - reached - enrolled  # people left to choose from, where nobody who reaches it is enrolled
    possible = np.maximum(others, 0)
    none = gammaln(compared - reached + 1) - gammaln(possible + 1) - gammaln(compared + 1)
    none = np.exp(np.minimum(none + gammaln(compared - enrolled + 1), 0))
    return np.asarray(np.where(others < 0, 1.0, 1 - none))
