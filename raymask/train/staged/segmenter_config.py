"""What a segmenter's training is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from raymask.errors import ConfigError
from raymask.faces.masks.looks import TRAIN_LOOKS
from raymask.models.config import SegmenterConfig
from raymask.train.engine.config import RunConfig
from raymask.train.staged.config import SingleStageConfig


@dataclass(frozen=True, kw_only=True)
class SegmentConfig(SingleStageConfig):
    """All that decides what a segmenter's training computes."""

    masks: tuple[str, ...] = TRAIN_LOOKS
    """Masks to draw, as jobs/prepare.py takes them; most are given colours and prints that none of these has."""
    bare: float = 0.3
    """Share of the photos that wear no mask, 0 to under 1."""
    validation_photos: int = 200
    """Photos of the validation split that it is measured on, at most; 0: off."""
    model: SegmenterConfig = field(default_factory=SegmenterConfig)
    """The network."""


@dataclass(frozen=True, kw_only=True)
class TrainSegmenterConfig(RunConfig, SegmentConfig):
    """A segmenter's training and where it runs."""

    smoke: bool = False
    """Learn from a few batches only, to see that everything works."""

    def __post_init__(self) -> None:
        SegmentConfig.__post_init__(self)
        RunConfig.__post_init__(self)
        if self.batch < self.workers:
            raise ConfigError(f"batch must be at least workers ({self.workers}), not {self.batch}")

    def course(self) -> SegmentConfig:
        """The part that the training itself needs."""
        return SegmentConfig.part_of(self)

    def smoked(self) -> TrainSegmenterConfig:
        """As it is, or cut short if it is only to see that it works."""
        if not self.smoke:
            return self
        batch = max(self.workers, min(self.batch, 8))
        return replace(self, steps=min(self.steps, 12), batch=batch, validation_photos=min(self.validation_photos, 16))


def segment_config(settings: dict[str, Any]) -> SegmentConfig:
    """A SegmentConfig from its `asdict`."""
    return SegmentConfig(
        **settings | {"model": SegmenterConfig(**settings["model"]), "masks": tuple(settings["masks"])}
    )
