"""How differently neighbouring pixels differ in a painted and a true picture.

Pixels alone judge a fine pattern no harder than a flat error of its height. Transposed convolutions like to leave such
patterns (Odena et al. 2016), and a network that sees the picture blurred does not mind them.
"""

from __future__ import annotations

from torch import Tensor


def image_gradient_loss(made: Tensor, real: Tensor, hole: Tensor) -> Tensor:
    """L1 distance of the differences between neighbours, down and across, as a mean over the hole.

    Args:
        made, real: (B, C, S, S), alike outside the hole; a step at its border counts.
        hole: (B, 1, S, S), 1 in the hole, 0 elsewhere.

    Returns:
        (B,) losses, 0 or more.
    """
    error = made - real
    down, across = (error.diff(dim=dim).abs().sum((1, 2, 3)) for dim in (2, 3))
    pixels = made[0, 0].numel() * made.shape[1]
    return (down + across) / (pixels * hole.mean((1, 2, 3)).clamp(min=0.01))
