"""What a search varies, written as text; no Ray."""

import pytest

from raymask.cli import parse
from raymask.errors import ConfigError
from raymask.train.engine.config import LoopConfig
from raymask.tune.config import TuneConfig
from raymask.tune.space import Choice, Range, parse_space, with_values

BASE = LoopConfig(data="faces")


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("loss.margin=0.05..1", Range(name="loss.margin", low=0.05, high=1.0, log=False)),
        (" model.dropout=0..0.8", Range(name="model.dropout", low=0.0, high=0.8, log=False)),
        (
            "optimiser.learning-rate=1e-4..1e-1:log",
            Range(name="optimiser.learning_rate", low=1e-4, high=0.1, log=True),
        ),
        ("batch.people=4..40", Range(name="batch.people", low=4, high=40, log=False)),
        ("batch.people=4|8|16", Choice(name="batch.people", values=(4, 8, 16))),
        ("chunk=null|32", Choice(name="chunk", values=(None, 32))),
        ("flip=true|false", Choice(name="flip", values=(True, False))),
        ("model.backbone=resnet18|vgg16", Choice(name="model.backbone", values=("resnet18", "vgg16"))),
        ("optimiser.momentum=0|0.9", Choice(name="optimiser.momentum", values=(0.0, 0.9))),
    ],
)
def test_ranges_and_choices_are_read_with_the_fields_own_type(text, dimension):
    (made,) = parse_space([text], BASE)
    assert made == dimension
    ends = (made.low, made.high) if isinstance(made, Range) else made.values
    expected = (dimension.low, dimension.high) if isinstance(dimension, Range) else dimension.values
    assert [type(end) for end in ends] == [type(end) for end in expected]


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ([], "at least one field"),
        (["loss.margni=0..1"], r"'loss.margni=0..1': there is no setting 'loss.margni' .* known are .*loss.margin"),
        (["workers=1|2"], "there is no setting 'workers'"),
        (["model=a|b"], "model is a group; name one of .*model.dropout"),
        (["masks=cloth|n95"], "masks cannot be searched, for its values are lists"),
        (["data=a|b"], "data cannot be searched, for trials compare settings on the same faces"),
        (["epochs=1..3"], "epochs cannot be searched"),
        (["loss.margin"], "write field=low..high"),
        (["loss.margin="], "write field=low..high"),
        (["loss.margin=1..0.5"], r"the range is empty; its low end 1.0 must be under its high end 0.5"),
        (["loss.margin=0.5..0.5"], "the range is empty"),
        (["loss.margin=a..b"], "'a' is not a number"),
        (["loss.margin=0.1..inf"], "'inf' is not a finite number"),
        (["loss.margin=0.1..1:lin"], "unknown scale 'lin'"),
        (["loss.margin=0..1"], "'loss.margin=0..1': loss.margin must be positive, not 0.0"),
        (["model.dropout=0..1"], "dropout must be at least 0 and under 1, not 1.0"),
        (["optimiser.weight_decay=0..1:log"], "a logarithmic range must begin over 0"),
        (["batch.people=4..8.5"], "'8.5' is not a whole number"),
        (["batch.people=1..8"], "people must be 2 or more"),
        (["model.backbone=resnet18..resnet50"], "model.backbone has no order; name its values"),
        (["model.backbone=resnet18|resnet19"], "backbone 'resnet19' is unknown; the nearest are resnet18, "),
        (["flip=true|yes"], "'yes' is neither true nor false"),
        (["loss.margin=0.2"], "a choice needs two values"),
        (["loss.margin=0.2|0.2"], "each named once"),
        (["loss.margin=0.2|null"], "'null' is not a number"),
        (["loss.margin=0.1..1", "loss.margin=0.2|0.3"], "names loss.margin twice"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(texts, sentence):
    with pytest.raises(ConfigError, match=sentence):
        parse_space(texts, BASE)


def test_values_are_set_in_nested_groups_and_checked():
    made = with_values(BASE, {"loss.margin": 0.7, "model.backbone": "resnet18", "seed": 3})
    assert (made.loss.margin, made.model.backbone, made.seed) == (0.7, "resnet18", 3)
    assert made.loss.distance == BASE.loss.distance
    with pytest.raises(ConfigError, match="margin must be positive"):
        with_values(BASE, {"loss.margin": -1.0})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"trials": 0}, "trials must be 1 or more"),
        ({"metric": "accuracy"}, "metric 'accuracy' is unknown; choose one of val_masked, val_bare"),
        ({"validation_photos": 1}, "validation_photos must be 2 or more"),
        ({"search": ("loss.margin=2..1",)}, "the range is empty"),
        ({"epochs": 0}, "epochs must be 1 or more"),
    ],
)
def test_a_search_that_cannot_be_is_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        TuneConfig(data="faces", storage="runs", name="search", **changes)


def test_the_default_search_is_over_margin_and_dropout():
    config = TuneConfig(data="faces", storage="runs", name="search", epochs=3)
    assert [dimension.name for dimension in config.space()] == ["loss.margin", "model.dropout"]
    training = config.training(name="000")
    assert (training.epochs, training.name, training.storage) == (3, "000", "runs")
    assert type(training).__name__ == "TrainConfig"


def test_the_command_line_is_that_of_training_and_the_search():
    words = "--data faces --storage runs --name a --epochs 3 --loss.mining all --trials 5 --early-stopping false"
    search = "optimiser.learning-rate=1e-4..1e-1:log,model.backbone=resnet18|resnet34"
    config = parse(TuneConfig, "Search.", [*words.split(), "--search", search])
    assert (config.epochs, config.loss.mining, config.trials, config.early_stopping) == (3, "all", 5, False)
    assert config.space() == (
        Range(name="optimiser.learning_rate", low=1e-4, high=0.1, log=True),
        Choice(name="model.backbone", values=("resnet18", "resnet34")),
    )


def test_the_american_spelling_is_searched_and_given_alike():
    words = "--data faces --storage runs --name a"
    search = "optimizer.learning-rate=1e-4..1e-1:log"
    config = parse(TuneConfig, "Search.", [*words.split(), "--search", search, "--optimizer.drop-every", "3"])
    assert config.optimiser.drop_every == 3
    assert config.space() == (Range(name="optimiser.learning_rate", low=1e-4, high=0.1, log=True),)
    both = "optimizer.momentum=0|0.9,optimiser.momentum=0|0.5"
    with pytest.raises(ConfigError, match=r"search names optimiser\.momentum twice"):
        parse(TuneConfig, "Search.", [*words.split(), "--search", both]).space()
