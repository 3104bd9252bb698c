"""Beyond the galleries that were measured: the highest score of a search as a generalised extreme value (GEV).

Where the highest of m scores follows GEV(location, scale, shape), the highest of n, whatever n, follows another of the
same shape (Coles 2001, chapter 3):

    P(highest of n <= x) = exp(-(n / m) * (1 + shape * (x - location) / scale) ** (-1 / shape))

One fit therefore serves blocks of all sizes, and galleries larger than any block. It is made by the maxima of blocks of
N, N/2 and N/4 of the N people known, all at once (the product of their likelihoods).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from raymask.calibration.searches import Searches

FOLDS = 8
"""How many times larger than what was measured a gallery may be for a fit to say anything of it."""
DIVISIONS = (1, 2, 4)
"""Into how many blocks the people known are divided."""
_MOST_SEARCHES = 4000
"""That a fit rests on; of more a random choice is taken, for its time grows with them."""


class Maxima(NamedTuple):
    """Highest scores of searches in blocks."""

    values: np.ndarray
    """(M,) cosines."""
    sizes: np.ndarray
    """(M,) people in the block of each."""


class Gev(NamedTuple):
    """The highest of `block` scores; of another number by the formula above."""

    block: int
    location: float
    scale: float
    shape: float

    @classmethod
    def fit(cls, maxima: Maxima, begin: Gev | None = None) -> Gev:
        """The most likely one. Where it begins to look changes nothing but the time that it takes."""
        block = int(maxima.sizes.max())
        spread = float(np.std(maxima.values)) or 1e-3
        at_first = begin or cls(block, float(np.mean(maxima.values)), 0.8 * spread, -0.05)
        ratio = maxima.sizes / block

        def cost(values: np.ndarray) -> float:
            location, scale, shape = values[0], np.exp(values[1]), values[2]
            if abs(shape) < 1e-6:
                shape = 1e-6
            inside = 1 + shape * (maxima.values - location) / scale
            if inside.min() <= 1e-9:
                return 1e9
            logs = np.log(inside)
            rare = ratio * np.exp(-logs / shape)
            return float(np.mean(rare - np.log(ratio) + np.log(scale) + (1 + 1 / shape) * logs))

        start = np.array([at_first.location, np.log(at_first.scale), at_first.shape])
        found = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-8, "maxiter": 2000}).x
        return cls(block, float(found[0]), float(np.exp(found[1])), float(found[2]))

    def threshold(self, rates: np.ndarray, enrolled: np.ndarray | float) -> np.ndarray:
        """The score that a share `rates` of searches among `enrolled` people reach; arrays that broadcast."""
        shape = self.shape if abs(self.shape) >= 1e-6 else 1e-6
        inside = (-np.log1p(-np.asarray(rates)) * self.block / np.asarray(enrolled)) ** -shape
        return np.asarray(self.location + self.scale * (inside - 1) / shape)


def block_maxima(searches: Searches, random: np.random.Generator, *, largest: int, resampled: bool = False) -> Maxima:
    """The highest scores of all searches in random blocks.

    Args:
        searches: of strangers.
        random: draws the blocks.
        largest: people of the largest block; the others are a half and a quarter of it.
        resampled: strangers and enrolled people are drawn anew before, each with replacement and apart (a bootstrap).
    """
    cosines = searches.cosines
    if len(cosines) > _MOST_SEARCHES and not resampled:
        cosines = cosines[random.choice(len(cosines), _MOST_SEARCHES, replace=False)]
    if resampled:
        counts = np.bincount(searches.codes)
        rows_of = np.split(np.argsort(searches.codes, kind="stable"), np.cumsum(counts)[:-1])
        drawn = random.integers(0, searches.people, searches.people)
        rows = np.concatenate([rows_of[person] for person in drawn])
        if len(rows) > _MOST_SEARCHES:
            rows = random.choice(rows, _MOST_SEARCHES, replace=False)
        columns = random.integers(0, cosines.shape[1], cosines.shape[1])
        cosines = cosines[np.ix_(rows, columns)]
    cosines = np.nan_to_num(cosines[:, random.permutation(cosines.shape[1])], nan=-np.inf)
    values, sizes = [], []
    for division in DIVISIONS:
        size = max(largest // division, 1)
        for begin in range(0, cosines.shape[1] - size + 1, size):
            highest = cosines[:, begin : begin + size].max(axis=1)
            highest = highest[np.isfinite(highest)]
            values.append(highest)
            sizes.append(np.full(len(highest), size))
    return Maxima(np.concatenate(values), np.concatenate(sizes))
