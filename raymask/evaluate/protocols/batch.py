"""Protocol `batch` on photos."""

from __future__ import annotations

from collections.abc import Sequence

from raymask.data.prepare.photos import Photo
from raymask.evaluate.bootstrap import Ratio
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.measures import Measure, Scored
from raymask.evaluate.protocols import batch_maths
from raymask.evaluate.protocols.base import PhotosTrial, Query


class BatchTrial(PhotosTrial):
    """Nearest neighbours in batches."""

    headline = "accuracy_masked"
    scores_shown = ("nearest photo of the same person", "nearest photo of another")

    def __init__(self, photos: Sequence[Photo], *, batches: int, seed: int) -> None:
        super().__init__(photos)
        drawn = batch_maths.draw_batches(self.photos_of, batches=batches, seed=seed)
        self.batches = [numbers + len(photos) * masked for numbers, masked in drawn]
        shape = f"{min(len(self.people), batch_maths.PEOPLE)} people x (3 bare + 3 masked) photos"
        self.title = f"the nearest other photo in batches of {shape} must show the same person"

    def score(self, answer: Embedded) -> Scored:
        """Accuracy over all anchors and over masked anchors."""
        judged = batch_maths.judge_batches(answer.embeddings, answer.found, self.identities, self.masked, self.batches)
        both, worn = (judged.hits.sum(1), judged.anchors.sum(1)), (judged.hits[:, 1], judged.anchors[:, 1])
        measures = [
            Measure(key=key, title=title, statistic=Ratio(hits, anchors), n=int(anchors.sum()))
            for key, title, (hits, anchors) in (
                ("accuracy", "accuracy, all anchors", both),
                ("accuracy_masked", "accuracy, masked anchors", worn),
            )
        ]
        return Scored(measures=measures, same=judged.same, different=judged.different)

    def queries(self) -> list[Query]:
        """The masked anchors of the first batches, each in its batch."""
        return [Query(int(row), batch[batch != row]) for batch in self.batches[:3] for row in batch[self.masked[batch]]]
