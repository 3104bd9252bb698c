"""The segmenter's loss: cross-entropy of each pixel, and how far the found mask overlaps the true one.

Shapes: B photos, H x W pixels.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

_LEAST = 1e-3
"""Share of the photo by which both areas of the overlap are enlarged, so that a bare face has an overlap too."""


def segmentation_loss(logits: Tensor, covered: Tensor) -> Tensor:
    """Cross-entropy plus 1 minus the soft intersection over union (Rahman and Wang 2016), of each photo.

    Args:
        logits: (B, 1, H, W) float; over 0: covered.
        covered: (B, 1, H, W) float, 1 where the mask covers, 0 elsewhere.

    Returns:
        (B,) losses, so that shards of a batch add up to the whole.
    """
    entropy = binary_cross_entropy_with_logits(logits, covered, reduction="none").mean((1, 2, 3))
    found = logits.sigmoid()
    both = (found * covered).mean((1, 2, 3))
    either = (found + covered).mean((1, 2, 3)) - both
    return entropy + 1 - (both + _LEAST) / (either + _LEAST)
