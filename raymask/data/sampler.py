"""P x K batches: P people with K bare and K masked photos each, no shot twice in a batch (paper §5).

What makes a batch depends on (seed, epoch, step) alone, never on the number of workers: each takes its slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from raymask.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """What a batch is made of."""

    people: int = 20
    """P: people in a batch."""
    bare: int = 3
    """Bare photos of each person in a batch; fewer where a person has too few."""
    masked: int = 3
    """Masked photos of each person in a batch; fewer where a person has too few."""

    def __post_init__(self) -> None:
        if self.people < 2:
            raise ConfigError(f"people must be 2 or more, for a batch needs negatives, not {self.people}")
        if self.bare < 1 or self.masked < 1:
            raise ConfigError(f"bare and masked must be 1 or more, not {self.bare} and {self.masked}")


class Shot(NamedTuple):
    """A photo in a batch."""

    row: int
    """Index of the photo in the data set."""
    masked: bool
    """Whether its masked crop is used."""


class PKSampler:
    """Plans the batches of each epoch.

    An epoch has ceil(photos / batch size) steps. A person's photos are shuffled and cut into groups of K + K. Where
    people have few photos there are more groups than places: a lot, drawn anew in each epoch, decides which groups sit
    it out. Each group goes to one of the emptiest batches, each of a person's groups to another batch.
    """

    def __init__(self, identities: Sequence[int], config: SamplerConfig, *, seed: int) -> None:
        """`identities`: (N,) whole numbers, equal for photos of one person."""
        codes = np.asarray(identities)
        if len(np.unique(codes)) < 2:
            raise ConfigError("training needs photos of at least two people; prepare more")
        order = np.argsort(codes, kind="stable")
        borders = np.flatnonzero(np.diff(codes[order])) + 1
        self._rows_of = np.split(order, borders)
        self._config, self._seed = config, seed
        self._photos = len(codes)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        batch = self._config.people * (self._config.bare + self._config.masked)
        return -(-self._photos // batch)

    def epoch(self, epoch: int) -> list[list[Shot]]:
        """The batches of an epoch, counted from 0."""
        random = np.random.default_rng([self._seed, epoch])
        groups = self._drawn([self._groups(rows, random) for rows in self._rows_of], random)
        filled = np.zeros(self.steps, dtype=np.int64)
        batches: list[list[Shot]] = [[] for _ in range(self.steps)]
        # People with the most groups choose first, since each of theirs needs a batch of its own.
        for own in sorted(groups, key=len, reverse=True):
            ties = random.random(self.steps)
            for group, step in zip(own, np.lexsort((ties, filled)), strict=False):
                batches[step] += group
                filled[step] += 1
        return batches

    def _drawn(self, groups: list[list[list[Shot]]], random: np.random.Generator) -> list[list[list[Shot]]]:
        """Each person's groups that take part: at most one a step, and no more in all than there are places."""
        lots = [person for person, own in enumerate(groups) for _ in own[: self.steps]]
        winners = random.permutation(lots)[: self.steps * self._config.people]
        places = np.bincount(winners, minlength=len(groups))
        return [own[:count] for own, count in zip(groups, places, strict=True)]

    def _groups(self, rows: np.ndarray, random: np.random.Generator) -> list[list[Shot]]:
        """A person's photos in groups of K bare and K masked; a last group that is short is filled up with others."""
        size = self._config.bare + self._config.masked
        shuffled = random.permutation(rows)
        groups = [shuffled[start : start + size] for start in range(0, len(rows), size)]
        lacking = size - len(groups[-1])
        if len(groups) > 1 and lacking:
            groups[-1] = np.concatenate([groups[-1], shuffled[:lacking]])
        return [self._dress(group, random) for group in groups]

    def _dress(self, rows: np.ndarray, random: np.random.Generator) -> list[Shot]:
        """Decide which photos of a group are bare: the share of a full group, rounded at random."""
        share = len(rows) * self._config.bare / (self._config.bare + self._config.masked)
        bare = int(share + random.random())
        return [Shot(int(row), place >= bare) for place, row in enumerate(rows)]


def rank_slice(batch: Sequence[Shot], rank: int, world: int) -> Sequence[Shot]:
    """The part of a batch that a rank takes: consecutive shots, sizes differing by at most one."""
    return batch[len(batch) * rank // world : len(batch) * (rank + 1) // world]
