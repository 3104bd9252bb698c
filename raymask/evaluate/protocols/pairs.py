"""Protocol `pairs` on photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from raymask.errors import DataError
from raymask.evaluate.config import PairMask
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.measures import Line, Measure, Scored
from raymask.evaluate.people import clean_photos
from raymask.evaluate.probes import Probe
from raymask.evaluate.protocols import pairs_maths
from raymask.evaluate.protocols.base import Match, ProtocolTrial, Query
from raymask.evaluate.protocols.pairs_file import Pair

WORN: dict[PairMask, tuple[bool, bool]] = {"none": (False, False), "one": (False, True), "both": (True, True)}
"""Whether the first and the second photo of a pair are masked."""


def _probes(pair: Pair, drawn: tuple[bool, bool]) -> tuple[Probe, Probe]:
    """What to embed of a pair; `drawn`: whether a mask is drawn on its photos, unless they wear one in truth."""
    first, second = (
        Probe(photo, True, "masked_images") if in_truth else Probe(photo, masked)
        for photo, in_truth, masked in zip((pair.first, pair.second), pair.in_truth, drawn, strict=True)
    )
    return first, second


class PairsTrial(ProtocolTrial):
    """Same or different."""

    headline = "tar_1e-2"
    scores_shown = ("same person", "different people")

    def __init__(self, pairs: Sequence[Pair], *, mask: PairMask, clean: str | None = None) -> None:
        """`mask`: where one is drawn on photos that wear none in truth. `clean`: file names of masked photos; pairs in
        which all masked ones match have figures of their own beside those of all; DataError if there are none."""
        self.pairs = list(pairs)
        asked = [_probes(pair, WORN[mask]) for pair in pairs]
        self.probes = sorted({probe for both in asked for probe in both})
        row_of = {probe: row for row, probe in enumerate(self.probes)}
        self.rows = np.array([[row_of[first], row_of[second]] for first, second in asked])
        self.same = np.array([pair.same for pair in pairs])
        self.folds = np.array([pair.fold for pair in pairs])
        shown = [[pair.first.identity, pair.second.identity] for pair in pairs]
        names, places = np.unique(shown, return_inverse=True)
        self.people = [str(name) for name in names]
        self.shown = places.reshape(-1, 2)
        self.subsets = {"": np.ones(len(pairs), dtype=bool)}
        self._clean = clean
        if clean is not None:
            wanted = clean_photos((probe.photo for probe in self.probes if probe.masked), clean)
            worn = [[probe.photo for probe in both if probe.masked] for both in asked]
            self.subsets["_clean"] = np.array([bool(photos) and wanted.issuperset(photos) for photos in worn])
            if not self.subsets["_clean"].any():
                raise DataError(f"clean {clean!r} matches some masked photos, but of no pair all")
        real = sum(any(pair.in_truth) for pair in pairs)
        state = {"none": "both bare", "one": "the second masked", "both": "both masked"}[mask]
        state = f"{real:,} of them with a real mask" if real else state
        folds = len(np.unique(self.folds))
        within = f"{folds} folds" if folds > 1 else "one fold"
        self.title = f"the same person or not, {len(pairs):,} pairs of photos in {within}, {state}"

    def _scores(self, answer: Embedded) -> np.ndarray:
        first, second = self.rows.T
        found = answer.found[first] & answer.found[second]
        return pairs_maths.pair_scores(answer.embeddings[first], answer.embeddings[second], found)

    def score(self, answer: Embedded) -> Scored:
        """Accuracy over folds, EER, TAR at two FAR; of all pairs, and of those with clean masked photos."""
        scores = self._scores(answer)
        several = len(np.unique(self.folds)) > 1
        right = pairs_maths.judge_folds(scores, self.same, self.folds) if several else None
        far, tar = pairs_maths.roc_curve(scores, self.same, np.ones((1, len(scores))))
        kept = np.isfinite(scores)
        return Scored(
            measures=[measure for key in self.subsets for measure in self._measures(key, scores, right)],
            same=scores[kept & self.same],
            different=scores[kept & ~self.same],
            lines=[Line(label="", x=far[0], y=tar[0])],
            notes=[] if several else ["no accuracy: with one fold there is no other to choose the threshold on"],
        )

    def _measures(self, key: str, scores: np.ndarray, right: np.ndarray | None) -> list[Measure]:
        """Of one of `subsets`; `right`: which pairs are judged rightly, None if there is one fold only."""
        inside = self.subsets[key]
        shown, end = self.shown[inside], f", {self._clean}" if key else ""
        make = partial(Measure, n=int(inside.sum()))
        roc = partial(pairs_maths.Roc, scores[inside], self.same[inside], shown)
        measures = [
            make(key=f"eer{key}", title=f"EER{end}", statistic=roc("eer"), higher_is_better=False),
            make(key=f"tar_1e-2{key}", title=f"TAR at FAR 1e-2{end}", statistic=roc(1e-2)),
            make(key=f"tar_1e-3{key}", title=f"TAR at FAR 1e-3{end}", statistic=roc(1e-3)),
        ]
        if right is None:
            return measures
        accuracy = pairs_maths.Accuracy(right[inside], self.folds[inside], shown)
        return [make(key=f"accuracy{key}", title=f"accuracy{end}", statistic=accuracy), *measures]

    def queries(self) -> list[Query]:
        """Each pair, its second photo against its first."""
        return [Query(int(second), np.array([first])) for first, second in self.rows]

    def matcher(self, answer: Embedded) -> Callable[[Query], list[Match]]:
        """Gives the first photo, judged at the threshold that is best on all pairs."""
        return partial(self._judged, answer, pairs_maths.best_threshold(self._scores(answer), self.same))

    def _judged(self, answer: Embedded, threshold: float, query: Query) -> list[Match]:
        first, second = int(query.candidates[0]), query.probe
        if not (answer.found[first] and answer.found[second]):
            return []
        score = float(answer.embeddings[first] @ answer.embeddings[second])
        same = self.probes[first].photo.identity == self.probes[second].photo.identity
        return [Match(first, score, (score >= threshold) == same)]
