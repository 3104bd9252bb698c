"""Fusion: the embeddings of a face, one or several, as one, whose cosine is a weighted mean of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from raymask.errors import ConfigError
from raymask.models.spec import check_movable


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """What is fused."""

    parts: tuple[str, ...]
    """Recognisers, one or more, as `raymask.evaluate.load_recogniser` names them; paths in them are relative to the
    bundle. The scale of a single one is 1."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("parts is empty; a fusion has one part or more")
        for part in self.parts:
            check_movable(part)


class Fusion(nn.Module):
    """Embeddings scaled and put one behind the other.

    With all parts found and rows of length 1, the cosine similarity of two results is the mean of the parts' cosine
    similarities, weighted by the squares of the scales, which add up to 1.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("scales", torch.full((len(config.parts),), len(config.parts) ** -0.5))
        self.scales: Tensor

    def forward(self, embeddings: Sequence[Tensor]) -> Tensor:
        """P parts (B, D_p), rows of length 1, or of 0 where a part found no face, to (B, sum of D_p), of length 1."""
        scaled = [scale * rows for scale, rows in zip(self.scales, embeddings, strict=True)]
        return normalize(torch.cat(scaled, dim=1), dim=1)
