"""What a batch is trained on: quintuplets, teachers, people, or several of these; over the batches of all ranks.

Shapes: B photos of this rank, D values an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from raymask.train.embedder.terms.base import Lesson, LossBatch, Lost
from raymask.train.embedder.terms.registry import terms_of
from raymask.train.engine.config import LoopConfig

BatchLoss = Mapping[str, Lost]
"""What a whole batch lost by each term that is on, equal on all ranks, without gradient."""


class Objective(nn.Module):
    """The sum of a training's losses, each times its weight; what they learn beside the network is in it."""

    def __init__(self, config: LoopConfig, *, people: int = 0) -> None:
        """
        Args:
            config: of the training, whose losses are taken.
            people: in the training data.

        Raises:
            ConfigError: a loss that is not there, or that does not take its settings.
        """
        super().__init__()
        self._weights, self._teachers = config.weights, len(config.teachers)
        lesson = Lesson(people, config.model.embedding_size, self._teachers)
        self.terms = terms_of(config, lesson)
        """By name."""
        self._learned = nn.ModuleList(self.terms.values())

    def forward(
        self, embeddings: Tensor, identities: Tensor, masked: Tensor, targets: Tensor | None, *, epoch: int
    ) -> tuple[Tensor, BatchLoss]:
        """
        Args:
            embeddings: (B, D) of this rank, with gradient.
            identities: (B,) int64.
            masked: (B,) bool.
            targets: (B, D), what the teachers make of the photos, each part of length 1; None without teachers, and
                without photos.
            epoch: counted from 0.

        Returns:
            The share to call backward on: with parameter gradients summed over ranks it gives the gradient of the
            whole batch's loss. And what the batch lost.
        """
        if self._teachers and targets is None:
            targets = embeddings.detach()[:0]
        batch = LossBatch(embeddings, identities, masked, targets, epoch, self._teachers)
        shares, losses = [], {}
        for name, term in self.terms.items():
            share, losses[name] = term(batch)
            shares.append(self._weights[name] * share)
        return torch.stack(shares).sum(), losses

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it, by term."""
        return {name: term.state_dict() for name, term in self.terms.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """As `state` gave it. Earlier versions kept the softmax's vectors alone, and none where it was off."""
        if isinstance(state.get("people"), Tensor):
            state = {"softmax": state}
        for name, term in self.terms.items():
            term.load_state_dict(state.get(name, {}))
