"""What an aligner's training is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from raymask.errors import ConfigError
from raymask.models.config import AlignerConfig
from raymask.train.staged.config import SingleStageConfig, StagedRunConfig


@dataclass(frozen=True, kw_only=True)
class AlignConfig(SingleStageConfig):
    """All that decides what an aligner's training computes."""

    bare: float = 0.2
    """Share of the photos that wear no mask, 0 to under 1."""
    validation_photos: int = 400
    """Photos of the validation split that it is measured on, at most; 0: off."""
    worn: str | None = None
    """Folder (or URI) that jobs/prepare.py made of photos of people in real masks, whose true points nobody knows. The
    points found in two views of one photo must agree. A tenth of the photos is only measured on. null: off."""
    worn_share: float = 0.3
    """Share of the batch's photos that are of `worn`, over 0 and under 1; each of them is looked at twice."""
    worn_weight: float = 1.0
    """Weight of the mean distance between the points of two views, in distances of the eyes, beside that between found
    and true points of other photos; over 0."""
    model: AlignerConfig = field(default_factory=AlignerConfig)
    """The network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, default in WORN_DEFAULTS.items():
            if self.worn is None and getattr(self, name) != default:
                raise ConfigError(f"{name} has no effect without worn; leave it out, or name a folder by --worn")
        if self.worn is not None and (not self.worn or "," in self.worn):
            raise ConfigError(f"worn takes one folder, not {self.worn!r}; prepare all photos in real masks into one")
        if not 0 < self.worn_share < 1:
            raise ConfigError(f"worn_share must be over 0 and under 1, not {self.worn_share}; leave out worn for none")
        if not 0 < self.worn_weight < math.inf:
            raise ConfigError(f"worn_weight must be over 0, not {self.worn_weight}; leave out worn for none")


WORN_DEFAULTS = {entry.name: entry.default for entry in fields(AlignConfig) if entry.name.startswith("worn_")}
"""Settings that have no effect without `worn`."""


@dataclass(frozen=True, kw_only=True)
class TrainAlignerConfig(StagedRunConfig, AlignConfig):
    """An aligner's training and where it runs."""

    COURSE = AlignConfig


def without_idle(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that have no effect, so that a run that an earlier version began can go on."""
    return settings if settings["worn"] else {key: settings[key] for key in settings if key not in WORN_DEFAULTS}
