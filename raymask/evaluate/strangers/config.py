"""Which photos show strangers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StrangersConfig:
    """People who are enrolled nowhere and from whom nothing has learned; one photo of each serves."""

    strangers: tuple[str, ...] = ()
    """Folders (or URIs) with photos of strangers as ROOT/IDENTITY/photo.jpg, commas between."""
    strangers_masked: str | None = None
    """Folder (or URI) with photos of strangers in real masks, as ROOT/IDENTITY/photo.jpg, or ROOT/photo.jpg if each
    shows somebody else; null: masks are only drawn."""
    strangers_people: str | None = None
    """JSON file and a heading, FILE:HEADING: take only people whom a list under that heading names, wherever it
    stands; null: all."""
    strangers_enrolled: str | None = None
    """FILE:HEADING likewise: more people under the same folders, who are enrolled in the galleries that strangers are
    searched in, and not searched themselves; null: strangers are searched among each other alone."""
    strangers_repeats: str | None = None
    """JSON file with pairs of people who are one person or may be, who are not compared; null: none."""
