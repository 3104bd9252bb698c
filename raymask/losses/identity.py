"""The identity term: a filled face should be embedded where the bare one is."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cosine_similarity


def identity_loss(made: Tensor, real: Tensor) -> Tensor:
    """1 minus the cosine similarity of (B, D) embeddings, (B,), 0 to 2; no gradient flows to `real`."""
    return 1 - cosine_similarity(made, real.detach(), dim=1)
