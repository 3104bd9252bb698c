"""What of a training's settings may change between two sessions, and what its bundle says that it learned from."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from raymask.errors import ConfigError, DataError
from raymask.faces.images import encode_png
from raymask.models.bundle import bundle_config, save_bundle
from raymask.models.config import InpainterConfig, MaskFaceNetConfig, SegmenterConfig
from raymask.models.digest import weights_digest
from raymask.models.networks.inpainter import Inpainter
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.segmenter import MaskSegmenter
from raymask.storage import Folder
from raymask.train.engine.config import OptimiserConfig, TrainConfig
from raymask.train.engine.resume_guard import claim
from raymask.train.on_ray.tasks import task_of
from raymask.train.on_ray.trainer import check_data, train_on_ray
from raymask.train.staged.aligner_config import TrainAlignerConfig
from raymask.train.staged.inpainter_config import TrainInpainterConfig
from raymask.train.staged.segmenter_config import TrainSegmenterConfig

CYCLE = OptimiserConfig(schedule="cycle")
SMALL = SegmenterConfig(channels=8)


@pytest.fixture
def where(prepared, tmp_path):
    return {"data": str(prepared), "storage": str(tmp_path / "runs"), "name": "one"}


def begin(config, tmp_path):
    """Keep a run's settings, or refuse them, as training does."""
    task = task_of(config)
    claim(
        Folder(tmp_path / "run"), "settings.json", task.settings | task.weights, kind="run", begun=True, free=task.free
    )


def test_a_run_may_be_made_longer_but_not_in_a_cycle(where, tmp_path):
    config = TrainConfig(**where, epochs=4)
    begin(config, tmp_path)
    begin(replace(config, epochs=6), tmp_path)
    begin(replace(config, epochs=6, optimiser=CYCLE, name="other"), tmp_path / "other")
    with pytest.raises(DataError, match=r"other settings \(epochs changed\)"):
        begin(replace(config, epochs=8, optimiser=CYCLE, name="other"), tmp_path / "other")


def test_a_run_on_several_folders_goes_on_with_the_same_ones_in_their_order(where, tmp_path, prepared):
    other = tmp_path / "other"
    other.mkdir()
    plan = (prepared / "plan.json").read_text()
    (other / "plan.json").write_text(plan.replace('"seed": 0', '"seed": 1'))
    moved = shutil.copytree(other, tmp_path / "moved")
    config = TrainConfig(**where | {"data": f"{prepared},{other}"})
    assert task_of(config).settings["data"] == (str(prepared), str(other))
    begin(config, tmp_path)
    begin(replace(config, data=(str(prepared), str(moved))), tmp_path)
    for data in (str(prepared), f"{other},{prepared}"):
        with pytest.raises(DataError, match=r"other settings \(data changed\)"):
            begin(replace(config, data=data), tmp_path)
    alone = TrainConfig(**where | {"name": "alone"})
    begin(alone, tmp_path / "alone")
    begin(replace(alone, data=(str(prepared),)), tmp_path / "alone")


def test_every_folder_is_checked_before_any_worker_starts(prepared, tmp_path):
    check_data(f"{prepared}")
    no_train = shutil.copytree(prepared, tmp_path / "no_train", ignore=shutil.ignore_patterns("split=train"))
    check_data(f"{no_train},{prepared}")
    with pytest.raises(DataError, match=r"nobody in \S+no_train is there to train on"):
        check_data(str(no_train))
    unfinished = shutil.copytree(prepared, tmp_path / "unfinished", ignore=shutil.ignore_patterns("summary.json"))
    older = shutil.copytree(prepared, tmp_path / "older", ignore=shutil.ignore_patterns("index.parquet"))
    for folder, why in (
        (unfinished, "is not prepared to its end"),
        (older, "was prepared by another version"),
        (tmp_path / "none", "holds no prepared training faces"),
    ):
        with pytest.raises(DataError, match=f"^{folder} {why}"):
            check_data((str(prepared), str(folder)))


def test_fewer_epochs_than_were_done_are_refused(where):
    ended = task_of(TrainConfig(**where, epochs=4)).ended
    assert [ended({"epoch": epoch, "step": step}) for epoch, step in ((3, 0), (3, 7), (4, 0))] == [False, False, True]
    for epoch, step in ((4, 1), (5, 0)):
        with pytest.raises(ConfigError, match="epochs 4: the run one has begun or done 5 already"):
            ended({"epoch": epoch, "step": step})


