"""The loop by itself, without Ray, on real prepared faces."""

import math
import shutil
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from raymask.data.reading.joined import open_crops
from raymask.data.reading.sampler import SamplerConfig
from raymask.errors import ConfigError, DataError, TrainingError
from raymask.models.config import MaskFaceNetConfig
from raymask.train.embedder.loop import Trained, train
from raymask.train.embedder.setup import check_steps, opening, sampler_of
from raymask.train.engine.config import LoopConfig, LossConfig, OptimiserConfig, SoftmaxConfig
from raymask.train.engine.hooks import LoopHooks


@pytest.fixture(scope="module")
def config(prepared):
    return LoopConfig(
        data=str(prepared),
        epochs=4,
        model=MaskFaceNetConfig(backbone="resnet18", input_size=48, embedding_size=64, dropout=0.1),
        batch=SamplerConfig(people=4),
        loss=LossConfig(mining="all"),
        optimiser=OptimiserConfig(drop_every=0, learning_rate=0.01),
    )


@pytest.fixture(scope="module")
def history(config):
    """Metrics and states of a whole run."""
    return _train(config)


def _train(config, *, resume=None, save_every=200, stop=lambda: False, run_log=None):
    """Metrics of each epoch, every state kept, and what came of the training."""
    metrics, states = [], []
    hooks = LoopHooks(
        report=metrics.append,
        save=lambda state: states.append(_copy(state)),
        save_every=save_every,
        stop=stop,
        run_log=run_log,
    )
    return History(metrics, states, train(config, hooks, resume=resume))


class History(NamedTuple):
    metrics: list
    states: list
    trained: Trained


def _copy(state):
    """A checkpoint as it comes back from disk."""
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_the_loss_falls_and_all_is_reported(history):
    metrics = history.metrics
    assert history.trained.finished
    assert [m["epoch"] for m in metrics] == [1, 2, 3, 4]
    assert metrics[-1]["loss"] * metrics[-1]["active"] < 0.7 * metrics[0]["loss"] * metrics[0]["active"]
    for m in metrics:
        assert 0 < m["active"] <= m["valid"]
        assert math.isfinite(m["loss"])
        assert 0 <= m["val_masked"] <= 1
        assert 0 <= m["val_bare"] <= 1
        assert m["visited"] + m["unvisited"] == 32


@pytest.mark.parametrize("chunk", [None, 10])
def test_a_run_that_continues_at_a_step_ends_as_the_undisturbed_one(config, chunk):
    short = replace(config, epochs=2, chunk=chunk, batch=SamplerConfig(people=2))
    whole = _train(short, save_every=1)
    middle = next(state for state in whole.states if (state["epoch"], state["step"]) == (1, 1))
    rest = _train(short, resume=middle)
    assert rest.metrics[0]["loss"] == pytest.approx(whole.metrics[1]["loss"], rel=1e-4)
    assert rest.metrics[0]["active"] == pytest.approx(whole.metrics[1]["active"], rel=1e-3)
    for name, wanted in whole.trained.network.state_dict().items():
        torch.testing.assert_close(rest.trained.network.state_dict()[name], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.faults
def test_compiled_it_learns_the_same(config):
    short = replace(config, epochs=1, chunk=12, validation_photos=0, optimiser=OptimiserConfig(learning_rate=1e-4))
    plain, compiled = _train(short), _train(replace(short, compile=True))
    assert compiled.trained.network.backbone._compiled_call_impl is not None
    assert compiled.metrics[0]["loss"] == pytest.approx(plain.metrics[0]["loss"], rel=1e-3)
    wanted = plain.trained.network.state_dict()
    for name, value in compiled.trained.network.state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-3, atol=1e-4, msg=lambda m: f"{name}: {m}")  # noqa: B023


def test_without_a_compiler_compile_is_refused(config, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"compile needs a C\+\+ compiler.*install g\+\+"):
        train(replace(config, compile=True))


def test_a_run_that_is_told_to_stop_keeps_the_step_and_says_that_it_is_not_done(config):
    answers = iter([False, True])
    stopped = _train(replace(config, batch=SamplerConfig(people=2)), stop=lambda: next(answers))
    assert not stopped.trained.finished
    assert [(state["epoch"], state["step"]) for state in stopped.states] == [(0, 2)]


def test_a_finished_run_is_not_trained_again(config, history):
    again = _train(config, resume=history.states[-1])
    assert not again.metrics
    wanted = history.states[-1]["model"]["head.3.weight"]
    assert torch.equal(again.trained.network.head[3].weight, wanted)


def test_a_checkpoint_of_other_settings_is_refused(config, history):
    other = replace(config, loss=LossConfig(mining="hardest"))
    with pytest.raises(DataError, match=r"other settings \(loss changed\)"):
        train(other, resume=history.states[0])


def test_a_diverged_loss_is_an_error_that_says_what_to_do(config):
    wild = replace(config, epochs=3, optimiser=OptimiserConfig(learning_rate=1e30, drop_every=0))
    with pytest.raises(TrainingError, match=r"lower --optimiser\.learning-rate"):
        train(wild)


def test_weights_that_break_in_the_last_step_of_an_epoch_are_never_kept(config):
    """Whose loss was still a number."""
    kept = []
    one_step = replace(config, epochs=1, batch=SamplerConfig(people=6), validation_photos=0)
    huge = replace(one_step, optimiser=OptimiserConfig(learning_rate=1e38, weight_decay=1e30, drop_every=0))
    with pytest.raises(TrainingError, match=r"the weights are no numbers any more .*lower --optimiser"):
        train(huge, LoopHooks(save=kept.append))
    assert not kept


