"""Protocol `gallery` on photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from raymask.data.prepare.photos import Photo
from raymask.evaluate.bootstrap import Ratio, sums_by_person
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.measures import Line, Measure, Scored
from raymask.evaluate.people import clean_photos
from raymask.evaluate.probes import Probe, Source
from raymask.evaluate.protocols import gallery_maths
from raymask.evaluate.protocols.all_pairs import MOST, compare_all, d_prime, equal_errors
from raymask.evaluate.protocols.base import PhotosTrial, Query

CMC_RANKS = 20
"""Ranks that the curve shows."""


class GalleryTrial(PhotosTrial):
    """One enrolled photo a person.

    Behind the rows of the people, bare and masked, stands the crowd: a row each of people who are enrolled by that
    photo in every draw, and about whom nobody asks.
    """

    headline = "rank1_masked"
    scores_shown = ("masked probe and its own person", "masked probe and the nearest other")

    def __init__(
        self,
        photos: Sequence[Photo],
        *,
        draws: int,
        seed: int,
        crowd: Sequence[Photo] = (),
        crowd_source: Source = "images",
        in_real_masks: Sequence[Photo] | None = None,
        clean: str | None = None,
    ) -> None:
        """`in_real_masks`: the masked probes; None: masks are drawn on `photos`. `clean`: file names of some of them,
        whose figures stand beside those of all; DataError if there are none."""
        super().__init__(photos, in_real_masks)
        people = len(self.people)
        self.crowd, self._crowd = len(crowd), len(self.probes) + np.arange(len(crowd))
        self.probes += [Probe(photo, False, crowd_source) for photo in crowd]
        self.identities = np.append(self.identities, people + np.arange(len(crowd)))
        self.masked = np.append(self.masked, np.zeros(len(crowd), dtype=bool))
        self.shots = np.append(self.shots, len(self.shots) + np.arange(len(crowd)))
        self.states = {"bare": _State("bare", ~self.masked), "masked": _State("masked", self.masked)}
        if clean is not None:
            wanted = clean_photos((probe.photo for probe in self.probes if probe.masked), clean)
            rows = np.array([probe.masked and probe.photo in wanted for probe in self.probes])
            self.states["clean"] = _State(f"masked, {clean}", rows)
        self.enrolled = gallery_maths.draw_enrolled(self.photos_of, draws=draws, seed=seed)
        self.halves = gallery_maths.draw_halves(people, draws=draws, seed=seed)
        whose = f" of {people:,} of them" if len(crowd) else ""
        worn = "" if in_real_masks is None else ", bare and in real masks,"
        asked = f"all other shots{whose}{worn} as probes"
        self.title = f"one bare photo of each of {people + len(crowd):,} people enrolled, {asked}; "
        self.title += f"the enrolled photo drawn anew {draws} times" if draws > 1 else "one draw"

    def is_probe(self, enrolled: np.ndarray) -> np.ndarray:
        """(rows,) bool: every photo but the crowd's and those enrolled, bare or with a mask drawn on them."""
        is_probe = ~np.isin(self.shots, self.shots[enrolled])
        is_probe[self._crowd] = False
        return is_probe

    def own_scores(self, answer: Embedded) -> tuple[np.ndarray, np.ndarray]:
        """Each photo's cosine with its person's enrolled one, -inf where either shows no face, and which are probes.

        Returns:
            (draws, rows) float32 and (draws, rows) bool.
        """
        scores, probes = [], []
        for enrolled in self.enrolled:
            own = self._gallery(enrolled)[self.identities]
            cosines = (answer.embeddings * answer.embeddings[own]).sum(axis=1)
            scores.append(np.where(answer.found & answer.found[own], cosines, -np.inf))
            probes.append(self.is_probe(enrolled))
        return np.stack(scores), np.stack(probes)

    def score(self, answer: Embedded) -> Scored:
        """Rank-1 and rank-5, false accepts and false rejects of the probes in each state; EER and d' of all pairs."""
        tally = _GalleryTally(self.identities, self.states, len(self.people))
        for draw, (enrolled, half) in enumerate(zip(self.enrolled, self.halves, strict=True)):
            scores = gallery_maths.gallery_scores(answer.embeddings, answer.found, self._gallery(enrolled))
            is_probe = self.is_probe(enrolled)
            tally.add_ranks(gallery_maths.ranks(scores, self.identities), is_probe)
            if len(self.people) >= 4:
                tally.add_open_set(gallery_maths.open_set(scores, self.identities, is_probe, half), is_probe)
            if draw == 0:
                own, other = gallery_maths.own_and_best_other(scores, self.identities)
        shown = self.is_probe(self.enrolled[0]) & self.masked
        return Scored(
            measures=[*tally.measures(), *self._of_all_pairs(answer)],
            same=own[shown & np.isfinite(own)],
            different=other[shown & np.isfinite(other)],
            lines=tally.cmc(),
            notes=self._notes(answer, tally.thresholds),
        )

    def _of_all_pairs(self, answer: Embedded) -> list[Measure]:
        """Masked photos against all bare ones of those asked about; nothing if these are too many to be held."""
        measures = []
        for key, state in self.states.items():
            masked, bare = np.flatnonzero(state.rows), np.arange(len(self.photos))
            if key == "bare" or len(masked) * len(bare) > MOST:
                continue
            pairs = compare_all(answer.embeddings, answer.found, self.identities, self.shots, masked, bare)
            errors = Measure(
                key=f"eer_{key}",
                title=f"EER of all pairs, {state.title}",
                statistic=partial(equal_errors, pairs),
                n=int(pairs.compared.sum()),
                higher_is_better=False,
            )
            distance = Measure(
                key=f"dprime_{key}",
                title=f"d' of all pairs, {state.title}",
                statistic=partial(d_prime, pairs),
                n=len(pairs.scores),
                is_share=False,
            )
            measures += [errors, distance]
        return measures

    def _gallery(self, enrolled: np.ndarray) -> np.ndarray:
        """(people + crowd,) rows of all who are enrolled, `enrolled` being those of the people."""
        return np.append(enrolled, self._crowd)

    def _notes(self, answer: Embedded, thresholds: list[float]) -> list[str]:
        notes = []
        pairs = len(self.photos) * int(self.masked.sum())
        if pairs > MOST:
            notes.append(f"no EER and d': {pairs:,} pairs are over {MOST:,}; take fewer photos by --max-photos")
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


