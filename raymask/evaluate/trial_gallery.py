"""Protocol `gallery` on photos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymask.data.photos import Photo
from raymask.evaluate import protocol_gallery
from raymask.evaluate.bootstrap import Ratio, sums_by_person
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.measures import Line, Measure, Scored
from raymask.evaluate.probes import Probe
from raymask.evaluate.trial import PhotosTrial, Query

CMC_RANKS = 20
"""Ranks that the curve shows."""


class GalleryTrial(PhotosTrial):
    """One enrolled photo a person.

    Behind the rows of the people, bare and masked, stands the crowd: a row each of people who are enrolled by that
    photo in every draw, and about whom nobody asks.
    """

    headline = "rank1_masked"
    scores_shown = ("masked probe and its own person", "masked probe and the nearest other")

    def __init__(self, photos: Sequence[Photo], *, draws: int, seed: int, crowd: Sequence[Photo] = ()) -> None:
        super().__init__(photos)
        people = len(self.people)
        self.crowd, self._crowd = len(crowd), len(self.probes) + np.arange(len(crowd))
        self.probes += [Probe(photo, False) for photo in crowd]
        self.identities = np.append(self.identities, people + np.arange(len(crowd)))
        self.masked = np.append(self.masked, np.zeros(len(crowd), dtype=bool))
        self.enrolled = protocol_gallery.draw_enrolled(self.photos_of, draws=draws, seed=seed)
        self.halves = protocol_gallery.draw_halves(people, draws=draws, seed=seed)
        asked = f"all other shots{f' of {people:,} of them' if len(crowd) else ''} as probes"
        self.title = f"one bare photo of each of {people + len(crowd):,} people enrolled, {asked}; "
        self.title += f"the enrolled photo drawn anew {draws} times" if draws > 1 else "one draw"

    def is_probe(self, enrolled: np.ndarray) -> np.ndarray:
        """(2N + crowd,) bool: every photo but those enrolled, and but their masked twins, which are the same shots."""
        is_probe = np.ones(len(self.photos), dtype=bool)
        is_probe[enrolled] = False
        return np.append(np.tile(is_probe, 2), np.zeros(len(self._crowd), dtype=bool))

    def score(self, answer: Embedded) -> Scored:
        """Rank-1 and rank-5, false accepts and false rejects, for bare and masked probes."""
        tally = _GalleryTally(self.identities, self.masked, len(self.people))
        for draw, (enrolled, half) in enumerate(zip(self.enrolled, self.halves, strict=True)):
            scores = protocol_gallery.gallery_scores(answer.embeddings, answer.found, self._gallery(enrolled))
            is_probe = self.is_probe(enrolled)
            tally.add_ranks(protocol_gallery.ranks(scores, self.identities), is_probe)
            if len(self.people) >= 4:
                tally.add_open_set(protocol_gallery.open_set(scores, self.identities, is_probe, half), is_probe)
            if draw == 0:
                own, other = protocol_gallery.own_and_best_other(scores, self.identities)
        shown = self.is_probe(self.enrolled[0]) & self.masked
        return Scored(
            measures=tally.measures(),
            same=own[shown & np.isfinite(own)],
            different=other[shown & np.isfinite(other)],
            lines=tally.cmc(),
            notes=self._notes(answer, tally.thresholds),
        )

    def _gallery(self, enrolled: np.ndarray) -> np.ndarray:
        """(people + crowd,) rows of all who are enrolled, `enrolled` being those of the people."""
        return np.append(enrolled, self._crowd)

    def _notes(self, answer: Embedded, thresholds: list[float]) -> list[str]:
        notes = []
        if thresholds:
            notes.append(
                f"open-set thresholds {min(thresholds):.3f} to {max(thresholds):.3f}, mean {np.mean(thresholds):.3f}"
            )
        lost = sorted({self.people[person] for person in np.nonzero(~answer.found[self.enrolled])[1]})
        if not answer.found[self._crowd].all():
            notes.append(f"no face is found in {(~answer.found[self._crowd]).sum():,} of the crowd's photos")
        if lost:
            notes.append(f"never recognised in draws where no face is found in their enrolled photo: {', '.join(lost)}")
        return notes

    def queries(self) -> list[Query]:
        """The masked probes of the first draw against its gallery."""
        rows = np.flatnonzero(self.is_probe(self.enrolled[0]) & self.masked)
        return [Query(int(row), self._gallery(self.enrolled[0])) for row in rows]


class _GalleryTally:
    """Sums over draws, by person and by state (columns bare, masked)."""

    def __init__(self, identities: np.ndarray, masked: np.ndarray, people: int) -> None:
        self._identities, self._masked, self._people = identities, masked, people
        self._sums: dict[str, np.ndarray] = {}
        self._probes = np.zeros((people, 2))
        self._places = np.zeros((CMC_RANKS, 2))
        self.thresholds: list[float] = []

    def _by_person(self, values: np.ndarray) -> np.ndarray:
        states = (~self._masked, self._masked)
        sums = [sums_by_person(values & state, self._identities, self._people) for state in states]
        return np.stack(sums, axis=1)[: self._people]  # without the crowd's

    def _add(self, key: str, values: np.ndarray) -> None:
        self._sums[key] = self._sums.get(key, 0) + self._by_person(values)

    def add_ranks(self, places: np.ndarray, is_probe: np.ndarray) -> None:
        """Count one draw's ranks."""
        self._probes += self._by_person(is_probe)
        self._add("rank1", is_probe & (places <= 1))
        self._add("rank5", is_probe & (places <= 5))
        for rank in range(CMC_RANKS):
            self._places[rank] += self._by_person(is_probe & (places <= rank + 1)).sum(0)

    def add_open_set(self, decided: protocol_gallery.OpenSet, is_probe: np.ndarray) -> None:
        """Count one draw's decisions."""
        self._add("fpir", is_probe & decided.false_accepts)
        self._add("fnir", is_probe & decided.false_rejects)
        self.thresholds += decided.thresholds

    def measures(self) -> list[Measure]:
        """The table's figures."""
        titles = {"rank1": "rank-1", "rank5": "rank-5", "fpir": "false accepts", "fnir": "false rejects"}
        return [
            Measure(
                key=f"{key}_{state}",
                title=f"{title}, {state}",
                statistic=Ratio(self._sums[key][:, column], self._probes[:, column]),
                n=int(self._probes[:, column].sum()),
                higher_is_better=key.startswith("rank"),
            )
            for key, title in titles.items()
            if key in self._sums
            for column, state in enumerate(("bare", "masked"))
        ]

    def cmc(self) -> list[Line]:
        """Cumulative match characteristic: the share of probes whose person is among the first k."""
        most = min(CMC_RANKS, self._people)
        shares = self._places / self._probes.sum(0)
        return [
            Line(label=state, x=np.arange(1, most + 1), y=shares[:most, column])
            for column, state in enumerate(("bare", "masked"))
        ]
