"""Whether a training still learns: a loss that is no number, and embeddings that all become one point."""

from __future__ import annotations

import math
from collections.abc import Mapping

from raymask.errors import TrainingError
from raymask.train.engine.config import OptimiserConfig

PATIENCE = 20
"""Collapsed steps in a row before the training is stopped."""

NEAR = 0.05
"""What counts as collapsed, as a share of the margin: the embeddings' spread, and how far the loss is from it."""


class Health:
    """Judges each step of a training."""

    def __init__(self, margin: float, optimiser: OptimiserConfig) -> None:
        """`margin` of the quintuplet loss, positive; `optimiser`: what can be advised depends on its settings."""
        self._margin, self._optimiser = margin, optimiser
        self._collapsed_steps = 0
        self._spread = math.nan

    @property
    def good(self) -> bool:
        """Whether the weights are worth keeping."""
        return self._collapsed_steps == 0

    def judge(self, where: str, losses: Mapping[str, float], *, active: int, spread: float) -> None:
        """Take in one step.

        Where all faces have become one point every distance is 0, so that each quintuplet's hinge is the margin.

        Args:
            where: the step, for the message.
            losses: those that are on, by name; of `quintuplets` the mean hinge over the batch's active ones.
            active: their number.
            spread: mean squared distance between two embeddings of the batch, 0 to 4.

        Raises:
            TrainingError: a loss is no number, or the embeddings have been collapsed for PATIENCE steps.
        """
        for name, value in losses.items():
            if not math.isfinite(value):
                raise self.runaway(f"the loss {name} became {value} in {where}")
        if not math.isfinite(spread):
            raise self.runaway(f"the embeddings are no numbers any more in {where}")
        at_margin = abs(losses.get("quintuplets", math.inf) - self._margin) < NEAR * self._margin
        collapsed = active > 0 and at_margin and spread < NEAR * self._margin
        self._collapsed_steps = self._collapsed_steps + 1 if collapsed else 0
        self._spread = spread
        if self._collapsed_steps >= PATIENCE:
            self.end(where)

    def end(self, where: str) -> None:
        """Take in that the training ends here. Raises TrainingError if its embeddings are collapsed."""
        if not self.good:
            raise TrainingError(
                f"the embeddings have collapsed by {where}: two faces are {self._spread:.2g} apart on average "
                f"(squared) and the loss sits at the margin of {self._margin:g}; train under another --name with a "
                f"lower --optimiser.learning-rate, or with --loss.mining semihard or all before the hardest"
            )

    def runaway(self, found: str) -> TrainingError:
        """The error of this training when its numbers have become too large."""
        advice = "train under another --name with a lower --optimiser.learning-rate"
        if self._optimiser.schedule != "cycle":  # which begins low anyway
            advice += " or more --optimiser.warmup-steps"
        return runaway(found, advice)


def runaway(found: str, advice: str) -> TrainingError:
    """The error of a training whose numbers have become too large."""
    return TrainingError(f"{found}: the weights have run away; {advice}")
