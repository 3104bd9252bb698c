import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from raymask.cli import parse
from raymask.data.reading.sampler import SamplerConfig
from raymask.errors import ConfigError, ModelError
from raymask.models.config import SFACE
from raymask.models.shipped import SHIPPED
from raymask.settings import from_mapping
from raymask.train.embedder.whiten_config import WhitenConfig
from raymask.train.engine.config import LoopConfig, LossConfig, OptimiserConfig, TrainConfig
from raymask.train.on_ray.tasks import task_of
from raymask.train.staged.aligner_config import AlignConfig, TrainAlignerConfig
from raymask.train.staged.inpainter_config import TrainInpainterConfig
from raymask.train.staged.segmenter_config import SegmentConfig, TrainSegmenterConfig

PRESETS = Path(__file__).parents[3] / "presets"


def test_the_papers_values_are_the_defaults():
    config = LoopConfig(data="x")
    assert (config.epochs, config.model.backbone, config.model.dropout) == (10, "resnet50", 0.6)
    assert (config.model.embedding_size, config.model.input_size) == (512, 224)
    assert config.batch == SamplerConfig(people=20, bare=3, masked=3)
    assert (config.loss.margin, config.loss.distance) == (0.2, "squared_euclidean")


def test_the_preset_of_the_paper_is_what_the_defaults_are():
    words = ["--data", "x", "--storage", "y", "--name", "z"]
    paper = parse(TrainConfig, "", ["--config", str(PRESETS / "paper.yaml"), *words])
    assert paper == TrainConfig(data="x", storage="y", name="z")


def test_the_best_preset_trains_a_copy_of_sface():
    words = ["--config", str(PRESETS / "best.yaml"), "--data", "x", "--storage", "y", "--name", "z"]
    best = parse(TrainConfig, "", words)
    assert best.model == SFACE
    assert (best.init, best.teachers, best.weights) == ("sface", ("sface",), {"pull": 1, "contrast": 0.1})


def test_the_preset_of_dlibs_network_asks_for_two_teachers():
    words = ["--config", str(PRESETS / "dlib.yaml"), "--data", "x", "--storage", "y", "--name", "z"]
    best = parse(TrainConfig, "", [*words, "--teachers", "dlib,onnx:face.onnx"])
    assert best.teachers == ("dlib", "onnx:face.onnx")
    assert (best.init, best.model.backbone, best.model.parts, best.loss.weight) == ("dlib", "dlib", 2, 0)
    with pytest.raises(ConfigError, match="nothing is learned"):
        parse(TrainConfig, "", words)


@pytest.mark.parametrize(
    ("words", "data"),
    [(["--data", "a"], "a"), (["--data", "a,b"], "a,b"), (["--data=[a, b]"], ("a", "b")), (["--data", "2024"], "2024")],
)
def test_data_is_one_folder_or_several(words, data, tmp_path):
    for kind in (TrainConfig, TrainSegmenterConfig, TrainAlignerConfig, TrainInpainterConfig):
        assert parse(kind, "", ["--storage", "y", "--name", "z", *words]).data == data
    (tmp_path / "c.yaml").write_text("data: [a, b]\nstorage: y\nname: z\n")
    assert parse(TrainConfig, "", ["--config", str(tmp_path / "c.yaml")]).data == ("a", "b")


def test_seven_epochs_semihard_then_three_hardest():
    assert [LossConfig().rule(epoch) for epoch in range(10)] == ["semihard"] * 7 + ["hardest"] * 3
    assert {LossConfig(mining="all").rule(epoch) for epoch in range(10)} == {"all"}


def test_the_learning_rate_falls_tenfold_every_two_epochs():
    rates = [OptimiserConfig().rate(epoch, 0, 10) for epoch in range(10)]
    assert rates == pytest.approx([0.05 / 10 ** (epoch // 2) for epoch in range(10)])
    constant = OptimiserConfig(drop_every=0)
    assert constant.rate(9, 999, 1000) == 0.05


def test_warm_up_rises_to_the_rate():
    config = OptimiserConfig(warmup_steps=4)
    assert [config.rate(0, step, 100) / 0.05 for step in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_settings_survive_a_checkpoint():
    from dataclasses import asdict

    config = LoopConfig(data="x", loss=LossConfig(margin=0.3), batch=SamplerConfig(people=5))
    assert from_mapping(LoopConfig, json.loads(json.dumps(asdict(config)))) == config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LossConfig(margin=0), "margin must be positive"),
        (lambda: LossConfig(mining="hard"), "loss.mining 'hard' is unknown; choose one of hybrid"),
        (lambda: LoopConfig(data="x", precision="bf16"), "precision 'bf16' is unknown"),
        (lambda: SegmentConfig(data="x", precision="bf16"), "precision 'bf16' is unknown"),
        (lambda: LoopConfig(data="x", seed=-1), "seed must be 0"),
        (lambda: OptimiserConfig(learning_rate=-1), "learning_rate must be positive"),
        (lambda: OptimiserConfig(momentum=1), "momentum must be"),
        (lambda: OptimiserConfig(kind="adam", momentum=0.9), "momentum has no effect on adam"),
        (lambda: OptimiserConfig(schedule="cycle", warmup_steps=5), "warmup_steps has no effect on schedule cycle"),
        (lambda: LoopConfig(data="x", epochs=0), "epochs must be 1"),
        (lambda: LoopConfig(data="x,"), "data must name a folder"),
        (lambda: SegmentConfig(data=("x", "x")), "data names x twice"),
        (lambda: AlignConfig(data="x", worn_share=0.5), "worn_share has no effect without worn"),
        (lambda: AlignConfig(data="x", worn_weight=2.0), "worn_weight has no effect without worn"),
        (lambda: AlignConfig(data="x", worn="y", worn_share=0.0), "worn_share must be over 0 and under 1, not 0.0"),
        (lambda: AlignConfig(data="x", worn="y", worn_share=1.0), "worn_share must be over 0 and under 1, not 1.0"),
        (lambda: AlignConfig(data="x", worn="y", worn_weight=0.0), "worn_weight must be over 0, not 0.0"),
        (lambda: AlignConfig(data="x", worn="y", worn_weight=math.nan), "worn_weight must be over 0, not nan"),
        (lambda: AlignConfig(data="x", worn="y,z"), "worn takes one folder, not 'y,z'"),
        (lambda: WhitenConfig(data="", bundle="b", out="o"), "data must name a folder"),
        (lambda: TrainConfig(data="x", storage="y", name="a/b"), "name 'a/b' must be letters"),
        (lambda: TrainConfig(data="x", storage="y", name="a", workers=0), "workers must be 1"),
    ],
)
def test_impossible_settings_are_refused_by_name(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_start_that_is_no_bundle_or_of_another_kind_is_named_before_anything_starts(tmp_path):
    config = TrainSegmenterConfig(data="faces", storage="runs", name="more", start=str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"nowhere is no bundle: .*; make one with jobs/train_segmenter\.py"):
        task_of(config)
    with pytest.raises(ModelError, match="inpainter holds Inpainter, not MaskSegmenter"):
        task_of(replace(config, start=str(SHIPPED / "inpainter")))
