"""A checkpoint that an earlier version wrote is put back, with and without a softmax."""

import pytest
import torch

from raymask.data.reading.sampler import SamplerConfig
from raymask.models.config import MaskFaceNetConfig
from raymask.train.embedder.loop import train
from raymask.train.embedder.setup import build, restore
from raymask.train.embedder.tally import Clock
from raymask.train.engine.config import LoopConfig, LossConfig, OptimiserConfig, SoftmaxConfig
from raymask.train.engine.hooks import LoopHooks

CPU = torch.device("cpu")


def config_of(prepared, *, softmax: float, last: float) -> LoopConfig:
    return LoopConfig(
        data=str(prepared),
        epochs=1,
        validation_photos=0,
        model=MaskFaceNetConfig(backbone="resnet18", input_size=32, embedding_size=8, dropout=0),
        batch=SamplerConfig(people=2),
        loss=LossConfig(mining="all"),
        softmax=SoftmaxConfig(weight=softmax),
        optimiser=OptimiserConfig(momentum=0.9, last=last),
    )


def earlier(state, people: int):
    """A state as it was written before losses had names: a vector a person whether there is a softmax or not, in the
    optimiser the last weight of the head's group, or alone in one, and settings without `losses`."""
    groups = [dict(group) for group in state["optimiser"]["param_groups"]]
    if not people:
        count = sum(len(group["params"]) for group in groups)
        groups[-1]["params"] = [*groups[-1]["params"], count]
    tally = {"hinges": 2.0, "active": 4, "valid": 8, "photos": 12, "empty_steps": 0, "seconds": 1.0}
    return {
        **state,
        "config": {key: value for key, value in state["config"].items() if key != "losses"},
        "tally": tally | {"pull": 0.0, "contrast": 0.0, "softmax": 6.0},
        "objective": {"people": torch.full((people, 8), 0.25)},
        "optimiser": {"state": state["optimiser"]["state"], "param_groups": groups},
    }


@pytest.mark.parametrize(("softmax", "people", "last"), [(0.0, 0, 1.0), (0.0, 0, 0.5), (0.5, 4, 1.0)])
def test_a_run_of_an_earlier_version_goes_on(prepared, softmax, people, last):
    config, states = config_of(prepared, softmax=softmax, last=last), []
    train(config, LoopHooks(save=states.append, save_every=1, stop=lambda: True))
    setup = build(config, CPU, fresh=False)
    clock, tally, _ = restore(setup, config, earlier(states[0], people))
    assert clock == Clock(0, 1)
    assert tally.means(config.loss_metrics) == {"loss": 0.5} | ({"softmax": 0.5} if softmax else {})
    for name, value in setup.network.state_dict().items():
        assert torch.equal(value, states[0]["model"][name]), name
    if softmax:
        assert setup.objective.terms["softmax"].people.unique().tolist() == [0.25]
    metrics = []
    done = train(config, LoopHooks(report=metrics.append), resume=earlier(states[0], people))
    assert done.finished
    assert metrics[0]["valid"] > 8
