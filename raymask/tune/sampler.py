"""Optuna's sampler as Ray Tune asks it, and ASHA, both with what earlier starts of a search have seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from raymask.tune.config import TuneConfig
from raymask.tune.space import Choice, Dimension
from raymask.tune.trials import Trials

REDUCTION = 3
"""ASHA compares trials after 1, 3, 9, ... epochs and lets the best third go on."""


class Sampler(OptunaSearch):
    """Suggests the number of a trial whose values are kept: first those that broke off, then new ones."""

    def __init__(self, config: TuneConfig, trials: Trials) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._trials = trials
        self._again = [trial for trial in trials if trial.status == "unfinished"]
        self.stopping = False
        super().__init__(
            {dimension.name: _distribution(dimension) for dimension in config.space()},
            metric=config.metric,
            mode="max",
            points_to_evaluate=[dict(trial.values) for trial in self._again],
            # With the same seed a later start would draw the first start's values again.
            sampler=optuna.samplers.TPESampler(seed=config.seed + 1_000_003 * len(trials)),
        )
        for trial in trials.ended:
            score = trial.score(config.metric)
            self.add_evaluated_point(dict(trial.values), score, error=trial.status == "failed" or score is None)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.stopping:
            return Searcher.FINISHED
        values = super().suggest(trial_id)  # the enqueued come first, in their order
        trial = self._again.pop(0) if self._again else self._trials.add(values)
        return {"number": trial.number}

    def save(self, checkpoint_path: str) -> None:
        """Tune wants a file; `trials` is what a search goes on from."""
        open(checkpoint_path, "wb").close()


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    if isinstance(dimension.low, int) and isinstance(dimension.high, int):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def asha(config: TuneConfig, trials: Trials) -> ASHAScheduler:
    """ASHA over epochs, which compares with the trials of earlier starts too."""
    schedule = ASHAScheduler(
        time_attr="epoch",
        metric=config.metric,
        mode="max",
        max_t=config.epochs,
        reduction_factor=REDUCTION,
        stop_last_trials=False,  # they end by themselves
    )
    for trial in trials.ended:
        earlier = SimpleNamespace(trial_id=f"earlier-{trial.name}")
        schedule.on_trial_add(None, earlier)
        for metrics in trial.epochs:
            schedule.on_trial_result(None, earlier, metrics)
    return schedule
