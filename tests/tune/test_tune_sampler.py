"""What Optuna and ASHA know when a search goes on; no cluster."""

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from raymask.storage import Folder
from raymask.tune.config import TuneConfig
from raymask.tune.sampler import Sampler, asha
from raymask.tune.trials import Trials

SEARCH = ("loss.margin=0.05..1", "batch.people=4..40", "optimiser.learning_rate=1e-4..0.1:log", "flip=true|false")


@pytest.fixture
def config(tmp_path):
    return TuneConfig(data="faces", storage=str(tmp_path), name="search", epochs=9, search=SEARCH)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "search")


def end(trials: Trials, number: int, *scores: float, status: str = "finished") -> None:
    from dataclasses import replace

    epochs = tuple({"epoch": place + 1.0, "val_masked": score} for place, score in enumerate(scores))
    trials.keep(replace(trials[number], status=status, epochs=epochs))


def test_values_lie_in_their_ranges_and_are_kept_before_a_trial_starts(config, folder):
    sampler = Sampler(config, Trials(folder))
    assert [sampler.suggest(f"t{number}") for number in range(8)] == [{"number": number} for number in range(8)]
    for trial in Trials(folder):
        values = trial.values
        assert 0.05 <= values["loss.margin"] <= 1
        assert type(values["batch.people"]) is int
        assert 1e-4 <= values["optimiser.learning_rate"] <= 0.1
        assert type(values["flip"]) is bool
    rates = [trial.values["optimiser.learning_rate"] for trial in Trials(folder)]
    assert sum(rate < 3e-3 for rate in rates) >= 2, "a logarithmic range has half of its values below its middle"


def test_trials_that_broke_off_come_first_and_new_ones_differ_from_the_old(config, folder):
    first = Trials(folder)
    sampler = Sampler(config, first)
    for number in range(4):
        sampler.suggest(f"t{number}")
    end(first, 0, *[0.5] * 9)
    end(first, 2, status="failed")
    again = Trials(folder)
    sampler = Sampler(config, again)
    assert [sampler.suggest(f"u{number}")["number"] for number in range(4)] == [1, 3, 4, 5]
    assert [trial.values for trial in again][:4] == [trial.values for trial in first]
    assert len({trial.values["loss.margin"] for trial in again}) == 6


def test_optuna_learns_from_earlier_starts(config, folder):
    """Where only small margins were good, the next ones asked for are mostly small."""
    trials = Trials(folder)
    sampler = Sampler(config, trials)
    for number in range(24):
        sampler.suggest(f"t{number}")
        end(trials, number, 1 - trials[number].values["loss.margin"])
    after = Sampler(config, trials)
    margins = [trials[after.suggest(f"u{number}")["number"]].values["loss.margin"] for number in range(12)]
    assert sum(margin < 0.4 for margin in margins) >= 8


def test_no_trial_begins_once_the_search_is_told_to_stop(config, folder):
    trials = Trials(folder)
    sampler = Sampler(config, trials)
    sampler.stopping = True
    assert sampler.suggest("t0") == Searcher.FINISHED
    assert not len(trials)


def test_asha_compares_with_trials_of_earlier_starts(config, folder):
    trials = Trials(folder)
    sampler = Sampler(config, trials)
    for number, score in enumerate((0.5, 0.6, 0.7)):
        sampler.suggest(f"t{number}")
        end(trials, number, *[score] * 9)
    schedule = asha(config, trials)
    for name, score, decision in (("good", 0.8, TrialScheduler.CONTINUE), ("bad", 0.4, TrialScheduler.STOP)):
        trial = SimpleNamespace(trial_id=name)
        schedule.on_trial_add(None, trial)
        assert schedule.on_trial_result(None, trial, {"epoch": 1.0, "val_masked": score}) == decision
