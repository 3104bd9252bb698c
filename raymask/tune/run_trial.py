"""One trial, in a process of Ray Tune's: a Ray Train run whose epochs are passed on to the search."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from raymask.data.storage import Folder
from raymask.errors import TrainingError
from raymask.train.checkpoints import Checkpoints
from raymask.train.config import TrainConfig
from raymask.train.ray_train import make_trainer
from raymask.tune.space import with_values
from raymask.tune.trials import Trial


class EpochReports(TuneReportCallback):
    """Passes epochs on to the search, whose schedule counts them, and nothing else that a run may report."""

    def __init__(self, metric: str) -> None:
        super().__init__()
        self._metric = metric

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        if self._metric in metrics[0]:
            super().after_report(run_context, metrics, checkpoint)


def run_trial(config: dict[str, Any], *, training: TrainConfig, metric: str) -> None:
    """Train with the trial's values, or go on where its run broke off; what it reported before is reported again.

    Args:
        config: the trial's `name` and `values`, and the `epochs` that an earlier start has seen of it.
        training: what all trials have in common; the trial's files lie in its storage.
        metric: what each epoch is judged by.

    Raises:
        ConfigError, TrainingError: these values cannot be trained with, however often it is tried.
    """
    run = with_values(training, config["values"])
    trial = Trial(number=int(config["name"]), values=config["values"], epochs=tuple(config["epochs"]))
    newest = Checkpoints(Folder(f"{run.storage}/{trial.name}")).newest()
    if newest is not None and newest[1]["metrics"]:  # its last epoch may have been told to nobody
        trial = trial.with_epoch(newest[1]["metrics"])
    for metrics in trial.epochs:
        tune.report(metrics)
    if trial.epochs and trial.epochs[-1]["epoch"] >= run.epochs:
        return
    end = make_trainer(named(run, trial), callbacks=[EpochReports(metric)]).fit().return_value
    if "failed" in end:
        raise TrainingError(end["failed"])
