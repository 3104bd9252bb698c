"""What a bulk enrolment is told."""

from __future__ import annotations

from dataclasses import dataclass

from raymask.errors import ConfigError
from raymask.models.shipped import SHIPPED


@dataclass(frozen=True, kw_only=True)
class EnrolConfig:
    """Whom to enrol, and where."""

    images: str
    """Folder (or URI) with the photos as ROOT/IDENTITY/photo.jpg, or one that jobs/prepare.py made."""
    gallery: str
    """Folder (or URI) of the gallery, made if it is not there; no service may be writing it."""
    fused: str = str(SHIPPED / "fused")
    """Bundle of the fusion that serves; by default the one that comes with raymask."""
    own: tuple[str, ...] = ()
    """Your own embedders and backbones that bundles may name, commas between them: installed entry points or
    python:MODULE:ATTRIBUTE. What a bundle names and this does not is never imported."""
    with_masks: bool = False
    """Enrol each photo with masks drawn on it, too; the fusion's thresholds for masked faces do not hold then."""
    keep: bool = False
    """Keep the photos themselves in the gallery, where an admin can read and delete them."""
    dropped: str | None = None
    """JSON file for the photos that are not enrolled, and why; null: they are only counted."""
    workers: int | None = None
    """Processes that work on photos; null: one a CPU of the cluster."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be 1 or more, not {self.workers}")
