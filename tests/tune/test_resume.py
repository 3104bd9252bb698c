"""A search told to end, and one killed, as real processes: the same command goes on where it was."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from raymask.storage import Folder
from raymask.tune.trials import Trial, Trials

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("ray_cluster")]

JOB = Path(__file__).parent.parent.parent / "jobs" / "tune.py"
EPOCHS = 12
"""Enough that some are left however many go by before a signal is heard."""


class Start:
    """One start of the job, ended by a signal as soon as a line of its output contains some words."""

    def __init__(self, options: list[str], *, words: str = "", ended_by: int = 0) -> None:
        import ray

        self.lines: list[str] = []
        process = subprocess.Popen(
            [sys.executable, str(JOB), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address, "PYTHONUNBUFFERED": "1"},
        )
        watchdog = threading.Timer(300, process.kill)
        watchdog.start()
        with process:
            for line in process.stdout:
                self.lines.append(line.strip())
                if ended_by and words in line:
                    process.send_signal(ended_by)
                    ended_by = 0
        watchdog.cancel()
        self.status = process.returncode
        self.output = "\n".join(self.lines)


FINISHED = Trial(
    number=0,
    values={"loss.margin": 0.4, "model.dropout": 0.1},
    status="finished",
    epochs=tuple({"epoch": epoch + 1.0, "val_masked": 0.01} for epoch in range(EPOCHS)),
)


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    return Folder(tmp_path_factory.mktemp("searches") / "killed")


@pytest.fixture(scope="module")
def starts(prepared, search):
    """A search with one trial done: told to end in the second, then killed in it, then let run to the end."""
    trials = Trials(search)
    trials.add(FINISHED.values)
    trials.keep(FINISHED)
    storage, _, name = search.uri.rpartition("/")
    options = f"--data {prepared} --storage {storage} --name {name} --trials 2 --epochs {EPOCHS} --watch.every 1"
    options += " --early-stopping false --model.backbone resnet18 --model.input-size 48 --model.embedding-size 32"
    options += " --batch.people 4 --loss.mining all --optimiser.drop-every 0"
    return [
        Start(options.split(), words=f"trial 001 epoch 2/{EPOCHS}", ended_by=signal.SIGTERM),
        Start(options.split(), words="trial 001 epoch ", ended_by=signal.SIGKILL),
        Start(options.split()),
    ]


def first_steps(search: Folder, trial: str) -> list[int]:
    """The first step that each start of a trial's run has left a point of."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    files = sorted(Path(search / f"trials/{trial}/tensorboard").iterdir())
    return [min(event.step for event in EventFileLoader(str(file)).Load() if event.summary.value) for file in files]


def test_told_to_end_it_waits_for_the_checkpoint(starts):
    assert starts[0].status == 143, starts[0].output
    assert "told to stop, waiting for the trials' checkpoints" in starts[0].output
    assert starts[0].lines[-1] == "stopped, the trials that ran have left checkpoints; the same command continues"
    assert "trial 001 goes on" in starts[1].output


def test_killed_it_goes_on(starts):
    assert starts[1].status == -signal.SIGKILL, starts[1].output
    assert starts[2].status == 0, starts[2].output
    assert "trial 001 goes on" in starts[2].output
    assert "best is trial 001" in starts[2].output


def test_a_finished_trial_is_not_run_again(starts, search):
    assert Trials(search)[0] == FINISHED
    assert not [line for start in starts for line in start.lines if line.startswith("trial 000 ")]
    assert not [name for name in search.names() if name.startswith("trials/000/tensorboard")]


def test_a_trial_has_every_epoch_once_and_went_on_at_its_checkpoints(starts, search):
    trial = Trials(search)[1]
    assert (trial.status, len(Trials(search))) == ("finished", 2)
    assert [metrics["epoch"] for metrics in trial.epochs] == list(range(1, EPOCHS + 1))
    first, second, third = first_steps(search, trial.name)
    assert first == 0
    assert 2 <= second < third, "it began anew"


def test_it_speaks_every_few_seconds(starts):
    assert sum(line.startswith("tune: ") for line in starts[2].lines) >= 2
    assert any("running 001 (epoch " in line for line in starts[2].lines)
    assert "Traceback" not in "".join(start.output for start in starts)