class _State(NamedTuple):
    """Photos that have figures of their own."""

    title: str
    rows: np.ndarray
    """(rows,) bool."""


class _GalleryTally:
    """Sums over draws, by person and by state (columns)."""

    def __init__(self, identities: np.ndarray, states: Mapping[str, _State], people: int) -> None:
        self._identities, self._states, self._people = identities, states, people
        self._sums: dict[str, np.ndarray] = {}
        self._probes = np.zeros((people, len(states)))
        self._places = np.zeros((CMC_RANKS, len(states)))
        self.thresholds: list[float] = []

    def _by_person(self, values: np.ndarray) -> np.ndarray:
        states = self._states.values()
        sums = [sums_by_person(values & state.rows, self._identities, self._people) for state in states]
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

    def add_open_set(self, decided: gallery_maths.OpenSet, is_probe: np.ndarray) -> None:
        """Count one draw's decisions."""
        self._add("fpir", is_probe & decided.false_accepts)
        self._add("fnir", is_probe & decided.false_rejects)
        self.thresholds += decided.thresholds

    def measures(self) -> list[Measure]:
        """The table's figures."""
        titles = {"rank1": "rank-1", "rank5": "rank-5", "fpir": "false accepts", "fnir": "false rejects"}
        return [
            Measure(
                key=f"{key}_{name}",
                title=f"{title}, {state.title}",
                statistic=Ratio(self._sums[key][:, column], self._probes[:, column]),
                n=int(self._probes[:, column].sum()),
                higher_is_better=key.startswith("rank"),
            )
            for key, title in titles.items()
            if key in self._sums
            for column, (name, state) in enumerate(self._states.items())
        ]

    def cmc(self) -> list[Line]:
        """Cumulative match characteristic: the share of probes whose person is among the first k."""
        most = min(CMC_RANKS, self._people)
        probes = self._probes.sum(0)
        return [
            Line(label=name, x=np.arange(1, most + 1), y=self._places[:most, column] / probes[column])
            for column, name in enumerate(self._states)
            if probes[column] > 0
        ]
