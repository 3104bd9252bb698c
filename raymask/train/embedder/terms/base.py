"""What a loss of the embedder's training is: a term of the sum whose gradient moves the weights.

A new one is a subclass of `Term` with its settings, in one file. It is registered in `registry`, or an installed
package offers it as an entry point of the group `raymask.losses`, or it is named as python:MODULE:ATTRIBUTE.

Shapes: B photos of this rank, G of all ranks, D values an embedding, T teachers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from raymask.train.engine.distributed import all_sum, gather

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Lost(NamedTuple):
    """What a whole batch lost by one term; equal on all ranks, without gradient."""

    value: float
    """The loss, a mean."""
    count: int  # type: ignore[assignment]  # tuples have a method of this name, which nobody calls
    """Of how many, such as photos: an epoch's loss is the mean over all of them."""
    totals: Mapping[str, int] = _NOTHING
    """Counts that add up over an epoch and are among its metrics by these names."""
    figures: Mapping[str, float] = _NOTHING
    """More curves of the run log, by name."""
    curve: str = ""
    """Name of the loss's curve, where it is not that of the term."""
    note: str = ""
    """For the line of progress."""


class Lesson(NamedTuple):
    """What a term is told of the training that it is made for."""

    people: int
    """In the training data."""
    embedding_size: int
    teachers: int


@dataclass(frozen=True, eq=False)
class LossBatch:
    """What a term sees of a batch."""

    embeddings: Tensor
    """(B, D) of this rank, with gradient; not normalised."""
    identities: Tensor
    """(B,) int64, 0 to the number of people."""
    masked: Tensor
    """(B,) bool."""
    targets: Tensor | None
    """(B, D), what the teachers make of the photos, each part of length 1; None without teachers."""
    epoch: int
    """Counted from 0."""
    teachers: int

    @cached_property
    def all_identities(self) -> Tensor:
        """(G,) int64."""
        return self._gathered[0]

    @cached_property
    def own(self) -> Tensor:
        """(B,) int64: which of all ranks' rows are this rank's."""
        start = self._gathered[1]
        return torch.arange(start, start + len(self.embeddings), device=self.embeddings.device)

    @cached_property
    def students(self) -> list[Tensor]:
        """T parts (B, D / T) of the embeddings, rows of length 1."""
        return [normalize(part, dim=1) for part in self._parts(self.embeddings)]

    @cached_property
    def taught(self) -> list[Tensor]:
        """T parts (B, D / T) of the targets."""
        assert self.targets is not None
        return self._parts(self.targets)

    @cached_property
    def all_taught(self) -> list[Tensor]:
        """T parts (G, D / T) of all ranks' targets."""
        assert self.targets is not None
        return self._parts(gather(self.targets)[0])

    @cached_property
    def _gathered(self) -> tuple[Tensor, int]:
        return gather(self.identities)

    def _parts(self, rows: Tensor) -> list[Tensor]:
        return list(rows.unflatten(1, (self.teachers, -1)).unbind(1))


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """Of a term that has none beside its weight."""


class Term(nn.Module):
    """A loss over the batches of all ranks. What it holds in parameters is learned beside the network, and no bundle
    keeps it."""

    Settings: ClassVar[type] = NoSettings
    """A frozen dataclass; its weight is no part of it."""
    needs_teachers: ClassVar[bool] = False

    def __init__(self, settings: Any, lesson: Lesson) -> None:
        """`settings`: of the class `Settings`."""
        super().__init__()
        self.settings, self.lesson = settings, lesson

    @abstractmethod
    def forward(self, batch: LossBatch) -> tuple[Tensor, Lost]:
        """
        Returns:
            This rank's share, (), with gradient: with parameter gradients summed over ranks it gives the gradient of
            the whole batch's loss. And what the whole batch lost.
        """


def mean_loss(losses: Tensor) -> tuple[Tensor, Lost]:
    """What `Term.forward` gives for the mean over all ranks' photos.

    Args:
        losses: (B,) of this rank's photos, with gradient; possibly none.
    """
    photos = all_sum(losses.new_tensor(len(losses)))
    share = losses.sum() / photos
    return share, Lost(all_sum(share).item(), int(photos))
