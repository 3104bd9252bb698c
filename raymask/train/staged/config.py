"""What every training on masks drawn afresh is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, get_args

from raymask.data.reading.joined import Data, folders_of
from raymask.errors import ConfigError, check_choice
from raymask.faces.masks.looks import TRAIN_LOOKS, check_looks
from raymask.train.engine.config import Precision, RunConfig, part_of


@dataclass(frozen=True, kw_only=True)
class CourseConfig(ABC):
    """Settings that segmenter, aligner and inpainter share."""

    data: Data
    """Folder (or URI) made by jobs/prepare.py, or several with commas between them; every worker must reach them.
    People of different folders are different people, even under equal names."""
    start: str | None = None
    """Bundle of an earlier training whose weights this one begins with; null: random ones."""
    batch: int
    """Photos in a batch, over all workers."""
    learning_rate: float
    """Of the optimiser, at its height."""
    seed: int = 0
    """Decides initial weights, the order of photos, and every mask."""
    masks: tuple[str, ...] = TRAIN_LOOKS
    """Masks to draw, as jobs/prepare.py takes them."""
    textures: str | None = None
    """Folder (or URI) with your own pictures (JPEG, PNG, WebP), which masks of the look cloth:own are made of; every
    worker must reach it. null: off."""
    precision: Precision = "float32"
    """Arithmetic of the convolutions that learn; bfloat16 is faster on processors that have it. Losses and measurements
    are always float32."""
    validation_photos: int
    """Photos of the validation split that it is measured on, at most; 0: off."""
    measure_every: int = 500
    """Steps between two measurements and pictures."""
    model: Any
    """What the network is made of."""

    def __post_init__(self) -> None:
        if self.data:  # an inpainter that is made of published weights needs none
            folders_of(self.data)
        check_choice("precision", self.precision, get_args(Precision))
        for name in ("batch", "measure_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.seed < 0 or self.validation_photos < 0:
            raise ConfigError("seed and validation_photos must be 0 or more")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be positive, not {self.learning_rate}")
        check_looks(self.masks, self.textures)

    @abstractmethod
    def short(self, workers: int) -> dict[str, Any]:
        """Settings of a training by so many workers that only shows whether everything works."""


@dataclass(frozen=True, kw_only=True)
class SingleStageConfig(CourseConfig):
    """Settings that segmenter and aligner share."""

    steps: int = 3000
    """Batches to learn from."""
    batch: int = 32
    """Photos in a batch, over all workers."""
    learning_rate: float = 2e-3
    """Of AdamW at its height; it rises over the first twentieth of the steps and falls to 0 along a cosine."""
    bare: float
    """Share of the photos that wear no mask, 0 to under 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise ConfigError(f"steps must be 1 or more, not {self.steps}")
        if not 0 <= self.bare < 1:
            raise ConfigError(f"bare must be at least 0 and under 1, not {self.bare}")

    def short(self, workers: int) -> dict[str, Any]:
        """A dozen small batches."""
        return {
            "steps": min(self.steps, 12),
            "batch": max(workers, min(self.batch, 8)),
            "validation_photos": min(self.validation_photos, 16),
        }


@dataclass(frozen=True, kw_only=True)
class StagedRunConfig(RunConfig):
    """Where a training in stages runs; beside a `CourseConfig`."""

    smoke: bool = False
    """Learn from a few batches only, to see that everything works."""

    COURSE: ClassVar[type[CourseConfig]]
    """The part that the training itself needs."""

    def __post_init__(self) -> None:
        self.COURSE.__post_init__(self)  # type: ignore[arg-type]  # each of these is both
        super().__post_init__()
        if self.course().batch < self.workers:
            raise ConfigError(f"batch must be at least workers ({self.workers}), not {self.course().batch}")

    def course(self) -> CourseConfig:
        """The part that the training itself needs."""
        return part_of(self.COURSE, self)

    def smoked(self) -> Self:
        """As it is, or cut short if it is only to see that it works."""
        return replace(self, **self.course().short(self.workers)) if self.smoke else self
