from dataclasses import dataclass, field

import pytest

from raymask.cli import parse, run
from raymask.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class Inner:
    margin: float = 0.2
    """Alpha; positive."""

    def __post_init__(self):
        if self.margin <= 0:
            raise ConfigError(f"margin must be positive, not {self.margin}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    data: str
    """Folder."""
    min_photos: int | None = None
    """Photos; null: all."""
    names: tuple[str, ...] = ()
    """Names."""
    loss: Inner = field(default_factory=Inner)
    """The loss."""


def test_options_and_files_are_one_thing(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("data: here\nmin_photos: 3\nloss: {margin: 0.7}\n")
    by_file = parse(Outer, "Do it.", ["--config", str(file)])
    by_option = parse(Outer, "Do it.", ["--data", "here", "--min-photos=3", "--loss.margin", "0.7"])
    assert by_file == by_option == Outer(data="here", min_photos=3, loss=Inner(margin=0.7))


def test_options_override_the_file(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("data: here\n")
    assert parse(Outer, "Do it.", ["--config", str(file), "--data", "there"]).data == "there"


def test_positional_field():
    made = parse(Outer, "Do it.", ["a", "b:c", "--data", "x"], positional=("names", "What to name."))
    assert made.names == ("a", "b:c")


@pytest.mark.parametrize("words", [["--names", "a,b"], ["--names=a,b"], ["--names", "[a,b]"], ["--names=[a, b]"]])
def test_lists_are_written_with_commas(words):
    assert parse(Outer, "Do it.", ["--data", "x", *words]).names == ("a", "b")


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--data", "x", "--loss.margni", "1"], "--loss.margni"),
        (["--data", "x", "--bogus"], "--bogus"),
        (["--data", "x", "--min-photos", "many"], "min_photos"),
        ([], "data"),
    ],
)
def test_unknown_and_wrong_options_are_named(argv, named, capsys):
    with pytest.raises(SystemExit) as end:
        parse(Outer, "Do it.", argv)
    message = capsys.readouterr().err
    assert end.value.code == 2
    assert named in message
    assert "--help" in message
    assert "Traceback" not in message


def test_unknown_keys_of_a_file_are_named(tmp_path, capsys):
    file = tmp_path / "c.yaml"
    file.write_text("data: here\nloss: {margin: 0.1, colour: blue}\n")
    with pytest.raises(SystemExit):
        parse(Outer, "Do it.", ["--config", str(file)])
    assert "colour" in capsys.readouterr().err


def test_help_shows_dashes_and_texts(capsys):
    with pytest.raises(SystemExit) as end:
        parse(Outer, "Do it.", ["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "--min-photos" in text
    assert "Alpha; positive." in text


def test_a_users_mistake_is_a_sentence_without_traceback(capsys):
    def job():
        raise DataError("out is full; free some space")

    with pytest.raises(SystemExit) as end:
        run(job)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: out is full; free some space\n"


def test_a_validation_error_passes_through():
    with pytest.raises(ConfigError, match="margin must be positive"):
        parse(Outer, "Do it.", ["--data", "x", "--loss.margin", "-1"])


def test_what_is_on_or_off_may_stand_alone():
    from raymask.train.staged.segmenter_config import TrainSegmenterConfig

    words = ["--data", "d", "--storage", "s", "--name", "n"]
    assert not parse(TrainSegmenterConfig, "x", words).smoke
    assert parse(TrainSegmenterConfig, "x", ["--smoke", *words]).smoke
    assert parse(TrainSegmenterConfig, "x", [*words, "--smoke"]).smoke
    assert not parse(TrainSegmenterConfig, "x", [*words, "--smoke", "false"]).smoke


RUN = ("--data", "d", "--storage", "s", "--name", "n")


@pytest.mark.parametrize("words", [["--optimizer.momentum", "0.5"], ["--optimizer.momentum=0.5"]])
def test_the_american_spelling_of_an_option_is_taken(words):
    from raymask.train.engine.config import TrainConfig

    assert parse(TrainConfig, "x", [*RUN, *words]).optimiser.momentum == 0.5
    both = [*RUN, *words, "--optimiser.momentum", "0.6"]
    with pytest.raises(ConfigError, match=r"--optimizer\.momentum and --optimiser\.momentum are one option"):
        parse(TrainConfig, "x", both)
    other = parse(TrainConfig, "x", [*RUN, *words, "--optimiser.drop-every", "7"]).optimiser
    assert (other.momentum, other.drop_every) == (0.5, 7)


def test_the_american_spelling_is_taken_in_files(tmp_path):
    from raymask.train.engine.config import TrainConfig

    file = tmp_path / "c.yaml"
    file.write_text("optimizer: {momentum: 0.5, learning_rate: 1e-3}\n")
    words = [*RUN, "--config", str(file)]
    made = parse(TrainConfig, "x", [*words, "--optimiser.drop-every", "7"]).optimiser
    assert (made.momentum, made.learning_rate, made.drop_every) == (0.5, 1e-3, 7)
    assert parse(TrainConfig, "x", [*words, "--optimizer.momentum", "0.7"]).optimiser.momentum == 0.7
    file.write_text("optimizer: {momentum: 0.5}\noptimiser: {momentum: 0.6}\n")
    with pytest.raises(ConfigError, match="optimizer and optimiser are one setting; write it once"):
        parse(TrainConfig, "x", words)


def test_help_shows_the_british_spelling_alone(capsys):
    from raymask.train.engine.config import TrainConfig

    with pytest.raises(SystemExit):
        parse(TrainConfig, "x", ["--help"])
    text = capsys.readouterr().out
    assert "--optimiser.momentum" in text
    assert "optimizer" not in text
