"""How far a training is, and what the steps of an epoch add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from raymask.train.embedder.objective import BatchLoss
from raymask.train.engine.hooks import Metrics


class Clock(NamedTuple):
    """The step that comes next; epochs and the steps of each count from 0."""

    epoch: int = 0
    step: int = 0

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.step + 1}"

    def overall(self, steps: int) -> int:
        """The step over all epochs, of which each has `steps`."""
        return self.epoch * steps + self.step

    def next_step(self) -> Clock:
        """The step after it."""
        return self._replace(step=self.step + 1)

    def next_epoch(self) -> Clock:
        """The beginning of the next epoch."""
        return Clock(self.epoch + 1)


@dataclass
class Tally:
    """What an epoch's steps add up to; part of a checkpoint."""

    photos: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    """Of each loss its values, times what they are means of."""
    counts: dict[str, int] = field(default_factory=dict)
    """Of each loss what its values are means of."""
    totals: dict[str, int] = field(default_factory=dict)
    """Whatever else the losses count."""

    @classmethod
    def restored(cls, state: Mapping[str, Any], losses: Mapping[str, Any]) -> Tally:
        """From a checkpoint, of a training with these losses.

        Previous versions had a field for each of four losses, and for what quintuplets count; the oldest had fewer
        losses.
        """
        if "hinges" not in state:
            return cls(**state)
        others = ("pull", "contrast", "softmax")
        sums = {"quintuplets": state["hinges"], **{name: state.get(name, 0.0) for name in others}}
        counts = {"quintuplets": state["active"]}
        totals = {name: state[name] for name in ("valid", "active", "empty_steps")}
        return cls(
            photos=state["photos"],
            seconds=state["seconds"],
            sums={name: total for name, total in sums.items() if name in losses},
            counts={name: counts.get(name, state["photos"]) for name in sums if name in losses},
            totals=totals if "quintuplets" in losses else {},
        )

    def add(self, losses: BatchLoss, photos: int) -> None:
        """A step's."""
        self.photos += photos
        for name, lost in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + lost.value * lost.count
            self.counts[name] = self.counts.get(name, 0) + lost.count
            for key, number in lost.totals.items():
                self.totals[key] = self.totals.get(key, 0) + number

    def means(self, names: Mapping[str, str]) -> Metrics:
        """Each loss over the epoch so far; `names` says what the metric of each is called."""
        return {names[name]: total / max(1, self.counts[name]) for name, total in self.sums.items()}

    def sentence(self, names: Mapping[str, str], last: BatchLoss) -> str:
        """How it goes: means of the epoch so far, and what the losses say of the last step."""
        notes = {names[name]: f", {lost.note}" if lost.note else "" for name, lost in last.items()}
        return ", ".join(f"{name} {value:.4f}{notes[name]}" for name, value in self.means(names).items())
