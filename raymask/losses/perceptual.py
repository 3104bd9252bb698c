"""Losses on the inner maps of a network that knows pictures: perceptual and style (Johnson et al. 2016).

Both give a loss a photo, so that shards of a batch add up to the whole. Shapes: B photos, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate, l1_loss


def perceptual_loss(made: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """L1 distance of maps, summed over layers (EdgeConnect, equation 7).

    Args:
        made, real: maps (B, C, h, w), layer by layer; no gradient flows to `real`.

    Returns:
        (B,) losses.
    """
    distances = [
        l1_loss(one, other.detach(), reduction="none").mean((1, 2, 3)) for one, other in zip(made, real, strict=True)
    ]
    return torch.stack(distances).sum(0)


def style_loss(made: Sequence[Tensor], real: Sequence[Tensor], hole: Tensor) -> Tensor:
    """L1 distance of Gram matrices within the hole, summed over layers (EdgeConnect, equation 8).

    Args:
        made, real: maps (B, C, h, w), layer by layer; no gradient flows to `real`.
        hole: (B, 1, H, W), 1 in the hole, 0 elsewhere.

    Returns:
        (B,) losses.
    """
    distances = []
    for one, other in zip(made, real, strict=True):
        inside = interpolate(hole, size=one.shape[-2:], mode="area")
        difference = gram_matrix(one * inside) - gram_matrix(other.detach() * inside)
        distances.append(difference.abs().mean((1, 2)))
    return torch.stack(distances).sum(0)


def gram_matrix(maps: Tensor) -> Tensor:
    """(B, C, h, w) to (B, C, C): products of channels, over C h w."""
    flat = maps.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()
