"""Segmenter and inpainter through Ray Train: real workers, the bundle, pictures beside the curves, refusals."""

from dataclasses import replace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from raymask.errors import ConfigError, DataError, ModelError
from raymask.models import load_bundle
from raymask.models.digest import weights_digest
from raymask.train.engine.run_log import WatchConfig
from raymask.train.engine.tensorboard import TENSORBOARD
from raymask.train.on_ray.trainer import train_on_ray
from raymask.train.staged.inpainter_config import TrainInpainterConfig
from raymask.train.staged.segmenter_config import TrainSegmenterConfig

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return str(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def segmenter(prepared, storage):
    config = TrainSegmenterConfig(
        data=str(prepared), storage=storage, name="segmenter", workers=2, smoke=True, watch=WatchConfig(every=1)
    )
    return config, train_on_ray(config.smoked())


@pytest.mark.faults
def test_two_workers_leave_a_segmenter(segmenter):
    address, metrics = segmenter[1]
    bundle = load_bundle(address, "MaskSegmenter")
    assert metrics["steps"] == 12
    assert 0 <= metrics["iou"] <= 1
    assert bundle.config["metrics"]["iou"] == pytest.approx(metrics["iou"])
    assert bundle.config["preprocessing"]["crop_size"] == 224


@pytest.mark.faults
def test_curves_and_pictures_lie_beside_the_checkpoints(segmenter, storage):
    events = EventAccumulator(f"{storage}/segmenter/{TENSORBOARD}", size_guidance={"scalars": 0}).Reload()
    assert [point.step for point in events.Scalars("segmenter/loss")] == list(range(12))
    assert events.Scalars("validation/iou")[-1].step == 11
    (picture,) = events.Images("faces/segmenter")
    assert (picture.width, picture.height) == (3 * 224, 6 * 224)


@pytest.mark.faults
def test_the_same_command_does_nothing_again_and_other_settings_are_refused(segmenter, capsys):
    config, (address, _) = segmenter
    assert train_on_ray(config.smoked())[0] == address
    assert "starting" not in capsys.readouterr().out
    with pytest.raises(DataError, match=r"other settings \(learning_rate changed\)"):
        train_on_ray(replace(config.smoked(), learning_rate=1e-3))


@pytest.mark.faults
def test_an_inpainter_goes_through_all_stages_without_pictures(prepared, storage):
    config = TrainInpainterConfig(
        data=str(prepared), storage=storage, name="inpainter", smoke=True, watch=WatchConfig(every=1, pictures=False)
    )
    address, metrics = train_on_ray(config.smoked())
    assert metrics["stage"] == 4
    bundle = load_bundle(address, "Inpainter")
    assert bundle.config["training"]["teachers_sha256"] == [weights_digest("dlib")]
    events = EventAccumulator(f"{storage}/inpainter/{TENSORBOARD}").Reload()
    assert {"edges/feature_matching", "image/identity", "drawn/style", "joint/l1"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == []


def test_a_teacher_that_is_not_there_is_named_before_anything_starts(prepared, storage, tmp_path):
    config = TrainInpainterConfig(
        data=str(prepared), storage=storage, name="untaught", teacher=f"onnx:{tmp_path}/nowhere.onnx"
    )
    with pytest.raises(ModelError, match=r"nowhere\.onnx: there is no such file, or it is not"):
        train_on_ray(config)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TrainInpainterConfig(storage="s", name="n"), "data must name a folder"),
        (lambda: TrainInpainterConfig(data="d", storage="s", name="n", batch=1, workers=2), "batch must be at least"),
        (lambda: TrainSegmenterConfig(data="d", storage="s", name="n", bare=1.0), "bare must be at least 0"),
        (lambda: TrainSegmenterConfig(data="d", storage="s", name="n", masks=()), "masks must name at least one"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
