"""A real search on a real cluster: trials that train, one that cannot, and what is left in the folder."""

import json
from dataclasses import replace

import pytest

from raymask.cli import parse
from raymask.data.reading.sampler import SamplerConfig
from raymask.errors import DataError
from raymask.models.config import MaskFaceNetConfig
from raymask.storage import Folder
from raymask.train.engine.config import LossConfig, OptimiserConfig, TrainConfig
from raymask.tune.config import TuneConfig
from raymask.tune.ray_tune import concurrent_trials, tune_on_ray
from raymask.tune.trials import Trials

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def config(prepared, tmp_path_factory):
    return TuneConfig(
        data=str(prepared),
        storage=str(tmp_path_factory.mktemp("searches")),
        name="first",
        epochs=2,
        trials=2,
        search=("loss.margin=0.2..0.8", "optimiser.learning_rate=0.01..1e30:log"),
        early_stopping=False,
        model=MaskFaceNetConfig(backbone="resnet18", input_size=48, embedding_size=32, dropout=0),
        batch=SamplerConfig(people=4),
        loss=LossConfig(mining="all"),
        optimiser=OptimiserConfig(drop_every=0),
    )


@pytest.fixture(scope="module")
def search(config):
    return Folder(f"{config.storage}/{config.name}")


@pytest.fixture(scope="module")
def result(config, search):
    """A search that broke off before its trials ran, one of which is hopeless."""
    trials = Trials(search)
    for margin, rate in ((0.3, 0.02), (0.4, 1e30)):
        trials.add({"loss.margin": margin, "optimiser.learning_rate": rate})
    return tune_on_ray(config)


def test_a_trial_trains_and_a_hopeless_one_is_a_row_with_its_sentence(result, search):
    good, bad = Trials(search)
    assert (good.status, bad.status) == ("finished", "failed")
    assert [metrics["epoch"] for metrics in good.epochs] == [1, 2]
    assert 0 <= good.epochs[1]["val_masked"] <= 1
    assert good.epochs[0]["active"] > 0
    assert good.seconds > 0
    assert "lower --optimiser.learning-rate" in bad.note
    assert f"trial 001: {bad.note}" in result.table
    assert result.best == good


def test_the_folder_holds_table_picture_and_a_configuration_for_training(result, search, config, tmp_path):
    table = json.loads(search.read("table.json"))
    assert table["best"] == table["trials"][0]["number"] == 0
    assert table["trials"][-1]["status"] == "failed"
    assert search.read("surface.png").startswith(b"\x89PNG")
    file = tmp_path / "best.yaml"
    file.write_bytes(search.read("best.yaml"))
    made = parse(TrainConfig, "Train.", ["--config", str(file), "--storage", config.storage, "--name", "first"])
    best = result.best.values
    expected = replace(
        config.training(),
        loss=replace(config.loss, margin=best["loss.margin"]),
        optimiser=replace(config.optimiser, learning_rate=best["optimiser.learning_rate"]),
    )
    assert made == expected


def test_weights_and_tunes_own_files_do_not_pile_up(result, search):
    names = search.names()
    assert not [name for name in names if name.startswith("tune/") or "checkpoints" in name]
    assert [name for name in names if name.startswith("trials/000/tensorboard/")]


def test_a_search_that_is_done_is_not_run_again(result, search, config):
    before = {name: search.read(name) for name in search.names() if name.endswith("trial.json")}
    again = tune_on_ray(replace(config, trials=1))
    assert again.table == result.table
    assert {name: search.read(name) for name in before} == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"loss": LossConfig(mining="semihard")}, "loss"),
        ({"epochs": 3}, "epochs"),
        ({"search": ("loss.margin=0.2..0.9",)}, "search"),
        ({"early_stopping": True}, "early_stopping"),
    ],
)
def test_other_settings_under_the_name_are_refused_before_anything_starts(result, config, changes, named):
    with pytest.raises(DataError, match=rf"is a search with other settings \({named} changed\); choose another --name"):
        tune_on_ray(replace(config, **changes))


@pytest.mark.parametrize(
    ("changes", "trials"),
    [({}, 4), ({"workers": 2}, 2), ({"workers": 2, "cpus_per_worker": 2}, 1), ({"cpus_per_worker": 3}, 1)],
)
def test_as_many_trials_at_once_as_the_cluster_holds(ray_cluster, config, changes, trials):
    assert concurrent_trials(replace(config, **changes)) == trials


def test_a_cluster_too_small_for_one_trial_is_refused(ray_cluster, config):
    with pytest.raises(DataError, match=r"asks for 64 CPUs and the cluster has 4; lower --workers"):
        tune_on_ray(replace(config, name="many", workers=64))


def test_nobody_to_validate_with_is_refused(config, prepared, tmp_path):
    (tmp_path / "split=train").mkdir()
    (tmp_path / "split=train" / "00000.parquet").touch()
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "index.parquet").touch()
    (tmp_path / "plan.json").write_text((prepared / "plan.json").read_text())
    with pytest.raises(DataError, match="holds nobody to validate with"):
        tune_on_ray(replace(config, name="novalidation", data=str(tmp_path)))
