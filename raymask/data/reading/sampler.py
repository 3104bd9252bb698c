"""P x K batches: P people with K bare and K masked photos each, no shot twice in a batch (paper §5).

What makes a batch depends on (seed, epoch, step) alone, never on the number of workers: each takes its slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from raymask.errors import ConfigError

T = TypeVar("T")


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

    @property
    def photos(self) -> int:
        """Photos in a full batch."""
        return self.people * (self.bare + self.masked)


class BatchPhoto(NamedTuple):
    """A photo in a batch."""

    row: int
    """Index of the photo in the data set."""
    masked: bool
    """Whether its masked crop is used."""


class PKSampler:
    """Plans the batches of each epoch, a few numbers a person, and makes each when it is asked for.

    Each person has an endless stream of photos, one random order of all of them after another, cut into groups of
    K + K: nobody's photo comes again before all of that person's have come. Somebody with fewer photos is one group of
    all of them. A step has places for P people, and an epoch has as many steps as it takes to go once through
    everyone's photos: ceil(photos / batch) where everybody has K + K or more. So people of a single photo come once in
    each epoch. Where there are more groups than places, those take part whose people are furthest behind, so that over
    the epochs every photo comes about equally often, as far as one group a batch allows. Within two epochs every photo
    has come; of a person whose own groups outnumber the steps, within ceil(own groups / steps) + 1.

    Morphs take nobody's place: each batch holds as many of them beside the P people as it takes for all to come about
    once an epoch.
    """

    def __init__(
        self, identities: Sequence[int] | np.ndarray, config: SamplerConfig, *, seed: int, morphs: int = 0
    ) -> None:
        """`identities`: (N,) whole numbers, equal for photos of one person; `morphs`: how many rows follow them."""
        codes = np.asarray(identities)
        self._rows = np.argsort(codes, kind="stable")
        codes = codes[self._rows]
        self._starts = np.append(0, np.flatnonzero(np.diff(codes)) + 1)
        if len(self._starts) < 2:
            raise ConfigError("training needs photos of at least two people; prepare more")
        self._counts = np.diff(self._starts, append=len(codes))
        self._group = config.bare + config.masked
        self._group_sizes = np.minimum(self._counts, self._group)
        self._config, self._seed = config, seed
        self._streams: dict[int, _Stream] = {}
        self._current: _Plan | None = None
        self._morphs_a_step = -(-morphs // self.steps)
        self._morphs = _Stream(morphs, self._morphs_a_step, (seed, 3, 0)) if morphs else None

    @property
    def steps(self) -> int:
        """Batches in an epoch; somebody with fewer than K + K photos takes a whole place, as everybody does."""
        return -(-int(np.maximum(self._counts, self._group).sum()) // self._config.photos)

    def batch(self, epoch: int, step: int) -> list[BatchPhoto]:
        """The shots of a step of an epoch, both counted from 0: the same whatever was asked for before."""
        groups = self._plan(epoch).groups_of(step)
        places = [self._stream(person).group(number) + self._starts[person] for person, number in groups]
        sizes = np.array([len(own) for own in places], dtype=np.int64)
        random = np.random.default_rng([self._seed, 2, epoch, step])
        group = np.repeat(np.arange(len(sizes)), sizes)
        rows = self._rows[np.concatenate(places)[np.lexsort((random.random(len(group)), group))]]
        masked = _within(sizes) >= self._bare_of(sizes, random)[group]
        shots = [BatchPhoto(row, dress) for row, dress in zip(rows.tolist(), masked.tolist(), strict=True)]
        return shots + self._morphs_in(epoch, step)

    def photos(self, epoch: int) -> int:
        """Photos and morphs in all batches of an epoch."""
        return int((self._plan(epoch).counts * self._group_sizes).sum()) + self._morphs_a_step * self.steps

    @property
    def photos_in_all(self) -> int:
        """Photos that there are, without morphs."""
        return len(self._rows)

    def people(self, epoch: int) -> int:
        """How many people come in an epoch, without morphs."""
        return int(np.count_nonzero(self._plan(epoch).counts))

    @property
    def group_sizes(self) -> np.ndarray:
        """(people,) int64: how many photos of each person come together, K + K or all that there are."""
        return self._group_sizes

    def visited(self, epoch: int) -> int:
        """How many different photos come in an epoch, without morphs."""
        plan = self._plan(epoch)
        return sum(
            self._stream(person).different(int(plan.before[person]), int(plan.counts[person]))
            for person in np.flatnonzero(plan.counts).tolist()
        )

    def _morphs_in(self, epoch: int, step: int) -> list[BatchPhoto]:
        """A step's morphs, as large a share of them masked as of the photos."""
        if self._morphs is None:
            return []
        rows = len(self._rows) + self._morphs.group(epoch * self.steps + step)
        random = np.random.default_rng([self._seed, 4, epoch, step])
        masked = random.permutation(len(rows)) >= self._bare_of(np.array([len(rows)]), random)
        return [BatchPhoto(row, dress) for row, dress in zip(rows.tolist(), masked.tolist(), strict=True)]

    def _plan(self, epoch: int) -> _Plan:
        """Who takes part in an epoch and when; the epochs before it are gone through to know how far everyone is."""
        plan = self._current
        if plan is None or epoch < plan.epoch:
            plan = self._draw(0, np.zeros(len(self._counts), dtype=np.int64))
        while plan.epoch < epoch:
            plan = self._draw(plan.epoch + 1, plan.before + plan.counts)
        self._current = plan
        return plan

    def _draw(self, epoch: int, before: np.ndarray) -> _Plan:
        random = np.random.default_rng([self._seed, 0, epoch])
        wanted = self._counts / self._group_sizes  # groups that go once through all of a person's photos
        offered = np.minimum(self.steps, np.ceil(wanted)).astype(np.int64)
        person = np.repeat(np.arange(len(offered)), offered)
        cycles = (before[person] + _within(offered) + 0.5) / wanted[person]  # times through the photos, with this group
        winners = person[np.lexsort((random.random(len(person)), cycles))[: self.steps * self._config.people]]
        counts = np.bincount(winners, minlength=len(offered))

        # Dealt out in turn, a person's groups, which lie together and are no more than the steps, meet in no batch.
        order = random.permutation(len(counts))
        persons = np.repeat(order, counts[order])
        numbers = before[persons] + _within(counts[order])
        steps = random.permutation(self.steps)[np.arange(len(persons)) % self.steps]
        by_step = np.argsort(steps, kind="stable")
        borders = np.searchsorted(steps[by_step], np.arange(self.steps + 1))
        return _Plan(epoch, before, counts, persons[by_step], numbers[by_step], borders)

    def _bare_of(self, sizes: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """How many photos of groups of these sizes are bare: K of K + K, that share of fewer, rounded at random."""
        share = sizes * self._config.bare / (self._config.bare + self._config.masked)
        return np.floor(share + random.random(len(sizes)))

    def _stream(self, person: int) -> _Stream:
        if person not in self._streams:
            count, group = int(self._counts[person]), int(self._group_sizes[person])
            self._streams[person] = _Stream(count, group, (self._seed, 1, person))
        return self._streams[person]


class _Plan(NamedTuple):
    """Which groups of photos meet in each batch of an epoch."""

    epoch: int
    before: np.ndarray
    """(people,) int64: groups of each person in the epochs before."""
    counts: np.ndarray
    """(people,) int64: groups of each person in this epoch."""
    persons: np.ndarray
    """(groups,) int64, by step."""
    numbers: np.ndarray
    """(groups,) int64: which group of the person's stream."""
    borders: np.ndarray
    """(steps + 1,) int64: where each step's groups begin."""

    def groups_of(self, step: int) -> list[tuple[int, int]]:
        own = slice(self.borders[step], self.borders[step + 1])
        return list(zip(self.persons[own].tolist(), self.numbers[own].tolist(), strict=True))


class _Stream:
    """The endless order of one person's photos, cut into groups of different photos.

    Each cycle through the photos is the one before, shuffled over a part of its length: what came late comes late
    again, so that an epoch which begins amid a cycle meets few photos twice.
    """

    __slots__ = ("_count", "_cycles", "_group", "_next", "_random", "_seed")

    _KEPT = 4
    """Cycles remembered: an epoch takes a person through at most so many."""
    _REACH = 0.5
    """Share of a cycle by which the next one may shift a photo."""

    def __init__(self, count: int, group: int, seed: tuple[int, int, int]) -> None:
        self._count, self._group, self._seed = count, group, seed
        self._restart()

    def _restart(self) -> None:
        self._random = np.random.default_rng(self._seed)
        self._cycles: dict[int, np.ndarray] = {}
        self._next = 0

    def group(self, number: int) -> np.ndarray:
        """Places, 0 to count - 1, of a group's photos, all different."""
        return self._span(number * self._group, (number + 1) * self._group)

    def different(self, first: int, count: int) -> int:
        """How many different photos `count` groups from `first` on hold."""
        return len(np.unique(self._span(first * self._group, (first + count) * self._group)))

    def _span(self, start: int, stop: int) -> np.ndarray:
        first, last = start // self._count, (stop - 1) // self._count
        cycles = [self._cycle(number) for number in range(first, last + 1)]
        whole = cycles[0] if len(cycles) == 1 else np.concatenate(cycles)
        return whole[start - first * self._count : stop - first * self._count]

    def _cycle(self, number: int) -> np.ndarray:
        if number < self._next and number not in self._cycles:
            self._restart()
        while self._next <= number:
            self._cycles[self._next] = self._draw(self._next)
            self._cycles.pop(self._next - self._KEPT, None)
            self._next += 1
        return self._cycles[number]

    def _draw(self, number: int) -> np.ndarray:
        if not number:
            return self._random.permutation(self._count).astype(np.int32)
        before = self._cycles[number - 1]
        keys = np.arange(self._count) + self._REACH * self._count * self._random.random(self._count)
        order = before[np.argsort(keys)]
        begun = number * self._count % self._group  # photos that the cycle before gave to a group that this one ends
        if begun:
            self._part(order, before[-begun:], self._group - begun)
        return order

    @staticmethod
    def _part(order: np.ndarray, tail: np.ndarray, lacking: int) -> None:
        """Move photos of `tail` out of the first `lacking` of `order`, in exchange for the first others behind."""
        in_tail = np.zeros(len(order), dtype=bool)
        in_tail[tail] = True
        clash = np.flatnonzero(in_tail[order[:lacking]])
        others = lacking + np.flatnonzero(~in_tail[order[lacking:]])[: len(clash)]
        order[clash], order[others] = order[others], order[clash]


def _within(sizes: np.ndarray) -> np.ndarray:
    """0, 1, ... within each of consecutive runs of the given sizes."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def rank_slice(batch: Sequence[T], rank: int, world: int) -> Sequence[T]:
    """The part of a batch that a rank takes: consecutive shots, sizes differing by at most one."""
    return batch[len(batch) * rank // world : len(batch) * (rank + 1) // world]
