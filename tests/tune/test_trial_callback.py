"""What is kept and said of a search while it runs: the calls that Tune makes, one after the other; no cluster."""

import pickle
import re
from types import SimpleNamespace

import pytest
from ray.exceptions import RayTaskError

from raymask.errors import TrainingError
from raymask.storage import Folder
from raymask.train.on_ray.trainer import STOP
from raymask.tune.config import TuneConfig
from raymask.tune.trial_callback import TrialCallback
from raymask.tune.trials import Trials


@pytest.fixture
def search(tmp_path):
    return Folder(tmp_path / "search")


@pytest.fixture
def trials(search):
    trials = Trials(search)
    for margin in (0.25, 0.5, 0.75):
        trials.add({"loss.margin": margin})
    return trials


@pytest.fixture
def follow(search, trials):
    config = TuneConfig(data="faces", storage="runs", name="search", epochs=2, trials=4, search=("loss.margin=0.1..1",))
    return TrialCallback(config, search, trials)


def tunes(number: int, **attributes) -> SimpleNamespace:
    """A trial as Tune hands it over."""
    return SimpleNamespace(config={"number": number}, **attributes)


def report(follow: TrialCallback, number: int, epoch: int, score: float) -> None:
    result = {"epoch": float(epoch), "loss": 0.1, "val_masked": score, "pid": 7}
    follow.on_trial_result(0, [], tunes(number), result)


def fail(follow: TrialCallback, number: int, error: Exception, folder) -> None:
    file = folder / f"error-{number}.txt"
    file.write_text(f"Failure # 1 (occurred at 2026-11-24_07-00-00)\n{error}\n")
    follow.on_trial_error(0, [], tunes(number, error_file=str(file)))


def task_error(error: Exception) -> Exception:
    """An exception as Ray hands it on from another process."""
    text = f"Traceback:\n  line 1\nraymask.errors.{type(error).__name__}: {error}"
    return RayTaskError("run_trial", text, error).as_instanceof_cause()


def test_every_epoch_and_the_end_are_on_disk_at_once(follow, search, capsys):
    follow.on_trial_start(0, [], tunes(0))
    report(follow, 0, 1, 0.3)
    assert Trials(search)[0].score("val_masked") == 0.3
    report(follow, 0, 1, 0.3)  # as a trial does that goes on
    report(follow, 0, 2, 0.4)
    assert Trials(search)[0].status == "unfinished"
    follow.on_trial_complete(0, [], tunes(0))
    kept = Trials(search)[0]
    assert (kept.status, len(kept.epochs)) == ("finished", 2)
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "trial 000 starts: loss.margin 0.25",
        "trial 000 epoch 1/2, val_masked 30.0%",
        "trial 000 epoch 2/2, val_masked 40.0%",
    ]
    assert said[3].startswith("trial 000 finished after 0:0")
    assert said[3].endswith(": val_masked 40.0%")


def test_weights_of_ended_trials_are_deleted_and_those_of_others_stay(follow, search):
    for number in (0, 1):
        search.write(f"trials/00{number}/checkpoints/epoch-001-step-000000.pt", b"weights")
        follow.on_trial_start(0, [], tunes(number))
        report(follow, number, 1, 0.3)
    follow.on_trial_complete(0, [], tunes(0))
    assert Trials(search)[0].status == "stopped early"
    assert [name for name in search.names() if "checkpoints" in name] == [
        "trials/001/checkpoints/epoch-001-step-000000.pt"
    ]


def test_settings_at_fault_are_not_tried_again_and_a_failing_cluster_is(follow, search, tmp_path, capsys):
    for number in (0, 1):
        follow.on_trial_start(0, [], tunes(number))
    fail(follow, 0, task_error(TrainingError("the loss became nan")), tmp_path)
    fail(follow, 1, RuntimeError("node died"), tmp_path)
    fail(follow, 2, RuntimeError("no such actor"), tmp_path)
    hopeless, unlucky, never_started = Trials(search)
    assert (hopeless.status, hopeless.note) == ("failed", "the loss became nan")
    assert (unlucky.status, unlucky.note) == (
        "unfinished",
        "the cluster failed (node died); the same command run again continues",
    )
    assert never_started.status == "unfinished"
    assert "trial 000 failed after 0:00: the loss became nan" in capsys.readouterr().out


def test_told_to_stop_it_asks_the_trials_that_run_and_those_about_to(follow, search):
    follow.on_trial_start(0, [], tunes(0))
    report(follow, 0, 1, 0.3)
    follow.stop()
    assert search.exists(f"trials/000/{STOP}")
    assert not search.exists(f"trials/001/{STOP}")
    follow.on_trial_start(0, [], tunes(1))
    assert search.exists(f"trials/001/{STOP}")
    follow.on_trial_complete(0, [], tunes(0))
    assert Trials(search)[0].status == "unfinished"


def test_an_old_request_to_stop_does_not_stop_the_next_start(follow, search):
    search.write(f"trials/000/{STOP}", b"")
    follow.on_trial_start(0, [], tunes(0))
    assert not search.exists(f"trials/000/{STOP}")


def test_the_line_says_how_far_it_is_what_runs_and_the_best(follow):
    assert follow.line() == "tune: 0/4 trials of 2 epochs, 0:00 so far"
    for number in (0, 1):
        follow.on_trial_start(0, [], tunes(number))
    report(follow, 0, 1, 0.3)
    report(follow, 0, 2, 0.4)
    report(follow, 1, 1, 0.2)
    follow.on_trial_complete(0, [], tunes(0))
    said = r"tune: 1/4 trials of 2 epochs, \d+:\d\d left, running 001 \(epoch 2\), best 000: val_masked 40\.0%"
    assert re.fullmatch(said, follow.line())


def test_tune_can_pickle_it(follow):
    assert pickle.loads(pickle.dumps(follow)).line().startswith("tune: 0/4 trials")
