"""Whether a gallery keeps what its thresholds promise, found without strangers.

A threshold promises that of the searches for people who are not enrolled only a known share returns somebody. Everybody
enrolled who is searched among all others is such a search. Where more of them reach the threshold than promised, the
people enrolled resemble each other more than those that the threshold was calibrated on, or some are enrolled twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from scipy.special import bdtrc

from raymask.gallery.reader import GalleryReader
from raymask.gallery.view import Candidate

LEAST_PEOPLE = 200
"""Enrolled; of fewer, a share of 1% says nothing."""
_MOST_PEOPLE = 1000
"""That are searched."""
_TOO_OFTEN = 2
"""Times what was promised."""
_CHANCE = 0.01
"""That a gallery which keeps its promise is said not to, at most."""
_PAIRS = 5
"""Named at most."""
_REST = 4
"""Seconds without a search after each second of searching: a fifth of a core at most."""
_LONGEST = 300.0
"""Seconds after which no further search begins."""


class NearPair(NamedTuple):
    """Two people enrolled, one of whom is nearest to the other."""

    first: str
    second: str
    """Behind `first` in the alphabet."""
    score: float
    """Cosine similarity, -1 to 1."""


class Share(NamedTuple):
    """Of the searches, those that return somebody: expected and found."""

    expected: float
    """As the threshold promises, more than 0 and less than 1."""
    observed: float
    """0 to 1."""
    exceeds: bool
    """Whether it is more than _TOO_OFTEN times as much, and so much by chance in less than _CHANCE."""


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """What a check has found."""

    checked: datetime
    """When, UTC."""
    people: int
    """Enrolled then."""
    embeddings: int
    """Enrolled then."""
    searched: int
    """People who were searched among the others."""
    shares: tuple[Share, ...]
    """In the order of what was promised."""
    nearest: tuple[NearPair, ...] = field(repr=False)
    """Pairs of those searched, nearest first: one person enrolled twice, perhaps. For admins; goes into no log."""

    @property
    def exceeds(self) -> bool:
        """Whether any share does."""
        return any(share.exceeds for share in self.shares)


def self_check(
    reader: GalleryReader, thresholds: Callable[[int], Mapping[float, float]], seed: int
) -> SelfCheck | None:
    """Search people among the others enrolled, and count for whom that returns somebody.

    Up to _MOST_PEOPLE people are drawn, and of each a bare photo. A search takes 4 ms among 100,000 embeddings, 7 ms
    among a million with an index. With the rests between them all take 20 to 35 s, and no search begins after
    _LONGEST. Before them names and looks of all rows are read, 0.25 s a million, but vectors of those drawn alone.

    Args:
        reader: of the gallery; others may search it meanwhile.
        thresholds: gives for a number of embeddings the promised shares, each with its score for bare faces; empty
            where nothing is promised of so many.
        seed: of the draw.

    Returns:
        None below LEAST_PEOPLE people, where nothing is promised, and where searches are so slow that fewer were done.

    Raises:
        DataError: the gallery cannot be read.
    """
    embeddings, drawn = reader.rows, reader.draw(_MOST_PEOPLE, seed)
    if drawn.people < LEAST_PEOPLE:
        return None
    promised = thresholds(round(embeddings * (1 - 1 / drawn.people)))  # without a person's own, of whom all have some
    if not promised:
        return None
    found: list[NearPair | None] = []
    end = time.monotonic() + _LONGEST
    for name, vector in zip(drawn.names, drawn.vectors, strict=True):
        begun = time.monotonic()
        if begun > end:
            break
        (near,) = reader.search(vector[None], 2).candidates
        others = [one for one in near if one.identity != name]
        found.append(_pair(name, others[0]) if others else None)
        time.sleep(_REST * (time.monotonic() - begun))
    if len(found) < LEAST_PEOPLE:
        return None
    pairs = {pair[:2]: pair for pair in found if pair}.values()
    return SelfCheck(
        checked=datetime.now(UTC),
        people=drawn.people,
        embeddings=embeddings,
        searched=len(found),
        shares=tuple(_share(rate, score, found) for rate, score in promised.items()),
        nearest=tuple(sorted(pairs, key=lambda pair: -pair.score)[:_PAIRS]),
    )


def _pair(name: str, other: Candidate) -> NearPair:
    first, second = sorted((name, other.identity))
    return NearPair(first, second, other.score)


def _share(rate: float, threshold: float, found: Sequence[NearPair | None]) -> Share:
    """The share of searches that reach a threshold, of which a share `rate` is promised.

    Two people who are nearest to each other are one chance that counts twice. So the test is of the pairs that reach
    the threshold, among as many fewer searches.
    """
    reached = [pair[:2] for pair in found if pair and pair.score >= threshold]
    observed = len(reached) / len(found)
    if observed <= _TOO_OFTEN * rate:
        return Share(rate, observed, exceeds=False)
    pairs = len(set(reached))
    searches = round(len(found) * pairs / len(reached))
    return Share(rate, observed, exceeds=bool(bdtrc(pairs - 1, searches, rate) < _CHANCE))
