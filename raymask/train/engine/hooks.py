"""What a training loop reports to and is told by; the same for every kind of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raymask.train.engine.checkpoints import State

if TYPE_CHECKING:
    from raymask.train.engine.run_log import RunLog

Metrics = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class LoopHooks:
    """What a loop reports to; everything is off by default."""

    report: Callable[[Metrics], None] = lambda metrics: None
    """Called on every rank after each epoch or stage, when it has been saved."""
    save: Callable[[State], object] = lambda state: None
    """Keeps a checkpoint, or raises DataError; called on rank 0 after each epoch or stage, every `save_every` steps,
    and before stopping."""
    save_every: int = 200
    """Steps between checkpoints."""
    stop: Callable[[], bool] = lambda: False
    """Whether to stop after this step; rank 0 is asked, all ranks stop together."""
    run_log: RunLog | None = None
    """Takes the curves; rank 0 has one."""
