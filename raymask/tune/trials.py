"""The trials of a search and their files, from which a search goes on after any kind of end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from raymask.storage import Folder
from raymask.tune.space import Value

Status = Literal["unfinished", "finished", "stopped early", "failed"]
TRIALS = "trials"
"""Folder of a search; a trial's training run lies in TRIALS/007."""

KEPT = ("epoch", "loss", "val_bare", "val_masked", "valid", "active", "photos_per_second")
"""What a trial keeps of an epoch's metrics, beside its losses."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training run of a search."""

    number: int
    """From 0, in the order of their start."""
    values: dict[str, Value]
    """What it was given for the searched fields."""
    status: Status = "unfinished"
    epochs: tuple[dict[str, float], ...] = ()
    """Metrics of each epoch, in order."""
    seconds: float = 0.0
    """That it took, its starts included."""
    note: str = ""
    """Why it failed, or broke off."""

    @property
    def name(self) -> str:
        """Of its training run."""
        return f"{self.number:03}"

    def score(self, metric: str) -> float | None:
        """The metric after its last epoch; None if it never got there."""
        return self.epochs[-1][metric] if self.epochs else None

    def with_epoch(self, metrics: dict[str, Any], losses: Iterable[str] = ()) -> Trial:
        """With the metrics of an epoch, those of `losses` too; of one that it has already, nothing changes."""
        if self.epochs and metrics["epoch"] <= self.epochs[-1]["epoch"]:
            return self
        names = dict.fromkeys((*KEPT, *losses))
        kept = {name: float(metrics[name]) for name in names if name in metrics}
        return replace(self, epochs=(*self.epochs, kept))


class Trials:
    """All trials of a search, each in a file of its own that appears whole or not at all.

    Tune's own record of a search would not do: `Tuner.restore` reads files that are written in place every ten
    seconds, begins anew without a word where one is damaged, forgets what ASHA has seen, and keeps the first start's
    number of concurrent trials.
    """

    def __init__(self, search: Folder) -> None:
        self._search = search
        self._trials: list[Trial] = []
        while search.exists(_file(len(self._trials))):
            self._trials.append(read_trial(search, len(self._trials)))

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    def __iter__(self) -> Iterator[Trial]:
        return iter(tuple(self._trials))

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def ended(self) -> list[Trial]:
        """Those that are not run again."""
        return [trial for trial in self._trials if trial.status != "unfinished"]

    def add(self, values: dict[str, Value]) -> Trial:
        """A new trial."""
        trial = Trial(number=len(self._trials), values=values)
        self._trials.append(trial)
        self.keep(trial)
        return trial

    def keep(self, trial: Trial) -> None:
        """What a trial has come to. Raises DataError if it cannot be written."""
        self._trials[trial.number] = trial
        self._search.write(_file(trial.number), (json.dumps(asdict(trial), indent=1) + "\n").encode())


def read_trial(search: Folder, number: int) -> Trial:
    """A trial as it was last kept. Raises UnreadableError if there is none of that number."""
    record = json.loads(search.read(_file(number)))
    return Trial(**record | {"epochs": tuple(record["epochs"])})


def _file(number: int) -> str:
    return f"{TRIALS}/{number:03}/trial.json"


def ranked(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """Best first: trials that ran to their end, then those stopped early, then the others.

    Scores after fewer epochs are not comparable; they come after those of all epochs even where they are higher.
    """
    order: list[Status] = ["finished", "stopped early", "unfinished", "failed"]
    return sorted(trials, key=lambda trial: (order.index(trial.status), -(trial.score(metric) or 0), trial.number))


def best_trial(trials: Sequence[Trial], metric: str) -> Trial | None:
    """The first of the ranked that has a score and did not fail."""
    scored = [trial for trial in trials if trial.status != "failed" and trial.score(metric) is not None]
    return ranked(scored, metric)[0] if scored else None


def short(value: Value) -> str:
    """A value as a person reads it: four digits, and words as YAML has them."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def short_values(trial: Trial) -> str:
    """All values of a trial in a line."""
    return ", ".join(f"{name} {short(value)}" for name, value in trial.values.items())


def percent(score: float | None) -> str:
    """A score between 0 and 1 in percent; a dash where there is none."""
    return "-" if score is None else f"{100 * score:.1f}%"
