"""What is learned from teachers, over the batches of all ranks: each teacher teaches a part of the embedding."""

from __future__ import annotations

from torch import Tensor

from raymask.losses.distillation import contrast_loss, pull_loss
from raymask.train.embedder.terms.base import LossBatch, Lost, Term
from raymask.train.engine.config import DistilConfig
from raymask.train.engine.distributed import all_sum


class Pull(Term):
    """Mean squared distance to the teachers' embeddings, 0 to 4."""

    Settings, needs_teachers = DistilConfig, True

    def forward(self, batch: LossBatch) -> tuple[Tensor, Lost]:
        """As `Term.forward`."""
        pairs = zip(batch.students, batch.taught, strict=True)
        return _mean([pull_loss(student, teacher).sum() for student, teacher in pairs], batch)


class Contrast(Term):
    """Mean cross-entropy of telling one's own teachers' embeddings among the batch's."""

    Settings, needs_teachers = DistilConfig, True
    settings: DistilConfig

    def forward(self, batch: LossBatch) -> tuple[Tensor, Lost]:
        """As `Term.forward`."""
        losses = [
            contrast_loss(student, teacher, batch.all_identities, batch.own, temperature=self.settings.temperature)
            for student, teacher in zip(batch.students, batch.all_taught, strict=True)
        ]
        return _mean([loss.sum() for loss in losses], batch)


def _mean(sums: list[Tensor], batch: LossBatch) -> tuple[Tensor, Lost]:
    """Over all ranks' photos and all teachers, from this rank's sum for each teacher."""
    total = batch.embeddings.sum() * 0  # a graph to the embeddings, also where this rank has no photo
    for one in sums:
        total = total + one
    photos = len(batch.all_identities)
    share = total / (photos * batch.teachers)
    return share, Lost(all_sum(share).item(), photos)
