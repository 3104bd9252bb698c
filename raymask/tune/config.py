"""What a search is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from raymask.errors import ConfigError, check_choice
from raymask.train.engine.config import TrainConfig, part_of
from raymask.tune.space import Dimension, parse_space

Metric = Literal["val_masked", "val_bare"]


@dataclass(frozen=True, kw_only=True)
class TuneConfig(TrainConfig):
    """A search: how each trial trains (all options of jobs/train.py), and what differs between trials.

    `seed` also decides which values the trials try, and `name` is the search's.
    """

    search: tuple[str, ...] = ("loss.margin=0.05..1", "model.dropout=0..0.8")
    """Options of a training to search over, each as option=low..high, option=low..high:log or option=a|b|c."""
    trials: int = 12
    """Runs in all; started again with more, a search goes on."""
    metric: Metric = "val_masked"
    """What makes a trial good: validation rank-1 of masked or of bare photos, after its last epoch."""
    early_stopping: bool = True
    """Stop a trial (ASHA) that after 1, 3, 9, ... epochs is not in the best third so far; off: equal budgets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("metric", self.metric, get_args(Metric))
        if self.trials < 1:
            raise ConfigError(f"trials must be 1 or more, not {self.trials}")
        if self.validation_photos < 2:
            raise ConfigError("validation_photos must be 2 or more, for trials are compared by validation")
        self.space()

    def space(self) -> tuple[Dimension, ...]:
        """What the search varies."""
        return parse_space(self.search, self.loop())

    def training(self, **changes: Any) -> TrainConfig:
        """A trial's run before its values are set."""
        return replace(part_of(TrainConfig, self), **changes)
