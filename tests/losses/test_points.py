"""Distances between points: the unit is a distance of eyes that the network cannot choose."""

import torch

from raymask.losses.points import disagreement, distances

FIVE = torch.tensor([[[30.0, 40.0], [66.0, 40.0], [48.0, 60.0], [34.0, 78.0], [62.0, 78.0]]])
"""Eyes 36 pixels apart."""
ACROSS = torch.tensor([[[0.0, -2.0, 100.0], [2.0, 0.0, -7.0]]])
"""A quarter turn, twice as large."""


def moved(points):
    return torch.stack([100 - 2 * points[..., 1], 2 * points[..., 0] - 7], dim=-1)


def test_distances_are_told_in_distances_of_the_true_eyes():
    beside = FIVE + torch.tensor([3.0, 4.0])
    torch.testing.assert_close(distances(beside, FIVE), torch.full((1, 5), 5 / 36))


def test_views_agree_where_one_views_points_lie_as_the_others_brought_over():
    found = FIVE + torch.tensor([5.0, -3.0])
    assert disagreement(found, moved(found), ACROSS, FIVE).max() < 1e-4
    apart = disagreement(found, moved(found) + torch.tensor([6.0, 8.0]), ACROSS, FIVE)
    torch.testing.assert_close(apart, torch.full((1, 5), 10 / 72))


def test_a_network_cannot_agree_with_itself_by_setting_the_eyes_apart():
    first = FIVE.clone()
    first[:, 0, 0] -= 30
    second = moved(FIVE)
    apart = disagreement(first, second, ACROSS, FIVE)
    assert abs(float(apart[0, 0]) - 60 / 72) < 1e-4
    assert apart[0, 1:].max() < 1e-4


def test_both_views_learn():
    first, second = (points.clone().requires_grad_() for points in (FIVE, moved(FIVE) + 4))
    disagreement(first, second, ACROSS, FIVE).sum().backward()
    assert first.grad.abs().min() > 0
    assert second.grad.abs().min() > 0
