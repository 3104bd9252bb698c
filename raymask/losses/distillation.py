"""What a network learns from another that knows bare faces: to embed a photo, masked or not, where the other embeds
the bare one.

Shapes: B photos of the student, G of the teacher, D values an embedding; all rows are of length 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def pull_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared Euclidean distance of (B, D) rows to the teacher's of the same photos, (B,), 0 to 4."""
    return (student - teacher.detach()).square().sum(dim=1)


def contrast_loss(student: Tensor, teacher: Tensor, identities: Tensor, own: Tensor, *, temperature: float) -> Tensor:
    """Cross-entropy of picking the teacher's embedding of one's own photo among all (InfoNCE, arXiv 1807.03748).

    Args:
        student: (B, D).
        teacher: (G, D).
        identities: (G,) int64, whose photos the teacher's are: other photos of a person are not set against its own.
        own: (B,) int64, which of the teacher's rows are of the student's photos.
        temperature: of the softmax over cosine similarities, positive.

    Returns:
        (B,), 0 or more.
    """
    similarity = student @ teacher.detach().T / temperature
    others = identities[own][:, None] == identities[None, :]
    others[torch.arange(len(own), device=own.device), own] = False
    return cross_entropy(similarity.masked_fill(others, -torch.inf), own, reduction="none")
