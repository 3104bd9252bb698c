"""The loop by itself, without Ray, on real prepared faces."""

import math
from dataclasses import replace

import pytest
import torch

from raymask.data.sampler import SamplerConfig
from raymask.errors import DataError, TrainingError
from raymask.models.config import MaskFaceNetConfig
from raymask.train.config import LoopConfig, LossConfig, OptimiserConfig
from raymask.train.loop import train


@pytest.fixture(scope="module")
def config(prepared):
    return LoopConfig(
        data=str(prepared),
        epochs=4,
        model=MaskFaceNetConfig(backbone="resnet18", input_size=48, embedding_size=64, dropout=0.1),
        batch=SamplerConfig(people=4),
        loss=LossConfig(mining="all"),
        optimiser=OptimiserConfig(drop_every=0, learning_rate=0.03),
    )


@pytest.fixture(scope="module")
def history(config):
    """Metrics and states of a whole run."""
    reports = []
    train(config, report=lambda metrics, state: reports.append((metrics, _copy(state))))
    return reports


def _copy(state):
    """A checkpoint as it comes back from disk."""
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_the_loss_falls_and_all_is_reported(history):
    metrics = [m for m, _ in history]
    assert [m["epoch"] for m in metrics] == [1, 2, 3, 4]
    assert metrics[-1]["loss"] * metrics[-1]["active"] < 0.7 * metrics[0]["loss"] * metrics[0]["active"]
    for m in metrics:
        assert 0 < m["active"] <= m["valid"]
        assert math.isfinite(m["loss"])
        assert 0 <= m["val_masked"] <= 1
        assert 0 <= m["val_bare"] <= 1


def test_a_run_that_continues_ends_as_the_undisturbed_one(config, history):
    resumed = []
    model = train(config, report=lambda metrics, state: resumed.append(_copy(state)), resume=history[1][1])
    assert [state["epoch"] for state in resumed] == [3, 4]
    for name, wanted in history[-1][1]["model"].items():
        torch.testing.assert_close(model.state_dict()[name], wanted, rtol=1e-4, atol=1e-5)


def test_a_finished_run_is_not_trained_again(config, history):
    model = train(config, report=lambda *_: pytest.fail("trained on"), resume=history[-1][1])
    assert torch.equal(model.head[3].weight, history[-1][1]["model"]["head.3.weight"])


def test_a_checkpoint_of_other_settings_is_refused(config, history):
    other = replace(config, loss=LossConfig(mining="hardest"))
    with pytest.raises(DataError, match=r"other settings \(loss changed\)"):
        train(other, report=lambda *_: None, resume=history[0][1])


def test_a_diverged_loss_is_an_error_that_says_what_to_do(config):
    wild = replace(config, epochs=1, optimiser=OptimiserConfig(learning_rate=1e30, drop_every=0))
    with pytest.raises(TrainingError, match=r"lower --optimiser\.learning-rate"):
        train(wild, report=lambda *_: None)


def test_missing_data_is_named(config, tmp_path):
    with pytest.raises(DataError, match=r"no prepared faces of split train.*jobs/prepare\.py"):
        train(replace(config, data=str(tmp_path)), report=lambda *_: None)
