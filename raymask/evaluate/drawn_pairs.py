"""Pairs of photos drawn by seed among given people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from raymask.data.photos import Photo
from raymask.errors import DataError
from raymask.evaluate.pairs_file import Pair

FOLDS = 10
"""Of people, at most: a pair of different people belongs to the first one's."""


def draw_pairs(photos: Sequence[Photo], count: int, *, ordered: bool, seed: int) -> list[Pair]:
    """So many pairs of the same and so many of different people, none twice; people count as alike as can be.

    Args:
        photos: of people who have two or more.
        count: of either sort.
        ordered: whether a pair the other way round is another pair, as it is where the second photo wears a mask.

    Raises:
        DataError: there are not so many.
    """
    rng = np.random.default_rng([seed, 7])
    names, codes = np.unique([photo.identity for photo in photos], return_inverse=True)
    rows_of = [np.flatnonzero(codes == person) for person in range(len(names))]
    fold_of = rng.permutation(len(names)) % min(FOLDS, len(names))
    same = _of_one_person(rows_of, count, ordered, rng)
    others = (len(photos) ** 2 - sum(len(rows) ** 2 for rows in rows_of)) // (2 if ordered else 4)
    if count > min(len(same), others):
        raise DataError(
            f"{count:,} pairs of either sort were asked for, and these photos make {min(len(same), others):,}; ask for "
            f"fewer, or let people have more photos"
        )
    drawn = same + _of_two_people(rows_of, count, ordered, rng)
    return [
        Pair(photos[first], photos[second], int(fold_of[codes[first]]), place)
        for place, (first, second) in enumerate(drawn, start=1)
    ]


def _of_one_person(
    rows_of: Sequence[np.ndarray], count: int, ordered: bool, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """In rounds, one of each person who has more; `count` if there are as many."""
    waiting = []
    for rows in rows_of:
        pairs = [pair for pair in permutations(rows.tolist(), 2) if ordered or pair[0] < pair[1]]
        waiting.append([pairs[place] for place in rng.permutation(len(pairs))])
    found: list[tuple[int, int]] = []
    while any(waiting) and len(found) < count:
        found += [pairs.pop() for pairs in waiting if pairs]
    return found[:count]


def _of_two_people(
    rows_of: Sequence[np.ndarray], count: int, ordered: bool, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """`count` of them; there must be twice as many, so that chance soon finds new ones."""
    found: list[tuple[int, int]] = []
    known: set[tuple[int, int]] = set()
    while len(found) < count:
        one = int(rng.integers(len(rows_of)))
        other = int((one + rng.integers(1, len(rows_of))) % len(rows_of))
        first, second = int(rng.choice(rows_of[one])), int(rng.choice(rows_of[other]))
        if (first, second) not in known:
            found.append((first, second))
            known |= {(first, second)} if ordered else {(first, second), (second, first)}
    return found