def test_a_start_may_be_moved_but_not_exchanged(where, tmp_path):
    first, moved, other = (tmp_path / name for name in ("first", "moved", "other"))
    network = MaskSegmenter(SMALL)
    for folder in (first, moved):
        save_bundle(folder, network, preprocessing={})
    save_bundle(other, MaskSegmenter(SMALL), preprocessing={})
    config = TrainSegmenterConfig(**where, model=SMALL, start=str(first))
    begin(config, tmp_path)
    begin(replace(config, start=str(moved)), tmp_path)
    for start in (str(other), None):
        with pytest.raises(DataError, match=r"other settings \(start_sha256 changed\)"):
            begin(replace(config, start=start), tmp_path)
    assert task_of(config).weights == {"start_sha256": bundle_config(first)["sha256"]}


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: TrainConfig(remask=True, **options),
        lambda **options: TrainSegmenterConfig(model=SMALL, **options),
        lambda **options: TrainAlignerConfig(**options),
        lambda **options: TrainInpainterConfig(**options),
    ],
)
def test_own_textures_may_be_moved_but_not_exchanged(make, where, tmp_path):
    first, moved, other = (tmp_path / name for name in ("first", "moved", "other"))
    for folder, value in ((first, 0), (moved, 0), (other, 200)):
        folder.mkdir()
        (folder / "a.png").write_bytes(encode_png(np.full((30, 30, 3), value, np.uint8)))
    config = make(**where, masks=("cloth:own",), textures=str(first))
    begin(config, tmp_path)
    begin(replace(config, textures=str(moved)), tmp_path)
    with pytest.raises(DataError, match=r"other settings \(textures_sha256 changed\)"):
        begin(replace(config, textures=str(other)), tmp_path)
    with pytest.raises(DataError, match="none holds no picture"):
        task_of(replace(config, textures=str(tmp_path / "none")))


def test_photos_in_real_masks_may_be_moved_but_not_exchanged(where, tmp_path, prepared):
    first, moved, other = (tmp_path / name for name in ("first", "moved", "other"))
    plan = (prepared / "plan.json").read_text()
    for folder, text in ((first, plan), (moved, plan), (other, plan.replace('"seed": 0', '"seed": 1'))):
        folder.mkdir()
        (folder / "plan.json").write_text(text)
    config = TrainAlignerConfig(**where, worn=str(first))
    begin(config, tmp_path)
    begin(replace(config, worn=str(moved)), tmp_path)
    for changed in (replace(config, worn=str(other)), replace(config, worn_share=0.5)):
        with pytest.raises(DataError, match=r"other settings \(worn(_share)? changed\)"):
            begin(changed, tmp_path)
    without = TrainAlignerConfig(**where)
    assert not {"worn_share", "worn_weight"} & task_of(without).settings.keys()
    earlier = {key: value for key, value in task_of(without).settings.items() if key != "worn"}
    claim(Folder(tmp_path / "earlier" / "run"), "settings.json", earlier, kind="run", begun=False)
    begin(without, tmp_path / "earlier")
    with pytest.raises(DataError, match="worn, worn_share, worn_weight changed"):
        begin(config, tmp_path / "earlier")


def test_photos_in_real_masks_are_checked_before_any_worker_starts(where, tmp_path):
    config = TrainAlignerConfig(**where, worn=str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"none holds no prepared training faces"):
        train_on_ray(config)


def test_an_embedder_is_told_by_the_weights_that_it_began_with(where, tmp_path, monkeypatch):
    first, moved, other = (tmp_path / name for name in ("first", "moved", "other"))
    small = MaskFaceNetConfig(backbone="resnet18", input_size=48, embedding_size=8)
    network = MaskFaceNet(small)
    for folder in (first, moved):
        save_bundle(folder, network, preprocessing={})
    save_bundle(other, MaskFaceNet(small), preprocessing={})
    config = TrainConfig(**where, model=small, init=f"bundle:{first}")
    begin(config, tmp_path)
    begin(replace(config, init=f"bundle:{moved}"), tmp_path)
    for init in (f"bundle:{other}", None):
        with pytest.raises(DataError, match=r"other settings \(init_sha256 changed\)"):
            begin(replace(config, init=init), tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = task_of(replace(config, init="bundle:~/first"))
    assert at_home.weights == task_of(config).weights == {"init_sha256": bundle_config(first)["sha256"]}


def test_a_run_of_before_digests_were_kept_goes_on(where, tmp_path):
    start = save_bundle(tmp_path / "start", Inpainter(InpainterConfig()), preprocessing={})
    config = TrainInpainterConfig(**where, start=str(start))
    earlier = task_of(config).settings
    claim(Folder(tmp_path / "run"), "settings.json", earlier, kind="run", begun=False)
    begin(config, tmp_path)
    assert "teachers_sha256" in (tmp_path / "run" / "settings.json").read_text()


def test_an_inpainter_learned_from_its_starts_teachers_too(where, tmp_path):
    training = {"teachers_sha256": ["of another"]}
    start = save_bundle(tmp_path / "start", Inpainter(InpainterConfig()), preprocessing={}, training=training)
    task = task_of(TrainInpainterConfig(**where, start=str(start)))
    assert task.weights["teachers_sha256"] == [weights_digest("dlib"), "of another"]
