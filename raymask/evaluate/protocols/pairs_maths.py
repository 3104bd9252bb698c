"""Protocol `pairs`: two photos, the same person or not, as LFW is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

CHUNK = 4_000_000
"""Weights held at a time when ROC figures are resampled; bounds memory to some 100 MB."""


def pair_scores(first: np.ndarray, second: np.ndarray, both_found: np.ndarray) -> np.ndarray:
    """(N,) cosine of the rows of two (N, D); -inf where a face was not found, so that such a pair is never accepted."""
    return np.where(both_found, np.einsum("nd,nd->n", first, second), -np.inf)


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The threshold of the highest accuracy when scores at or above it are called the same; the middle of a gap."""
    order = np.argsort(-scores, kind="stable")
    descending, gains = scores[order], np.where(same[order], 1, -1)
    ends = np.append(descending[1:] != descending[:-1], True)  # equal scores are accepted together
    gain = np.where(ends & np.isfinite(descending), np.cumsum(gains), -len(scores) - 1)
    best = int(gain.argmax())
    if gain[best] <= 0:
        return float("inf")
    following = descending[best + 1] if best + 1 < len(scores) else -1.0
    return float((descending[best] + max(following, -1.0)) / 2)


def judge_folds(scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(N,) bool: whether each pair is judged rightly at the threshold that is best on the other folds.

    Args:
        scores: (N,) cosine similarities.
        same: (N,) bool.
        folds: (N,) int; at least two different.
    """
    right = np.zeros(len(scores), dtype=bool)
    for fold in np.unique(folds):
        judged = folds == fold
        threshold = best_threshold(scores[~judged], same[~judged])
        right[judged] = (scores[judged] >= threshold) == same[judged]
    return right


def pair_weights(weights: np.ndarray, people: np.ndarray) -> np.ndarray:
    """How often pairs count where people are drawn: one of the same person as often as that person, one of two as often
    as both together, the product, for either's photos may be what is hard about it.

    Args:
        weights: (R, P): how often each person is drawn.
        people: (N, 2) int: whom the two photos show.

    Returns:
        (R, N).
    """
    first, second = people.T
    return np.where(first == second, weights[:, first], weights[:, first] * weights[:, second])


@dataclass(frozen=True, eq=False)
class Accuracy:
    """The mean over folds of the share of pairs that are judged rightly."""

    right: np.ndarray
    """(N,) bool."""
    folds: np.ndarray
    """(N,) int."""
    people: np.ndarray
    """(N, 2) int: whom the two photos show."""

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """(R, P) weights to (R,) values; NaN where there is no pair."""
        in_fold = (self.folds[:, None] == np.unique(self.folds)).astype(np.float32)  # (N, F)
        return in_chunks(lambda some: self._of(some, in_fold), weights, len(self.right))

    def _of(self, weights: np.ndarray, in_fold: np.ndarray) -> np.ndarray:
        counts = pair_weights(weights.astype(np.float32), self.people)
        hits, trials = (counts * self.right) @ in_fold, counts @ in_fold
        ratios = np.divide(hits, trials, out=np.full_like(hits, np.nan), where=trials > 0)
        counted = np.isfinite(ratios)
        total = np.where(counted, ratios, 0).sum(axis=1)
        return np.divide(total, counted.sum(axis=1), out=np.full_like(total, np.nan), where=counted.any(axis=1))


def in_chunks(act: Callable[[np.ndarray], np.ndarray], weights: np.ndarray, pairs: int) -> np.ndarray:
    """What `act` makes of resamples (R, P), a bounded number of them at a time."""
    step = max(1, CHUNK // pairs)
    return np.concatenate([act(weights[start : start + step]) for start in range(0, len(weights), step)])


@dataclass(frozen=True, eq=False)
class Roc:
    """A figure of the ROC curve of pairs, which count by `pair_weights`."""

    scores: np.ndarray
    """(N,) float."""
    same: np.ndarray
    """(N,) bool."""
    people: np.ndarray
    """(N, 2) int: whom the two photos show."""
    figure: float | Literal["eer"]
    """`eer`: the equal error rate; a number: the share of same pairs accepted at that share of false accepts."""

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """(R, P) weights to (R,) values; NaN where there are no pairs of both sorts."""
        return in_chunks(self._of, weights, len(self.scores))

    def _of(self, weights: np.ndarray) -> np.ndarray:
        drawn = weights.astype(np.float32)  # whole numbers, and so are their sums: exact, and half the memory
        far, tar = roc_curve(self.scores, self.same, pair_weights(drawn, self.people))
        if self.figure == "eer":
            crossed = far >= 1 - tar
            crossed[:, -1] = True  # with many misses the curve ends before the rates are equal
            met = crossed.argmax(axis=1)[:, None]
            values = (np.take_along_axis(far, met, 1) + 1 - np.take_along_axis(tar, met, 1))[:, 0] / 2
        else:
            values = np.where(far <= self.figure, tar, 0).max(axis=1)
        return np.where(np.isfinite(far[:, -1]) & np.isfinite(tar[:, -1]), values, np.nan)


def roc_curve(scores: np.ndarray, same: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true accept rates (R, T) from (0, 0) on, as the threshold falls below each of the T - 1 scores.

    A score of -inf, of a photo without a found face, is never accepted, so the curve may end below 1.

    Args:
        scores, same: (N,).
        weights: (R, N): how often each pair counts.
    """
    order = np.argsort(-scores, kind="stable")
    descending = scores[order]
    ends = np.flatnonzero(np.append(descending[1:] != descending[:-1], True) & np.isfinite(descending))
    ordered = weights[:, order]
    rates = []
    for sort in (~same, same):
        counted = np.cumsum(ordered * sort[order], axis=1)
        accepted = np.concatenate([np.zeros_like(counted[:, :1]), counted[:, ends]], axis=1)
        with np.errstate(invalid="ignore"):  # 0 / 0 where a resample has no pair of the sort
            rates.append(accepted / counted[:, -1:])
    return rates[0], rates[1]
