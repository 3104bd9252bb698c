"""What an aligner's training is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from raymask.errors import ConfigError
from raymask.models.config import AlignerConfig
from raymask.train.config import RunConfig
from raymask.train.course_config import SingleStageConfig


@dataclass(frozen=True, kw_only=True)
class AlignConfig(SingleStageConfig):
    """All that decides what an aligner's training computes."""

    bare: float = 0.2
    """Share of the photos that wear no mask, 0 to under 1."""
    validation_photos: int = 400
    """Photos of the validation split that it is measured on, at most; 0: off."""
    model: AlignerConfig = field(default_factory=AlignerConfig)
    """The network."""


@dataclass(frozen=True, kw_only=True)
class TrainAlignerConfig(RunConfig, AlignConfig):
    """An aligner's training and where it runs."""

    smoke: bool = False
    """Learn from a few batches only, to see that everything works."""

    def __post_init__(self) -> None:
        AlignConfig.__post_init__(self)
        RunConfig.__post_init__(self)
        if self.batch < self.workers:
            raise ConfigError(f"batch must be at least workers ({self.workers}), not {self.batch}")

    def course(self) -> AlignConfig:
        """The part that the training itself needs."""
        return AlignConfig.part_of(self)

    def smoked(self) -> TrainAlignerConfig:
        """As it is, or cut short if it is only to see that it works."""
        if not self.smoke:
            return self
        batch = max(self.workers, min(self.batch, 8))
        return replace(self, steps=min(self.steps, 12), batch=batch, validation_photos=min(self.validation_photos, 16))


def align_config(settings: dict[str, Any]) -> AlignConfig:
    """An AlignConfig from its `asdict`."""
    return AlignConfig(**settings | {"model": AlignerConfig(**settings["model"]), "masks": tuple(settings["masks"])})
