"""What a batch is trained on: quintuplets, teachers, people, or several of these; over the batches of all ranks.

Shapes: B photos of this rank, G of all ranks, D values an embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from raymask.losses.distillation import contrast_loss, pull_loss
from raymask.losses.margin_softmax import margin_softmax_loss
from raymask.train.engine.config import DistilConfig, LossConfig, SoftmaxConfig
from raymask.train.engine.distributed import all_sum, gather, global_quintuplet_loss


class BatchLoss(NamedTuple):
    """What a whole batch lost, equal on all ranks, without gradient; 0 for what is off."""

    quintuplets: float
    """Mean hinge over the active quintuplets."""
    valid: int
    active: int
    pull: float
    """Mean squared distance to the teachers' embeddings, 0 to 4."""
    contrast: float
    """Mean cross-entropy of telling one's own teachers' embeddings."""
    softmax: float
    """Mean cross-entropy of telling people."""


class Objective(nn.Module):
    """Of a training; with a softmax it learns a vector a person, which no bundle keeps."""

    def __init__(
        self,
        loss: LossConfig,
        distil: DistilConfig,
        softmax: SoftmaxConfig | None = None,
        *,
        teachers: int,
        people: int = 0,
        embedding_size: int = 0,
    ) -> None:
        """
        Args:
            teachers: how many there are; each has an equal part of the embedding.
            people: in the training data; as `embedding_size` only for a softmax.
        """
        super().__init__()
        self._loss, self._distil, self._teachers = loss, distil, teachers
        self._softmax = softmax or SoftmaxConfig()
        vectors = people if self._softmax.weight else 0
        self.people = nn.Parameter(0.1 * torch.randn(vectors, embedding_size))

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
        shares: list[Tensor] = []
        hinge, valid, active, pull, contrast, told = 0.0, 0, 0, 0.0, 0.0, 0.0
        if self._loss.weight:
            own, result = global_quintuplet_loss(
                self._placed(embeddings, masked, targets),
                identities,
                masked,
                margin=self._loss.margin,
                mining=self._loss.rule(epoch),
                distance=self._loss.distance,
            )
            shares.append(self._loss.weight * own)
            hinge, valid, active = result.loss.item(), int(result.valid), int(result.active)
        if self._teachers:
            targets = embeddings.detach()[:0] if targets is None else targets
            pulls, contrasts = self._distilled(embeddings, identities, targets)
            shares += [self._distil.pull * pulls, self._distil.contrast * contrasts]
            pull, contrast = all_sum(pulls).item(), all_sum(contrasts).item()
        if self._softmax.weight:
            losses = margin_softmax_loss(
                embeddings, identities, self.people, margin=self._softmax.margin, scale=self._softmax.scale
            )
            own = losses.sum() / all_sum(losses.new_tensor(len(losses)))
            shares.append(self._softmax.weight * own)
            told = all_sum(own).item()
        return torch.stack(shares).sum(), BatchLoss(hinge, valid, active, pull, contrast, told)

    def _placed(self, embeddings: Tensor, masked: Tensor, targets: Tensor | None) -> Tensor:
        """What the quintuplets compare: the embeddings, or bare photos where the teacher puts them."""
        if not self._loss.bare_fixed or targets is None:
            return embeddings
        return torch.where(masked[:, None], normalize(embeddings, dim=1), targets.to(embeddings))

    def _distilled(self, embeddings: Tensor, identities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """This rank's shares of both losses' means over all ranks' photos and all parts."""
        all_targets, start = gather(targets)
        all_identities, _ = gather(identities)
        own = torch.arange(start, start + len(embeddings), device=embeddings.device)
        students = embeddings.unflatten(1, (self._teachers, -1)).unbind(1)
        teachers = all_targets.unflatten(1, (self._teachers, -1)).unbind(1)
        pull = contrast = embeddings.sum() * 0
        for student, teacher in zip(students, teachers, strict=True):
            student = normalize(student, dim=1)
            pull = pull + pull_loss(student, teacher[own]).sum()
            if self._distil.contrast:
                losses = contrast_loss(student, teacher, all_identities, own, temperature=self._distil.temperature)
                contrast = contrast + losses.sum()
        count = len(all_targets) * self._teachers
        return pull / count, contrast / count
