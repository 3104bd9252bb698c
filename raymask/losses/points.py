"""How far five points lie from where they should, in distances of the eyes.

Shapes: B faces; points are (B, 5, 2) in pixels, eyes first.
"""

from __future__ import annotations

from torch import Tensor


def distances(found: Tensor, true: Tensor) -> Tensor:
    """(B, 5, 2) twice to (B, 5): how far points lie from the true ones, in distances of the true eyes."""
    return _pixels(found, true) / _eyes(true)


def disagreement(first: Tensor, second: Tensor, across: Tensor, points: Tensor) -> Tensor:
    """How far the points of two views of one face lie from each other.

    Args:
        first, second: (B, 5, 2) points found in the two views.
        across: (B, 2, 3), brings points of the first view to the same places in the second.
        points: (B, 5, 2), the detector's in the first view. Their eyes are the unit: a network that chose the unit
            itself would set the eyes wide apart.

    Returns:
        (B, 5) in distances of the eyes.
    """
    return _pixels(second, _brought(first.float(), across)) / _eyes(_brought(points, across))


def _brought(points: Tensor, across: Tensor) -> Tensor:
    return points @ across[:, :, :2].transpose(1, 2) + across[:, None, :, 2]


def _pixels(found: Tensor, true: Tensor) -> Tensor:
    """(B, 5); the tiny term keeps the gradient finite where both are the same."""
    return ((found.float() - true).square().sum(2) + 1e-6).sqrt()


def _eyes(points: Tensor) -> Tensor:
    """(B, 1): the distance of the eyes."""
    return (points[:, 1] - points[:, 0]).norm(dim=1, keepdim=True)
