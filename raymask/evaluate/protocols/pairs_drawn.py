"""Pairs of photos drawn by seed among given people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from raymask.data.prepare.photos import Photo
from raymask.errors import DataError
from raymask.evaluate.protocols.pairs_file import Pair

FOLDS = 10
"""Of people, at most: a pair of different people belongs to the first one's."""


def draw_pairs(
    photos: Sequence[Photo], count: int, *, ordered: bool, seed: int, masked: Sequence[Photo] | None = None
) -> list[Pair]:
    """So many pairs of the same and so many of different people, none twice; people count as alike as can be.

    Args:
        photos: bare ones, of people who have two or more, or one and others in `masked`.
        count: of either sort.
        ordered: whether a pair the other way round is another pair, as it is where the second photo wears a mask.
        seed: the same seed draws the same pairs.
        masked: photos that are masked in truth, the second of each pair; people without one are not drawn. None: both
            photos of a pair are of `photos`.

    Raises:
        DataError: there are not so many.
    """
    rng = np.random.default_rng([seed, 7])
    seconds = photos if masked is None else masked
    names = np.unique([photo.identity for photo in seconds])
    first_of, second_of = _rows_of(photos, names), _rows_of(seconds, names)
    fold_of = rng.permutation(len(names)) % min(FOLDS, len(names))
    same = _of_one_person(first_of, second_of, count, masked is not None, ordered, rng)
    others = _count_of_two_people(first_of, second_of) // (2 if ordered else 4)
    if count > min(len(same), others):
        raise DataError(
            f"{count:,} pairs of either sort were asked for, and these photos make {min(len(same), others):,}; ask for "
            f"fewer, or let people have more photos"
        )
    drawn = same + _of_two_people(first_of, second_of, count, ordered, rng)
    person_of = {str(name): person for person, name in enumerate(names)}
    return [
        Pair(
            photos[first],
            seconds[second],
            fold=int(fold_of[person_of[photos[first].identity]]),
            line=place,
            in_truth=(False, masked is not None),
        )
        for place, (first, second) in enumerate(drawn, start=1)
    ]


def _rows_of(photos: Sequence[Photo], names: np.ndarray) -> list[np.ndarray]:
    """Of each person the numbers of their photos."""
    identities = np.array([photo.identity for photo in photos])
    return [np.flatnonzero(identities == name) for name in names]


def _of_one_person(
    first_of: Sequence[np.ndarray],
    second_of: Sequence[np.ndarray],
    count: int,
    apart: bool,
    ordered: bool,
    rng: np.random.Generator,
) -> list[tuple[int, int]]:
    """In rounds, one of each person who has more; `count` if there are as many.

    `apart`: first and second photos are numbered apart, so that equal numbers are not the same photo.
    """
    waiting = []
    for firsts, seconds in zip(first_of, second_of, strict=True):
        pairs = [
            (first, second)
            for first, second in product(firsts.tolist(), seconds.tolist())
            if apart or first < second or (ordered and first > second)
        ]
        waiting.append([pairs[place] for place in rng.permutation(len(pairs))])
    found: list[tuple[int, int]] = []
    while any(waiting) and len(found) < count:
        found += [pairs.pop() for pairs in waiting if pairs]
    return found[:count]


def _count_of_two_people(first_of: Sequence[np.ndarray], second_of: Sequence[np.ndarray]) -> int:
    firsts, seconds = ([len(rows) for rows in part] for part in (first_of, second_of))
    return sum(firsts) * sum(seconds) - sum(one * other for one, other in zip(firsts, seconds, strict=True))


def _of_two_people(
    first_of: Sequence[np.ndarray],
    second_of: Sequence[np.ndarray],
    count: int,
    ordered: bool,
    rng: np.random.Generator,
) -> list[tuple[int, int]]:
    """`count` of them; there must be twice as many, so that chance soon finds new ones."""
    found: list[tuple[int, int]] = []
    known: set[tuple[int, int]] = set()
    while len(found) < count:
        one = int(rng.integers(len(first_of)))
        other = int((one + rng.integers(1, len(first_of))) % len(first_of))
        first, second = int(rng.choice(first_of[one])), int(rng.choice(second_of[other]))
        if (first, second) not in known:
            found.append((first, second))
            known |= {(first, second)} if ordered else {(first, second), (second, first)}
    return found