def test_collapsed_embeddings_end_the_training_and_are_never_kept(config, history):
    """A head that gives nearly the same embedding for every face, and a learning rate that cannot repair it."""
    dead = {**history.states[-1], "epoch": 0, "config": asdict(replace(config, optimiser=FROZEN, epochs=40))}
    dead["model"] = {**dead["model"], "head.4.weight": torch.full((64,), 1e-4), "head.4.bias": torch.ones(64)}
    kept = []
    with pytest.raises(TrainingError, match=r"have collapsed by epoch \d+, step \d+: .* loss sits at the margin"):
        train(replace(config, optimiser=FROZEN, epochs=40), LoopHooks(save=kept.append), resume=dead)
    assert not kept


FROZEN = OptimiserConfig(learning_rate=1e-12, drop_every=0)


def test_a_checkpoint_that_cannot_be_written_ends_the_training(config):
    def save(state):
        raise DataError("no space left")

    with pytest.raises(DataError, match="no space left"):
        train(config, LoopHooks(save=save))


def test_the_run_log_sees_every_step_and_epoch(config):
    seen = {"steps": [], "epochs": [], "distances": []}

    class Log:
        def step(self, step, **values):
            ((rule, loss),) = values["losses"].items()
            seen["steps"].append((step, rule, loss > 0, values["figures"]["quintuplets/active_share"] <= 1))

        def distances(self, step, embeddings, identities, masked, distance):
            seen["distances"].append((step, embeddings.shape[1], len(embeddings) == len(identities) == len(masked)))

        def epoch(self, step, metrics, *, losses):
            seen["epochs"].append((step, metrics["epoch"], list(losses)))

    _train(replace(config, epochs=2), run_log=Log())
    assert seen["steps"] == [(step, "all", True, True) for step in range(4)]
    assert seen["epochs"] == [(2, 1, ["loss"]), (4, 2, ["loss"])]
    assert seen["distances"] == [(0, 64, True)]


@pytest.fixture(scope="module")
def copied(prepared):
    """The demo faces once more, with nobody to validate."""
    return shutil.copytree(prepared, prepared.parent / "copied", ignore=shutil.ignore_patterns("split=val"))


def test_two_folders_train_together_and_go_on_together(config, copied, capsys):
    """Twice as many people, who are validated by the folder that has somebody for it."""
    both = replace(config, epochs=2, data=(str(copied), str(config.data)), softmax=SoftmaxConfig(weight=0.1))
    whole = _train(both, save_every=1)
    said = capsys.readouterr().out
    assert "training on 64 photos of 8 people, 3 steps of about 24 photos an epoch" in said
    assert "each epoch sees about 100% of the people" in said
    assert "4 names occur again in another folder of the data" in said
    assert whole.trained.finished
    assert [m["visited"] + m["unvisited"] for m in whole.metrics] == [64, 64]
    assert all(0 <= m["val_masked"] <= 1 for m in whole.metrics)
    assert whole.states[-1]["objective"]["softmax"]["people"].shape[0] == 8
    middle = next(state for state in whole.states if (state["epoch"], state["step"]) == (1, 1))
    rest = _train(replace(both, data=f"{copied},{config.data}"), resume=middle)
    assert rest.metrics[0]["loss"] == pytest.approx(whole.metrics[1]["loss"], rel=1e-3)


def test_a_checkpoint_of_before_names_one_folder_and_no_steps(config, history):
    """As all did once; it goes on with the same faces wherever they lie, but never with batches of another number."""
    earlier = {key: value for key, value in history.states[0].items() if key != "steps"}
    earlier["config"] = {**earlier["config"], "data": "elsewhere"}
    again = _train(replace(config, data=(str(config.data),)), resume=earlier)
    assert [m["epoch"] for m in again.metrics] == [2, 3, 4]


def test_steps_of_another_version_are_refused_also_where_a_checkpoint_does_not_name_them(copied):
    """People of a single photo had fewer steps then."""
    config = LoopConfig(data=str(copied), batch=SamplerConfig(people=2, bare=8, masked=8))
    photos = open_crops(config.data, "train")
    sampler = sampler_of(config, photos)
    assert (len(photos), sampler.steps) == (32, 2), "eight photos of four people; 32 photos filled one batch"
    with pytest.raises(DataError, match="batches of another version"):
        check_steps({}, config, photos, sampler)
    check_steps({"steps": 2}, config, photos, sampler)


class Singles:
    """Crops of which only the people are asked."""

    def __init__(self, counts):
        self.people = [f"p{number}" for number in range(len(counts))]
        self.identities = np.repeat(np.arange(len(counts)), counts)

    def __len__(self):
        return len(self.identities)


def test_a_training_says_what_the_shape_of_its_batches_costs():
    config = LoopConfig(data="x", batch=SamplerConfig(people=64, bare=1, masked=2))
    singles = Singles([1] * 640)
    first, half, lone = opening(config, singles, sampler_of(config, singles))
    assert first == (
        "training on 640 photos of 640 people, 10 steps of about 64 photos an epoch, each epoch sees about 100% of the "
        "people"
    )
    assert half.startswith("batches hold less than half of 192 photos, because 100% of the people have fewer than 3")
    assert lone.startswith("640 people have fewer than 3 photos in a batch")
    many = Singles([3] * 640)
    assert len(opening(config, many, sampler_of(config, many))) == 1
    pairs = replace(config, batch=SamplerConfig(people=64, bare=1, masked=1))
    assert "640 people have fewer" in opening(pairs, many, sampler_of(pairs, many))[1]


def test_missing_data_is_named(config, tmp_path):
    with pytest.raises(DataError, match=r"no prepared faces of split train.*jobs/prepare\.py"):
        train(replace(config, data=str(tmp_path)))
