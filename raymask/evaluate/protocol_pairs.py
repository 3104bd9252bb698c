"""Protocol `pairs`: two photos, the same person or not, as LFW is scored."""

from __future__ import annotations

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


@dataclass(frozen=True, eq=False)
class Roc:
    """A figure of the ROC curve of pairs, each of which counts as often as its person was drawn."""

    scores: np.ndarray
    """(N,) float."""
    same: np.ndarray
    """(N,) bool."""
    person: np.ndarray
    """(N,) int: whom the pair belongs to."""
    figure: float | Literal["eer"]
    """`eer`: the equal error rate; a number: the share of same pairs accepted at that share of false accepts."""

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """(R, P) weights to (R,) values; NaN where there are no pairs of both sorts."""
        step = max(1, CHUNK // len(self.scores))
        parts = [self._of(weights[start : start + step]) for start in range(0, len(weights), step)]
        return np.concatenate(parts)

    def _of(self, weights: np.ndarray) -> np.ndarray:
        drawn = weights.astype(np.float32)  # whole numbers, and so are their sums: exact, and half the memory
        far, tar = roc_curve(self.scores, self.same, drawn[:, self.person])
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
