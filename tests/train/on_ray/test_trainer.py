"""Ray Train around the loop: two real workers, checkpoints, continuing under the same name, the bundle."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from raymask.data.reading.sampler import SamplerConfig
from raymask.errors import DataError, TrainingError
from raymask.models import load_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.storage import Folder
from raymask.train.engine.config import LossConfig, OptimiserConfig, TrainConfig
from raymask.train.on_ray.tasks import task_of
from raymask.train.on_ray.trainer import _claim, train_on_ray

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def config(prepared, tmp_path_factory):
    return TrainConfig(
        data=str(prepared),
        storage=str(tmp_path_factory.mktemp("runs")),
        name="first",
        workers=2,
        epochs=1,
        model=MaskFaceNetConfig(backbone="resnet18", input_size=48, embedding_size=64, dropout=0),
        batch=SamplerConfig(people=4),
        loss=LossConfig(mining="all"),
        optimiser=OptimiserConfig(drop_every=0, learning_rate=0.03),
    )


@pytest.fixture(scope="module")
def first(config) -> tuple[str, dict[str, float]]:
    return train_on_ray(config)


def test_two_workers_leave_a_bundle_and_metrics(first):
    address, metrics = first
    bundle = load_bundle(address)
    assert metrics["epoch"] == 1
    assert metrics["active"] > 0
    assert metrics["visited"] + metrics["unvisited"] == 32
    assert bundle.config["metrics"]["loss"] == pytest.approx(metrics["loss"])
    assert bundle.config["training"]["settings"]["loss"]["mining"] == "all"
    embeddings = bundle.model(torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8))
    assert embeddings.shape == (2, 64)


def test_a_finished_run_is_not_started_again(config, first, capsys):
    _, metrics = train_on_ray(config)
    assert metrics["epoch"] >= 1
    assert "starting" not in capsys.readouterr().out


def test_curves_lie_beside_the_checkpoints(config, first):
    run = Folder(f"{config.storage}/first")
    assert any(name.startswith("tensorboard/events.out") for name in run.names())


def test_other_settings_under_the_name_are_refused_before_anything_starts(config, first):
    with pytest.raises(DataError, match=r"other settings \(model changed\); choose another --name"):
        train_on_ray(replace(config, model=MaskFaceNetConfig(backbone="resnet34", input_size=48)))


@pytest.mark.faults
def test_settings_that_cannot_be_trained_with_end_at_once_and_the_name_stays_free(config, first):
    wild = replace(config, name="wild", workers=1, optimiser=OptimiserConfig(learning_rate=1e30, drop_every=0))
    with pytest.raises(TrainingError, match=r"lower --optimiser\.learning-rate"):
        train_on_ray(wild)
    _claim(Folder(f"{wild.storage}/wild"), task_of(replace(config, name="wild")))  # not refused: nothing was trained


def test_a_half_prepared_folder_is_refused(config, prepared, tmp_path):
    (tmp_path / "split=train").mkdir()
    (tmp_path / "split=train" / "00000.parquet").touch()
    with pytest.raises(DataError, match=r"not prepared to its end; run jobs/prepare\.py again"):
        train_on_ray(replace(config, name="half", data=str(tmp_path)))


def test_faces_that_another_version_prepared_are_refused(config, prepared, tmp_path):
    copy = shutil.copytree(prepared, tmp_path / "earlier")
    plan = json.loads((copy / "plan.json").read_text())
    (copy / "plan.json").write_text(json.dumps(plan | {"format": 4}))
    with pytest.raises(DataError, match=r"earlier was prepared by another version of raymask; prepare again"):
        train_on_ray(replace(config, name="earlier", data=str(copy)))


def test_more_workers_than_the_cluster_has_are_refused_at_once(config, prepared):
    with pytest.raises(DataError, match=r"asks for 64 CPUs and the cluster has 4; lower --workers"):
        train_on_ray(replace(config, name="many", workers=64))


def test_missing_data_is_named_before_anything_starts(config, tmp_path):
    with pytest.raises(DataError, match=r"no prepared training faces; make them with jobs/prepare\.py"):
        train_on_ray(replace(config, name="nodata", data=str(tmp_path)))
