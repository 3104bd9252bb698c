"""The table, the YAML and the order of trials; no Ray."""

import json

import pytest

from raymask.cli import parse
from raymask.errors import TrainingError
from raymask.storage import Folder
from raymask.train.engine.config import TrainConfig
from raymask.tune.config import TuneConfig
from raymask.tune.results import best_yaml, text_table, write_results
from raymask.tune.trials import Trial, Trials, best_trial, ranked, read_trial


def epochs(*scores: float) -> tuple[dict[str, float], ...]:
    return tuple({"epoch": place + 1.0, "loss": 0.1, "val_masked": score} for place, score in enumerate(scores))


def trial(number: int, status: str, *scores: float, note: str = "", **values) -> Trial:
    given = {"loss.margin": 0.123456, "chunk": None} | values
    return Trial(number=number, values=given, status=status, epochs=epochs(*scores), seconds=61.0, note=note)


TRIALS = (
    trial(0, "finished", 0.2, 0.5),
    trial(1, "stopped early", 0.9),
    trial(2, "failed", 0.95, note="the loss became nan"),
    trial(3, "finished", 0.3, 0.7, chunk=16, **{"loss.margin": 0.75}),
    trial(4, "unfinished"),
)


@pytest.fixture
def config(tmp_path):
    return TuneConfig(
        data=str(tmp_path / "faces"),
        storage=str(tmp_path),
        name="search",
        epochs=2,
        workers=2,
        search=("loss.margin=0.05..1", "chunk=null|16"),
    )


def kept(folder: Folder, made) -> Trials:
    trials = Trials(folder)
    for one in made:
        trials.add(dict(one.values))
        trials.keep(one)
    return trials


def test_a_score_after_fewer_epochs_or_of_a_failed_trial_is_not_the_best():
    assert [one.number for one in ranked(TRIALS, "val_masked")] == [3, 0, 1, 4, 2]
    assert best_trial(TRIALS, "val_masked").number == 3
    assert best_trial(TRIALS[1:3], "val_masked").number == 1
    assert best_trial(TRIALS[2:3], "val_masked") is None


def test_an_epoch_counts_once_and_only_forwards():
    one = trial(0, "unfinished", 0.2)
    assert one.with_epoch({"epoch": 1.0, "val_masked": 0.9}) is one
    two = one.with_epoch({"epoch": 2, "val_masked": 0.4, "pid": 7})
    assert two.epochs[1] == {"epoch": 2.0, "val_masked": 0.4}
    assert two.score("val_masked") == 0.4


def test_trials_are_read_back_as_they_were_kept(tmp_path):
    folder = Folder(tmp_path)
    kept(folder, TRIALS)
    again = Trials(folder)
    assert tuple(again) == TRIALS
    assert [one.number for one in again.ended] == [0, 1, 2, 3]
    assert again.add({"loss.margin": 0.5}).number == 5
    assert read_trial(folder, 5).status == "unfinished"


def test_the_table_has_the_best_first_and_says_why_one_failed(config):
    lines = text_table(config, list(TRIALS)).splitlines()
    assert lines[0].split() == ["trial", "loss.margin", "chunk", "val_masked", "epochs", "took", "status"]
    assert lines[1].split() == ["003", "0.75", "16", "70.0%", "2", "1:01", "finished"]
    assert lines[2].split() == ["000", "0.1235", "null", "50.0%", "2", "1:01", "finished"]
    assert lines[6:] == ["trial 002: the loss became nan", "the same command goes on with what is unfinished"]


def test_the_yaml_is_a_configuration_of_the_training_job(config, tmp_path):
    file = tmp_path / "best.yaml"
    file.write_text(best_yaml(config, TRIALS[3]))
    made = parse(TrainConfig, "Train.", ["--config", str(file), "--storage", "there", "--name", "best"])
    assert (made.loss.margin, made.chunk, made.epochs, made.workers) == (0.75, 16, 2, 2)
    assert made == TrainConfig(
        **{
            **{name: getattr(made, name) for name in ("loss", "chunk")},
            "data": config.data,
            "storage": "there",
            "name": "best",
            "epochs": 2,
            "workers": 2,
        }
    )
    assert "70.0% after epoch 2: trial 003 of the search search" in file.read_text()


def test_everything_is_left_in_the_folder(config, tmp_path):
    folder = Folder(tmp_path / "search")
    result = write_results(config, folder, kept(folder, TRIALS))
    table = json.loads(folder.read("table.json"))
    assert result.best.number == table["best"] == 3
    assert [row["number"] for row in table["trials"]] == [3, 0, 1, 4, 2]
    assert table["trials"][0]["epochs"][1]["val_masked"] == table["trials"][0]["score"] == 0.7
    assert folder.exists("best.yaml")
    assert folder.read("surface.png").startswith(b"\x89PNG")


def test_a_search_in_which_all_failed_says_so_and_keeps_its_table(config, tmp_path):
    folder = Folder(tmp_path / "search")
    trials = kept(folder, [trial(0, "failed", note="the loss became nan")])
    with pytest.raises(TrainingError, match=r"no trial of .* gave a score; .*the loss became nan"):
        write_results(config, folder, trials)
    assert json.loads(folder.read("table.json"))["trials"][0]["note"] == "the loss became nan"
