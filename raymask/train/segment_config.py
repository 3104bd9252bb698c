"""What a segmenter's training is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from raymask.errors import ConfigError
from raymask.faces.masks.looks import TRAIN_LOOKS, parse_look
from raymask.models.config import SegmenterConfig
from raymask.train.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class SegmentConfig:
    """All that decides what a segmenter's training computes."""

    data: str
    """Folder (or URI) made by jobs/prepare.py; every worker must reach it."""
    steps: int = 3000
    """Batches to learn from."""
    batch: int = 32
    """Photos in a batch, over all workers."""
    learning_rate: float = 2e-3
    """Of AdamW at its height; it rises over the first twentieth of the steps and falls to 0 along a cosine."""
    seed: int = 0
    """Decides initial weights, the order of photos, and every mask."""
    masks: tuple[str, ...] = TRAIN_LOOKS
    """Masks to draw, as kind or kind:texture; half of them are given colours and prints that none of these has."""
    bare: float = 0.3
    """Share of the photos that wear no mask, 0 to 1."""
    validation_photos: int = 200
    """Photos of the validation split that it is measured on, at most; 0: off."""
    measure_every: int = 500
    """Steps between two measurements and pictures."""
    model: SegmenterConfig = field(default_factory=SegmenterConfig)
    """The network."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "measure_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.seed < 0 or self.validation_photos < 0:
            raise ConfigError("seed and validation_photos must be 0 or more")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be positive, not {self.learning_rate}")
        if not 0 <= self.bare < 1:
            raise ConfigError(f"bare must be at least 0 and under 1, not {self.bare}")
        for look in self.masks:
            parse_look(look)
        if not self.masks:
            raise ConfigError("masks must name at least one mask")


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
        return SegmentConfig(**{entry.name: getattr(self, entry.name) for entry in fields(SegmentConfig)})

    def smoked(self) -> TrainSegmenterConfig:
        """As it is, or cut short if it is only to see that it works."""
        if not self.smoke:
            return self
        batch = max(self.workers, min(self.batch, 8))
        return replace(self, steps=min(self.steps, 12), batch=batch, validation_photos=16)


def segment_config(settings: dict[str, Any]) -> SegmentConfig:
    """A SegmentConfig from its `asdict`."""
    return SegmentConfig(
        **settings | {"model": SegmenterConfig(**settings["model"]), "masks": tuple(settings["masks"])}
    )
