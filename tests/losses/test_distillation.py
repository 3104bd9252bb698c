"""Distances to a teacher, and telling one's own photo by it, against the definitions."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from raymask.losses.distillation import contrast_loss, pull_loss


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (normalize(torch.randn(6, 5, generator=generator), dim=1) for _ in range(2))
    return student.requires_grad_(), teacher.requires_grad_()


def test_pull_is_the_squared_distance_and_moves_the_student_alone(rows):
    student, teacher = rows
    losses = pull_loss(student, teacher)
    wanted = [
        sum((s - t) ** 2 for s, t in zip(*pair, strict=True))
        for pair in zip(*map(torch.Tensor.tolist, rows), strict=True)
    ]
    assert losses.tolist() == pytest.approx(wanted, rel=1e-5)
    losses.sum().backward()
    assert student.grad.abs().max() > 0.1
    assert teacher.grad is None


def test_contrast_is_the_surprise_at_ones_own_photo_among_those_of_others(rows):
    student, teacher = rows
    identities, own = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([1, 4])
    losses = contrast_loss(student[:2], teacher, identities, own, temperature=0.1)
    for place, (row, rivals) in enumerate(((1, (2, 3, 4, 5)), (4, (0, 1, 2)))):  # nobody's other photos
        weights = {n: math.exp(float(student[place].detach() @ teacher[n].detach()) / 0.1) for n in (row, *rivals)}
        assert float(losses[place].detach()) == pytest.approx(-math.log(weights[row] / sum(weights.values())), rel=1e-4)
    losses.sum().backward()
    assert student.grad[:2].abs().max() > 0.01
    assert teacher.grad is None


def test_who_sits_on_its_teacher_is_told_at_once(rows):
    _, teacher = rows
    assert pull_loss(teacher, teacher).abs().max() == 0
    own = torch.arange(6)
    right = contrast_loss(teacher, teacher, own, own, temperature=0.01)
    wrong = contrast_loss(-teacher, teacher, own, own, temperature=0.01)
    assert right.max() < 1
    assert wrong.min() > 10
