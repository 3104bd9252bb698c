"""Every masked photo against every bare one: how far apart lie the scores of one person and of two?

Two figures of all these comparisons, over people who are drawn with replacement (`protocol_pairs.pair_weights`):

- The *equal error rate* (EER, ISO/IEC 19795-1): the rate at the threshold where different people are accepted as often
  as one person is refused. Between two thresholds it is the mean of both rates at the upper end of the crossing. A
  comparison counts as refused where a face was not found.
- *d'* (J. Daugman, "Biometric decision landscapes", University of Cambridge, technical report 482, 2000): the mean
  score of one person minus that of two people, over the root of the mean of both variances. It says how far apart the
  scores lie before any threshold. Comparisons without a score, where a face was not found, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raymask.evaluate.protocols.pairs_maths import pair_weights

MOST = 20_000_000
"""Comparisons that are judged at most; they take 8 bytes each, and 40 while they are sorted."""
AT_ONCE = 2_000_000
"""Weights held at a time, 8 bytes each."""


@dataclass(frozen=True, eq=False)
class AllPairs:
    """Comparisons between P people, by cells: P times the masked photo's person, plus the bare photo's person."""

    compared: np.ndarray
    """(P, P) float64: comparisons of a masked photo of the row's person with a bare one of the column's."""
    scores: np.ndarray
    """(N,) float32 cosines, descending, of the comparisons in which both faces were found."""
    cells: np.ndarray
    """(N,) int32: whom each score compares."""

    def table(self, begin: int, end: int, power: int = 0) -> np.ndarray:
        """(P, P) float64: the sum over each cell of the scores from `begin` to `end`, raised to a power."""
        worth = None if power == 0 else self.scores[begin:end].astype(np.float64) ** power
        return np.bincount(self.cells[begin:end], worth, self.compared.size).reshape(self.compared.shape).astype(float)


def compare_all(
    embeddings: np.ndarray,
    found: np.ndarray,
    identities: np.ndarray,
    shots: np.ndarray,
    masked: np.ndarray,
    bare: np.ndarray,
) -> AllPairs:
    """Compare masked rows with the bare ones of other shots.

    Args:
        embeddings: (rows, D) float32 of unit length.
        found: (rows,) bool.
        identities: (rows,) int, from 0 without gaps among `bare`.
        shots: (rows,) int: a photo and the same photo with a mask drawn on it are one shot.
        masked, bare: numbers of rows.
    """
    people = int(identities[bare].max()) + 1
    cells = (identities[masked, None] * people + identities[bare]).astype(np.int32)
    counted = shots[masked, None] != shots[bare]
    compared = np.bincount(cells[counted], minlength=people**2).reshape(people, people)
    counted &= found[masked, None] & found[bare]
    scores = (embeddings[masked] @ embeddings[bare].T)[counted]
    order = np.argsort(-scores, kind="stable")
    return AllPairs(compared.astype(np.float64), scores[order], cells[counted][order])


def weighed(table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A table (P, P) summed over one person and over two, as people are drawn, weights (R, P): (2, R)."""
    same = np.diagonal(table)
    other = np.einsum("rp,rp->r", weights @ (table - np.diag(same)), weights)
    return np.stack([weights @ same, other])


def d_prime(pairs: AllPairs, weights: np.ndarray) -> np.ndarray:
    """(R, P) weights to (R,) values of d'; NaN where a resample lacks a sort of pairs, or where no scores differ."""
    counts, sums, squares = (weighed(pairs.table(0, len(pairs.scores), power), weights) for power in (0, 1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / counts
        variance = np.maximum(squares / counts - means**2, 0).mean(axis=0)
        return np.where(variance > 1e-12, (means[0] - means[1]) / np.sqrt(variance), np.nan)


def equal_errors(pairs: AllPairs, weights: np.ndarray) -> np.ndarray:
    """(R, P) weights to (R,) equal error rates; NaN where a resample lacks a sort of pairs.

    The resamples search together, by halving the order of scores. Each half is counted once for all whose rates cross
    in it: as comparisons of every two people, which weigh differently in each resample.
    """
    totals = weighed(pairs.compared, weights)
    values = np.full(len(weights), np.nan)
    cuts = np.flatnonzero(np.append(pairs.scores[1:] != pairs.scores[:-1], len(pairs.scores) > 0)) + 1
    starts = np.append(0, cuts)  # equal scores are accepted together; the last start is the end
    todo = [(0, len(cuts), np.flatnonzero((totals > 0).all(axis=0)), np.zeros_like(pairs.compared))]
    while todo:
        low, high, rows, accepted = todo.pop()  # the rates of `rows` cross after `low`, at the latest at `high`
        drawn, total = weights[rows], totals[:, rows]
        if high - low <= 1 or len(rows) * (starts[high] - starts[low]) <= AT_ONCE:
            values[rows] = _met(pairs, starts[low : high + 1], accepted, drawn, total)
            continue
        middle = (low + high) // 2
        until = accepted + pairs.table(starts[low], starts[middle])
        crossed = _margin(weighed(until, drawn), total) >= 0
        todo += [(low, middle, rows[crossed], accepted), (middle, high, rows[~crossed], until)]
    return values


def _margin(accepted: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Share of different people accepted minus share of the same refused, in whole numbers, which are exact."""
    return accepted[1] * total[0] - (total[0] - accepted[0]) * total[1]


def _met(
    pairs: AllPairs, starts: np.ndarray, accepted: np.ndarray, weights: np.ndarray, total: np.ndarray
) -> np.ndarray:
    """(R,) equal error rates that lie between two places in the order of scores.

    Args:
        pairs: all.
        starts: where each run of equal scores begins, and where the last ends.
        accepted: (P, P) comparisons before the first start.
        weights: (R, P).
        total: (2, R) of `weighed`: all comparisons.
    """
    counts = weighed(accepted, weights)[:, :, None]  # (2, R, 1)
    if len(starts) == 2:
        counts = weighed(accepted + pairs.table(*starts), weights)[:, :, None]
    elif len(starts) > 2:
        people = np.stack(np.divmod(pairs.cells[starts[0] : starts[-1]], len(accepted)), axis=1)
        each = pair_weights(weights, people)
        same = people[:, 0] == people[:, 1]
        ends = starts[1:] - starts[0] - 1
        counts = counts + np.stack([np.cumsum(each * sort, axis=1)[:, ends] for sort in (same, ~same)])
    crossed = _margin(counts, total[:, :, None]) >= 0
    crossed[:, -1] = True  # where faces were missed, the scores may end before the rates meet
    at = crossed.argmax(axis=1)
    same, other = np.take_along_axis(counts, at[None, :, None], axis=2)[:, :, 0] / total
    return (other + 1 - same) / 2
