"""Protocol `batch`: the nearest other photo of a P x K batch must show the same person.

The paper defines no accuracy; its author's code does this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raymask.evaluate.bootstrap import sums_by_person

PEOPLE = 20
"""People in a batch, or all if there are fewer."""
BARE = MASKED = 3
"""Photos of each person in each state; all six are different shots."""


def draw_batches(photos_of: Sequence[np.ndarray], *, batches: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw batches of people and of their shots.

    Args:
        photos_of: for each person the numbers of their photos, BARE + MASKED at least.
        batches: how many to draw.
        seed: the same seed draws the same batches.

    Returns:
        For each batch the photos (B,) int and whether each is worn masked (B,) bool.
    """
    generator = np.random.default_rng(seed)
    masked = np.tile(np.repeat([False, True], [BARE, MASKED]), min(PEOPLE, len(photos_of)))
    drawn = []
    for _ in range(batches):
        people = generator.permutation(len(photos_of))[:PEOPLE]
        shots = [generator.choice(photos_of[person], BARE + MASKED, replace=False) for person in people]
        drawn.append((np.concatenate(shots), masked))
    return drawn


@dataclass(frozen=True, eq=False)
class BatchScores:
    """Anchors counted by person, and the scores that decided."""

    hits: np.ndarray
    """(people, 2) float: anchors whose nearest neighbour was right; columns bare, masked."""
    anchors: np.ndarray
    """(people, 2) float: anchors in all."""
    same: np.ndarray
    """Cosine of each found anchor's nearest photo of the same person."""
    different: np.ndarray
    """Cosine of each found anchor's nearest photo of another person."""


def judge_batches(
    embeddings: np.ndarray, found: np.ndarray, identities: np.ndarray, masked: np.ndarray, batches: Sequence[np.ndarray]
) -> BatchScores:
    """Judge every photo of every batch as anchor.

    A photo without a found face is wrong as an anchor and is nobody's neighbour.

    Args:
        embeddings: (N, D) float of unit length.
        found: (N,) bool.
        identities: (N,) int, from 0.
        masked: (N,) bool.
        batches: arrays of row numbers.
    """
    people = int(identities.max()) + 1
    hits, anchors = np.zeros((people, 2)), np.zeros((people, 2))
    same_parts, different_parts = [], []
    for rows in batches:
        same, different = nearest(embeddings[rows], found[rows], identities[rows])
        right = found[rows] & (same > different)
        for state in (0, 1):
            part = masked[rows] == bool(state)
            hits[:, state] += sums_by_person(right[part], identities[rows][part], people)
            anchors[:, state] += sums_by_person(np.ones(part.sum()), identities[rows][part], people)
        same_parts.append(same[found[rows]])
        different_parts.append(different[found[rows]])
    same, different = np.concatenate(same_parts), np.concatenate(different_parts)
    return BatchScores(hits, anchors, same[np.isfinite(same)], different[np.isfinite(different)])


def nearest(embeddings: np.ndarray, found: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's highest cosine with another found row of the same person and of other people: (B,), (B,).

    -inf where there is none.
    """
    scores = embeddings @ embeddings.T
    scores[:, ~found] = -np.inf
    np.fill_diagonal(scores, -np.inf)
    alike = identities[:, None] == identities
    return np.where(alike, scores, -np.inf).max(axis=1), np.where(alike, -np.inf, scores).max(axis=1)
