"""The margin softmax against its equation, one photo at a time."""

import math

import pytest
import torch

from raymask.losses.margin_softmax import margin_softmax_loss


def test_it_is_equation_4_of_cosface():
    generator = torch.Generator().manual_seed(0)
    embeddings, people = torch.randn(4, 3, generator=generator), torch.randn(5, 3, generator=generator)
    identities = torch.tensor([0, 4, 2, 2])
    losses = margin_softmax_loss(embeddings, identities, people, margin=0.3, scale=8.0)
    for row, own, loss in zip(embeddings, identities.tolist(), losses.tolist(), strict=True):
        cosines = [float(torch.cosine_similarity(row, person, dim=0)) for person in people]
        right = math.exp(8 * (cosines[own] - 0.3))
        wrong = sum(math.exp(8 * cosine) for place, cosine in enumerate(cosines) if place != own)
        assert loss == pytest.approx(-math.log(right / (right + wrong)), rel=1e-4)


def test_photos_and_people_come_together():
    embeddings, people = torch.eye(3)[:2].requires_grad_(), torch.eye(3).roll(1, 0).requires_grad_()
    margin_softmax_loss(embeddings, torch.tensor([0, 1]), people, margin=0.35, scale=4.0).sum().backward()
    assert embeddings.grad[0] @ people[0].detach() < -0.1
    assert people.grad[0] @ embeddings[0].detach() < -0.1
