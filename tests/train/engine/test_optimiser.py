"""Rates over a training, and which weights move at which share of them."""

import pytest
import torch

from raymask.errors import ConfigError
from raymask.models.config import SFACE, MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.sface_weights import load_sface
from raymask.train.engine.config import OptimiserConfig
from raymask.train.engine.optimiser import Hold, make_optimiser, move_average


def test_a_cycle_rises_to_the_rate_and_falls_to_nothing():
    config = OptimiserConfig(schedule="cycle", learning_rate=0.3)
    rates = [config.rate(0, step, 1000) for step in range(1000)]
    top = rates.index(max(rates))
    assert top == pytest.approx(200, abs=1)
    assert rates[top] == pytest.approx(0.3, rel=0.01)
    assert rates[0] < 0.01 * rates[top]
    assert rates[-1] < 1e-5
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[600] == pytest.approx(0.15, rel=0.01)


@pytest.mark.parametrize(("kind", "made"), [("sgd", torch.optim.SGD), ("adam", torch.optim.AdamW)])
def test_each_kind_of_weights_has_its_share_of_the_rate(kind, made):
    network = MaskFaceNet(MaskFaceNetConfig(backbone="dlib", head="linear", embedding_size=8, dropout=0))
    optimiser = make_optimiser(network, OptimiserConfig(kind=kind, convolutions=0.01, affine=0.3))
    assert isinstance(optimiser, made)
    share_of = {id(weight): group["share"] for group in optimiser.param_groups for weight in group["params"]}
    assert share_of[id(network.backbone.stem.convolution.weight)] == 0.01
    assert share_of[id(network.backbone.stem.norm.weight)] == 0.3
    assert share_of[id(network.backbone.stem.norm.bias)] == 0.3
    assert share_of[id(network.last.weight)] == 1
    assert len(share_of) == len(list(network.parameters()))


def test_the_head_can_have_a_share_of_its_own():
    network, vectors = MaskFaceNet(SFACE), torch.nn.Parameter(torch.zeros(2, 2))
    optimiser = make_optimiser(network, OptimiserConfig(kind="adam", last=0.0), [vectors])
    share_of = {id(weight): group["share"] for group in optimiser.param_groups for weight in group["params"]}
    assert share_of[id(network.last.weight)] == share_of[id(network.last.bias)] == 0
    assert share_of[id(vectors)] == 1


def test_frozen_layers_stay_and_are_not_gone_back_through():
    network = load_sface()
    optimiser = make_optimiser(network, OptimiserConfig(kind="adam", frozen=7))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8)).square().sum().backward()
    for group in optimiser.param_groups:
        group["lr"] = 1e-3
    optimiser.step()
    for name, value in network.state_dict().items():
        is_frozen = name.startswith("backbone.") and int(name.split(".")[1]) < 7
        assert torch.equal(value, before[name]) == is_frozen, name
    assert all(weight.grad is None for weight in next(iter(network.backbone.children())).parameters())
    with pytest.raises(ConfigError, match="frozen must be under 27 for sface, not 27"):
        make_optimiser(network, OptimiserConfig(frozen=27))


def test_a_hold_pulls_weights_back_by_the_rate():
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimiser = torch.optim.SGD([weight], lr=0.1)
    hold = Hold(optimiser, 2.0, None)
    with torch.no_grad():
        weight += 10
    hold.pull()
    torch.testing.assert_close(weight.detach(), torch.tensor([9.0, 10.0]))  # a share of 0.1 * 2 of the way back
    again = Hold(optimiser, 2.0, hold.begun)
    again.pull()
    torch.testing.assert_close(weight.detach(), torch.tensor([7.4, 8.4]))
    off = Hold(optimiser, 0.0, None)
    off.pull()
    torch.testing.assert_close(weight.detach(), torch.tensor([7.4, 8.4]))


def test_what_is_no_rate_is_refused():
    for wrong, named in (({"kind": "adamax"}, "kind"), ({"schedule": "once"}, "schedule"), ({"affine": -1}, "affine")):
        with pytest.raises(ConfigError, match=named):
            OptimiserConfig(**wrong)


def test_an_average_follows_weights_and_statistics():
    networks = [MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", input_size=32, embedding_size=8)) for _ in range(2)]
    average, now = networks
    before = {name: value.clone() for name, value in average.state_dict().items()}
    now.head[4].num_batches_tracked += 7
    move_average(average, now, 0.9, step=1000)
    for name, value in average.state_dict().items():
        wanted = now.state_dict()[name]
        if value.is_floating_point():
            wanted = 0.9 * before[name] + 0.1 * wanted
        torch.testing.assert_close(value, wanted)


def test_an_average_of_a_short_training_has_forgotten_its_start():
    """Of weights that went from 0 to 1 halfway it holds nearly all of where they came to."""
    average, now = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    for steps, least in ((20, 0.99), (200, 0.99)):
        for network in (average, now):
            torch.nn.init.zeros_(network.weight)
        for step in range(steps):
            now.weight.data.fill_(float(step >= steps // 2))
            move_average(average, now, 0.999, step=step)
        assert average.weight.item() > least
