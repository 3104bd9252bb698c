"""What a segmenter's training is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from raymask.faces.masks.looks import TRAIN_LOOKS
from raymask.models.config import SegmenterConfig
from raymask.train.staged.config import SingleStageConfig, StagedRunConfig


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
class TrainSegmenterConfig(StagedRunConfig, SegmentConfig):
    """A segmenter's training and where it runs."""

    COURSE = SegmentConfig
