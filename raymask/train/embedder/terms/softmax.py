"""The margin softmax (CosFace) over the batches of all ranks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raymask.losses.margin_softmax import margin_softmax_loss
from raymask.train.embedder.terms.base import Lesson, LossBatch, Lost, Term, mean_loss
from raymask.train.engine.config import SoftmaxConfig


class Softmax(Term):
    """Mean cross-entropy of telling the training's people; it learns a vector a person."""

    Settings = SoftmaxConfig
    settings: SoftmaxConfig

    def __init__(self, settings: SoftmaxConfig, lesson: Lesson) -> None:
        super().__init__(settings, lesson)
        self.people = nn.Parameter(0.1 * torch.randn(lesson.people, lesson.embedding_size))

    def forward(self, batch: LossBatch) -> tuple[Tensor, Lost]:
        """As `Term.forward`."""
        margin, scale = self.settings.margin, self.settings.scale
        losses = margin_softmax_loss(batch.embeddings, batch.identities, self.people, margin=margin, scale=scale)
        return mean_loss(losses)
