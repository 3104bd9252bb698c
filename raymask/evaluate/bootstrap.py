"""Figures with 95% intervals by bootstrap over people.

People, not photos, are resampled: a person's photos succeed or fail together. A statistic is a function of weights
(R, P), how often each of P people counts in each of R resamples, to (R,) values; with all weights 1 it is the figure
itself. Two statistics of the same weights give the paired bootstrap of their difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Figure:
    """A value with its 95% interval; all three NaN where nothing was counted."""

    value: float
    low: float
    high: float


def draw_weights(people: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, people) float64: how often each person is drawn when `people` are drawn with replacement."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(people, np.full(people, 1 / people), size=resamples).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Sampled:
    """A statistic on all people, and on each resample."""

    value: float
    resamples: np.ndarray
    """(R,); NaN where a resample holds nobody that counts."""

    @classmethod
    def of(cls, statistic: Statistic, weights: np.ndarray) -> Sampled:
        """Evaluate `statistic` with everybody once, and with `weights` (R, P)."""
        return cls(float(statistic(np.ones((1, weights.shape[1])))[0]), statistic(weights))

    def figure(self) -> Figure:
        """The value with the 2.5% and 97.5% quantiles of the resamples."""
        kept = self.resamples[np.isfinite(self.resamples)]
        low, high = np.quantile(kept, (0.025, 0.975)) if len(kept) else (np.nan, np.nan)
        return Figure(self.value, float(low), float(high))

    def minus(self, other: Sampled) -> Sampled:
        """The difference, paired: resample by resample."""
        return Sampled(self.value - other.value, self.resamples - other.resamples)

    def cut_from(self, other: Sampled) -> Sampled:
        """Both being error rates: the share of `other`'s errors that this one does not make; negative if more."""
        before, after = np.append(other.resamples, other.value), np.append(self.resamples, self.value)
        cuts = 1 - np.divide(after, before, out=np.full_like(before, np.nan), where=before > 0)
        return Sampled(float(cuts[-1]), cuts[:-1])

    def inverted(self) -> Sampled:
        """One minus it: the errors of an accuracy."""
        return Sampled(1 - self.value, 1 - self.resamples)


@dataclass(frozen=True, eq=False)
class Ratio:
    """Hits over trials, both summed over people."""

    hits: np.ndarray
    """(P,): a person's hits."""
    trials: np.ndarray
    """(P,): a person's trials."""

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """(R, P) weights to (R,) ratios; NaN where there is no trial."""
        hits, trials = (weights @ part.astype(np.float64) for part in (self.hits, self.trials))
        return np.divide(hits, trials, out=np.full_like(hits, np.nan), where=trials > 0)


def sums_by_person(values: np.ndarray, person: np.ndarray, people: int) -> np.ndarray:
    """(N,) values summed by `person` (N,) int: (people,) float64."""
    return np.bincount(person, weights=np.asarray(values, np.float64), minlength=people)
