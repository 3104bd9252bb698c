"""One trial, in a process of Ray Tune's: a Ray Train run whose epochs are passed on to the search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from raymask.storage import Folder
from raymask.train.engine.checkpoints import Checkpoints
from raymask.train.engine.config import TrainConfig
from raymask.train.on_ray.tasks import task_of
from raymask.train.on_ray.trainer import make_trainer, raise_failure
from raymask.tune.space import with_values
from raymask.tune.trials import TRIALS, read_trial


class EpochReports(TuneReportCallback):
    """Passes epochs on to the search, whose schedule counts them, and nothing else that a run may report."""

    def __init__(self, metric: str) -> None:
        super().__init__()
        self._metric = metric

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        if self._metric in metrics[0]:
            super().after_report(run_context, metrics, checkpoint)


def run_trial(task: dict[str, Any], *, training: TrainConfig, metric: str) -> None:
    """Train a trial, or go on where its run broke off; what it reported earlier is reported again.

    Args:
        task: the `number` of the trial.
        training: the search as a training run, which the trial differs from in its values and its folder.
        metric: what each epoch is judged by.

    Raises:
        TrainingError: its values cannot be trained with, however often it is tried.
        DataError: it could not be kept; a new start may do better.
    """
    search = Folder(f"{training.storage}/{training.name}")
    trial = read_trial(search, task["number"])
    config = replace(with_values(training, trial.values), storage=search / TRIALS, name=trial.name)
    newest = Checkpoints(Folder(f"{config.storage}/{config.name}")).newest()
    if newest is not None and newest[1]["metrics"]:  # the search may have ended before it heard of the last epoch
        trial = trial.with_epoch(newest[1]["metrics"], config.loss_metrics.values())
    for metrics in trial.epochs:
        tune.report(metrics)
    if len(trial.epochs) and trial.epochs[-1]["epoch"] >= config.epochs:
        return
    end = make_trainer(config, task_of(config), callbacks=[EpochReports(metric)]).fit().return_value
    raise_failure(end, Folder(f"{config.storage}/{config.name}"))
