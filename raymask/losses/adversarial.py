"""Losses between a generator and its discriminator: the adversarial game, and feature matching.

All give a loss a photo, so that shards of a batch add up to the whole. Shapes: B photos.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from raymask.losses.perceptual import perceptual_loss


def adversarial_loss(judged: Tensor, *, real: bool) -> Tensor:
    """Cross-entropy of the discriminator's judgement (Goodfellow et al. 2014, the form that does not saturate).

    Args:
        judged: (B, 1, h, w); over 0: looks real.
        real: what it should have said; the generator's own loss asks for True of what it made.

    Returns:
        (B,) losses.
    """
    wanted = torch.full_like(judged, float(real))
    return binary_cross_entropy_with_logits(judged, wanted, reduction="none").mean((1, 2, 3))


def discriminator_loss(judged_real: Tensor, judged_made: Tensor) -> Tensor:
    """(B,) mean of both of the discriminator's tasks."""
    return (adversarial_loss(judged_real, real=True) + adversarial_loss(judged_made, real=False)) / 2


def feature_matching_loss(made: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """L1 distance of the discriminator's inner maps, summed over layers (EdgeConnect, equation 3).

    Args:
        made, real: maps (B, C, h, w) of each layer; no gradient flows to `real`.

    Returns:
        (B,) losses.
    """
    return perceptual_loss(made, real)
