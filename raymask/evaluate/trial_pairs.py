"""Protocol `pairs` on photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from raymask.evaluate import protocol_pairs
from raymask.evaluate.config import PairMask
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.measures import Line, Measure, Scored
from raymask.evaluate.pairs_file import Pair
from raymask.evaluate.probes import Probe
from raymask.evaluate.trial import Match, Query, Trial

WORN: dict[PairMask, tuple[bool, bool]] = {"none": (False, False), "one": (False, True), "both": (True, True)}
"""Whether the first and the second photo of a pair are masked."""


class PairsTrial(Trial):
    """Same or different."""

    headline = "tar_1e-2"
    scores_shown = ("same person", "different people")

    def __init__(self, pairs: Sequence[Pair], *, mask: PairMask) -> None:
        self.pairs = list(pairs)
        worn = WORN[mask]
        asked = [(Probe(pair.first, worn[0]), Probe(pair.second, worn[1])) for pair in pairs]
        self.probes = sorted({probe for both in asked for probe in both})
        row_of = {probe: row for row, probe in enumerate(self.probes)}
        self.rows = np.array([[row_of[first], row_of[second]] for first, second in asked])
        self.same = np.array([pair.same for pair in pairs])
        self.folds = np.array([pair.fold for pair in pairs])
        shown = [[pair.first.identity, pair.second.identity] for pair in pairs]
        names, places = np.unique(shown, return_inverse=True)
        self.people = [str(name) for name in names]
        self.shown = places.reshape(-1, 2)
        state = {"none": "both bare", "one": "the second masked", "both": "both masked"}[mask]
        folds = len(np.unique(self.folds))
        within = f"{folds} folds" if folds > 1 else "one fold"
        self.title = f"the same person or not, {len(pairs):,} pairs of photos in {within}, {state}"

    def _scores(self, answer: Embedded) -> np.ndarray:
        first, second = self.rows.T
        found = answer.found[first] & answer.found[second]
        return protocol_pairs.pair_scores(answer.embeddings[first], answer.embeddings[second], found)

    def score(self, answer: Embedded) -> Scored:
        """Accuracy over folds, EER, TAR at two FAR."""
        scores = self._scores(answer)
        roc = partial(protocol_pairs.Roc, scores, self.same, self.shown)
        measures = [
            Measure(key="eer", title="EER", statistic=roc("eer"), n=len(scores), higher_is_better=False),
            Measure(key="tar_1e-2", title="TAR at FAR 1e-2", statistic=roc(1e-2), n=len(scores)),
            Measure(key="tar_1e-3", title="TAR at FAR 1e-3", statistic=roc(1e-3), n=len(scores)),
        ]
        several = len(np.unique(self.folds)) > 1
        far, tar = protocol_pairs.roc_curve(scores, self.same, np.ones((1, len(scores))))
        kept = np.isfinite(scores)
        return Scored(
            measures=[self._accuracy(scores), *measures] if several else measures,
            same=scores[kept & self.same],
            different=scores[kept & ~self.same],
            lines=[Line(label="", x=far[0], y=tar[0])],
            notes=[] if several else ["no accuracy: with one fold there is no other to choose the threshold on"],
        )

    def _accuracy(self, scores: np.ndarray) -> Measure:
        right = protocol_pairs.judge_folds(scores, self.same, self.folds)
        accuracy = protocol_pairs.Accuracy(right, self.folds, self.shown)
        return Measure(key="accuracy", title="accuracy", statistic=accuracy, n=len(scores))

    def queries(self) -> list[Query]:
        """Each pair, its second photo against its first."""
        return [Query(int(second), np.array([first])) for first, second in self.rows]

    def matcher(self, answer: Embedded) -> Callable[[Query], list[Match]]:
        """Gives the first photo, judged at the threshold that is best on all pairs."""
        return partial(self._judged, answer, protocol_pairs.best_threshold(self._scores(answer), self.same))

    def _judged(self, answer: Embedded, threshold: float, query: Query) -> list[Match]:
        first, second = int(query.candidates[0]), query.probe
        if not (answer.found[first] and answer.found[second]):
            return []
        score = float(answer.embeddings[first] @ answer.embeddings[second])
        same = self.probes[first].photo.identity == self.probes[second].photo.identity
        return [Match(first, score, (score >= threshold) == same)]
