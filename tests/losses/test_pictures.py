"""The losses on pictures against their formulas written out, and that a batch's shards add up to the whole."""

import math

import pytest
import torch

from raymask.losses.adversarial import adversarial_loss, discriminator_loss, feature_matching_loss
from raymask.losses.identity import identity_loss
from raymask.losses.image_gradient import image_gradient_loss
from raymask.losses.perceptual import gram_matrix, perceptual_loss, style_loss
from raymask.losses.segmentation import segmentation_loss


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def maps(batch=3):
    return [torch.randn(batch, channels, side, side, dtype=torch.float64) for channels, side in ((4, 8), (6, 5))]


def test_the_adversarial_loss_is_the_judgements_cross_entropy():
    judged = torch.tensor([[[[0.3, -1.2]]], [[[2.0, 0.0]]]])
    wanted = [(math.log1p(math.exp(-a)) + math.log1p(math.exp(-b))) / 2 for a, b in ((0.3, -1.2), (2.0, 0.0))]
    assert adversarial_loss(judged, real=True).tolist() == pytest.approx(wanted)
    assert adversarial_loss(-judged, real=False).tolist() == pytest.approx(wanted)
    assert discriminator_loss(judged, -judged).tolist() == pytest.approx(wanted)


def test_feature_matching_and_perceptual_loss_sum_mean_distances_over_layers():
    made, real = maps(), maps()
    wanted = [sum(float((a[n] - b[n]).abs().mean()) for a, b in zip(made, real, strict=True)) for n in range(3)]
    assert feature_matching_loss(made, real).tolist() == pytest.approx(wanted)
    assert perceptual_loss(made, real).tolist() == pytest.approx(wanted)


def test_no_gradient_flows_to_the_true_picture():
    made, real = ([part.requires_grad_() for part in maps()] for _ in range(2))
    (feature_matching_loss(made, real) + style_loss(made, real, torch.ones(3, 1, 8, 8).double())).sum().backward()
    assert all(part.grad is not None for part in made)
    assert all(part.grad is None for part in real)


def test_the_gram_matrix_by_plain_loops():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    for n in range(2):
        for i in range(3):
            for j in range(3):
                assert gram_matrix(x)[n, i, j] == pytest.approx(float((x[n, i] * x[n, j]).sum()) / 60)


def test_style_looks_into_the_hole_only():
    made, real = maps(), maps()
    hole = torch.zeros(3, 1, 8, 8, dtype=torch.float64)
    assert style_loss(made, real, hole).tolist() == [0, 0, 0]
    hole[:, :, 4:] = 1
    above = [part.clone() for part in made]
    above[0][:, :, :4] += 1  # outside the hole in the finer layer
    assert torch.equal(style_loss(above[:1], real[:1], hole), style_loss(made[:1], real[:1], hole))
    wanted = (gram_matrix(made[0] * hole) - gram_matrix(real[0] * hole)).abs().mean((1, 2))
    assert torch.allclose(style_loss(made[:1], real[:1], hole), wanted)


def test_identity_is_one_minus_the_cosine():
    made = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert identity_loss(made, torch.tensor([[3.0, 0.0], [1.0, 0.0]])).tolist() == pytest.approx([0, 1])


def test_segmentation_by_its_formula():
    logits, covered = torch.tensor([[[[2.0, -1.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    p, q = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    entropy = -(math.log(p) + math.log(1 - q)) / 2
    both, either = p / 2, (1 + p + q) / 2 - p / 2
    assert segmentation_loss(logits, covered).item() == pytest.approx(
        entropy + 1 - (both + 1e-3) / (either + 1e-3), rel=1e-6
    )


def test_a_bare_face_is_best_left_empty():
    nothing = torch.zeros(1, 1, 16, 16)
    empty, full = (segmentation_loss(torch.full((1, 1, 16, 16), value), nothing).item() for value in (-12.0, 0.0))
    assert empty < 0.02 < 1 < full


@pytest.mark.parametrize("loss", [perceptual_loss, feature_matching_loss])
def test_shards_add_up(loss):
    made, real = maps(), maps()
    parts = [loss([a[rows] for a in made], [b[rows] for b in real]) for rows in (slice(0, 1), slice(1, 3))]
    assert torch.allclose(torch.cat(parts), loss(made, real))


def test_image_gradients_by_hand():
    real = torch.rand(2, 3, 6, 6, dtype=torch.float64)
    hole = torch.zeros(2, 1, 6, 6, dtype=torch.float64)
    hole[:, :, 2:5, 1:5] = 1
    brighter = real + 0.1 * hole
    border = 2 * 4 + 2 * 3
    assert image_gradient_loss(brighter, real, hole).tolist() == pytest.approx([0.1 * border / 12] * 2)
    assert image_gradient_loss(real, real, hole).tolist() == [0, 0]


def test_a_pattern_of_single_pixels_costs_more_than_an_error_of_its_height():
    real = torch.rand(1, 3, 40, 40)
    hole = torch.zeros(1, 1, 40, 40)
    hole[:, :, 10:30, 10:30] = 1
    columns = 0.1 * hole * (torch.arange(40) % 2 * 2 - 1)
    flat = image_gradient_loss(real + 0.1 * hole, real, hole)
    assert image_gradient_loss(real + columns, real, hole) > 5 * flat
