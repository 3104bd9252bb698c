"""Keeps what the trials of a search come to, and says so while they run."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.tune import Callback

from raymask.cluster import own_error
from raymask.errors import ConfigError, TrainingError
from raymask.progress import Progress, duration
from raymask.storage import Folder
from raymask.train.engine.checkpoints import FOLDER
from raymask.train.on_ray.trainer import STOP
from raymask.tune.config import TuneConfig
from raymask.tune.trials import TRIALS, Trial, Trials, best_trial, percent, short_values


class TrialCallback(Callback):
    """What Tune calls on the driver: every change of a trial is kept at once, so that a kill loses nothing."""

    def __init__(self, config: TuneConfig, search: Folder, trials: Trials) -> None:
        self._config, self._search, self._trials = config, search, trials
        self._began = time.monotonic()
        self._epochs_before = sum(len(trial.epochs) for trial in trials)
        self.running: dict[int, float] = {}
        """Of the trials that run, by number: when they started, less the seconds that they ran for earlier."""
        self.stopping = False

    def stop(self) -> None:
        """Ask the running trials to leave a checkpoint and end. Raises DataError if they cannot be asked."""
        self.stopping = True
        for number in self.running:
            self._search.write(self._stop_file(number), b"")

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        mine = self._of(trial)
        if self.stopping:  # it was about to start
            self._search.write(self._stop_file(mine.number), b"")
        else:
            self._search.delete(self._stop_file(mine.number))
        self.running[mine.number] = time.monotonic() - mine.seconds
        self._say(mine, f"{'goes on' if mine.epochs else 'starts'}: {short_values(mine)}")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        before = self._of(trial)
        after = before.with_epoch(result, self._config.loss_metrics.values())
        if after is not before:
            after = self._keep(after)
            self._say(after, f"epoch {result['epoch']:.0f}/{self._config.epochs}, {self._score(after)}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        mine = self._of(trial)
        if mine.epochs and mine.epochs[-1]["epoch"] >= self._config.epochs:
            self._end(replace(mine, status="finished", note=""))
        elif mine.epochs and not self.stopping:
            self._end(replace(mine, status="stopped early", note=""))
        else:
            self._end(mine)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = own_error(Path(trial.error_file).read_text())  # the pickle beside it is not read
        hopeless = isinstance(error, ConfigError | TrainingError)  # else a new start may do better
        self._end(replace(self._of(trial), status="failed" if hopeless else "unfinished", note=str(error)))

    def line(self) -> str:
        """How far the search is."""
        parts = [f"tune: {len(self._trials.ended)}/{self._config.trials} trials of {self._epochs(self._config.epochs)}"]
        parts.append(self._time())
        running = [self._trials[number] for number in list(self.running)]  # this is another thread than Tune's
        if running:
            parts.append("running " + " ".join(f"{trial.name} (epoch {len(trial.epochs) + 1})" for trial in running))
        best = best_trial(list(self._trials), self._config.metric)
        if best is not None:
            parts.append(f"best {best.name}: {self._score(best)}")
        return ", ".join(parts)

    def _time(self) -> str:
        """The time left, once an epoch is done; trials that will be stopped early make it less."""
        elapsed = time.monotonic() - self._began
        trained = sum(len(trial.epochs) for trial in self._trials) - self._epochs_before
        if not trained:
            return f"{duration(elapsed)} so far"
        waiting = self._config.epochs * (self._config.trials - len(self._trials.ended))
        under_way = sum(len(trial.epochs) for trial in self._trials if trial.status == "unfinished")
        return f"{duration((waiting - under_way) * elapsed / trained)} left"

    @staticmethod
    def _epochs(count: int) -> str:
        return "1 epoch" if count == 1 else f"{count} epochs"

    def _end(self, trial: Trial) -> None:
        """Keep how a trial ended; its weights, which could fill the storage, go: best.yaml trains them again."""
        trial = self._keep(trial)
        self.running.pop(trial.number, None)
        if trial.status != "unfinished":
            self._search.delete_folder(f"{TRIALS}/{trial.name}/{FOLDER}")
        outcome = trial.note or (self._score(trial) if trial.epochs else "no epoch was done")
        self._say(trial, f"{trial.status} after {duration(trial.seconds)}: {outcome}")

    def _keep(self, trial: Trial) -> Trial:
        if trial.number in self.running:  # one whose process could not even start never was
            trial = replace(trial, seconds=round(time.monotonic() - self.running[trial.number], 1))
        self._trials.keep(trial)
        return trial

    def _of(self, trial: Any) -> Trial:
        return self._trials[trial.config["number"]]

    def _score(self, trial: Trial) -> str:
        return f"{self._config.metric} {percent(trial.score(self._config.metric))}"

    def _stop_file(self, number: int) -> str:
        return f"{TRIALS}/{self._trials[number].name}/{STOP}"

    @staticmethod
    def _say(trial: Trial, what: str) -> None:
        print(f"trial {trial.name} {what}", flush=True)


class SearchProgress(Progress):
    """The search's own line every few seconds."""

    def __init__(self, follow: TrialCallback) -> None:
        super().__init__("tune", total=0, unit="epochs", closing=False)
        self._follow = follow

    def line(self, *, final: bool = False) -> str:
        return self._follow.line()
