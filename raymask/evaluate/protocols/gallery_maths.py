"""Protocol `gallery`: one bare photo a person enrolled, all their other shots as probes.

Rank-k asks whom a probe resembles, with everybody enrolled. The open-set part asks whether to believe it: people are
halved, each half is a gallery of its own, and each probe comes twice, once with its person enrolled (who must be found)
and once with that person struck from the gallery (when nobody may be found). The threshold that judges one half is
calibrated on the other, so it never saw the people it judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FPIR = 0.01
"""Share of calibration probes of people not enrolled that may be accepted: it fixes the threshold."""


def draw_enrolled(photos_of: Sequence[np.ndarray], *, draws: int, seed: int) -> np.ndarray:
    """(draws, people) int: the photo by which each person is enrolled in each draw."""
    generator = np.random.default_rng(seed)
    return np.array([[generator.choice(photos) for photos in photos_of] for _ in range(draws)])


def draw_halves(people: int, *, draws: int, seed: int) -> np.ndarray:
    """(draws, people) bool: which half each person belongs to in each draw; the halves differ by one at most."""
    generator = np.random.default_rng(seed)
    return np.array([generator.permutation(people) < people // 2 for _ in range(draws)])


def gallery_scores(embeddings: np.ndarray, found: np.ndarray, enrolled: np.ndarray) -> np.ndarray:
    """(N, people) cosine of every photo with every enrolled one; -inf where either shows no found face."""
    scores = embeddings @ embeddings[enrolled].T
    scores[~found] = -np.inf
    scores[:, ~found[enrolled]] = -np.inf
    return scores


def ranks(scores: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """(N,) float: the place, from 1, of each photo's own person among the gallery; inf if one was not found.

    Ties count against the recogniser.
    """
    own = np.take_along_axis(scores, identities[:, None], axis=1)
    place = (scores >= own).sum(axis=1).astype(np.float64)
    return np.where(np.isfinite(own[:, 0]), place, np.inf)


def own_and_best_other(scores: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) scores with the own person, and the highest with anybody else."""
    own = np.take_along_axis(scores, identities[:, None], axis=1)[:, 0]
    others = scores.copy()
    others[np.arange(len(scores)), identities] = -np.inf
    return own, others.max(axis=1)


def threshold_at(scores: np.ndarray, share: float) -> float:
    """The lowest threshold, from -1, that at most `share` of the cosines reach."""
    descending = np.sort(scores)[::-1]
    return max(float(np.nextafter(descending[int(share * len(scores))], np.inf)), -1.0)


@dataclass(frozen=True, eq=False)
class OpenSet:
    """Decisions on each photo at the threshold of the other half."""

    false_accepts: np.ndarray
    """(N,) bool: somebody was recognised although the person was not enrolled."""
    false_rejects: np.ndarray
    """(N,) bool: the enrolled person was not recognised: below threshold, or another was nearer."""
    thresholds: tuple[float, float]
    """Cosine similarity, for each half."""


def open_set(scores: np.ndarray, identities: np.ndarray, is_probe: np.ndarray, half: np.ndarray) -> OpenSet:
    """Judge each half of the people at the threshold of the other.

    Args:
        scores: (N, people + crowd) of `gallery_scores`; the crowd is enrolled in both galleries.
        identities: (N,) int.
        is_probe: (N,) bool: the photos to calibrate and judge with.
        half: (people,) bool; each half has at least 2 people.
    """
    crowd = np.ones(scores.shape[1] - len(half), dtype=bool)
    judged = []
    for side in (np.append(half, crowd), np.append(~half, crowd)):
        columns = np.flatnonzero(side)
        place = np.zeros(len(side), dtype=int)
        place[columns] = np.arange(len(columns))
        rows = np.flatnonzero(is_probe & side[identities])
        own, other = own_and_best_other(scores[np.ix_(rows, columns)], place[identities[rows]])
        judged.append((rows, own, other))
    thresholds = tuple(threshold_at(judged[1 - number][2], FPIR) for number in (0, 1))
    false_accepts, false_rejects = np.zeros(len(scores), bool), np.zeros(len(scores), bool)
    for (rows, own, other), threshold in zip(judged, thresholds, strict=True):
        false_accepts[rows] = other >= threshold
        false_rejects[rows] = (own < threshold) | (other >= own)
    return OpenSet(false_accepts, false_rejects, (thresholds[0], thresholds[1]))
