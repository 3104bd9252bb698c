"""Telling people apart by a weight vector each, with a margin (CosFace, Wang et al. 2018, arXiv 1801.09414, eq. 4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def margin_softmax_loss(
    embeddings: Tensor, identities: Tensor, people: Tensor, *, margin: float, scale: float
) -> Tensor:
    """Cross-entropy over all people, the cosine to one's own lessened by the margin.

    Args:
        embeddings: (B, D); rows are normalised here.
        identities: (B,) int64, 0 to P - 1.
        people: (P, D), a vector a person; rows are normalised here.
        margin: 0 to 1.
        scale: of the cosines before the softmax, positive.

    Returns:
        (B,), 0 or more.
    """
    cosine = normalize(embeddings, dim=1) @ normalize(people, dim=1).T
    own = torch.zeros_like(cosine).scatter_(1, identities[:, None], margin)
    return cross_entropy(scale * (cosine - own), identities, reduction="none")
