"""What a fusion is asked to be."""

from __future__ import annotations

from dataclasses import dataclass

from raymask.errors import ConfigError
from raymask.evaluate.config import people_split
from raymask.faces.detection.names import DEFAULT_DETECTOR, check_detector
from raymask.faces.masks.looks import TRAIN_LOOKS, check_looks
from raymask.models.spec import check_movable


@dataclass(frozen=True, kw_only=True)
class FuseConfig:
    """Which recognisers become one, and on whom that is calibrated. A single one gets thresholds in the same way."""

    recognisers: tuple[str, ...]
    """Recognisers to fuse, one or more; their files are copied into the bundle, raymask's own are only named."""
    images: str
    """Folder (or URI) with whole photos as ROOT/IDENTITY/photo.jpg."""
    people: str
    """JSON file of person to split, and val, the split to calibrate on: FILE:val. Of people who were trained on the
    networks know too much, and those who are tested on must not have been asked about before."""
    out: str
    """Folder of the bundle to make."""
    masks: tuple[str, ...] = TRAIN_LOOKS
    """Masks to draw, as jobs/prepare.py takes them."""
    own: tuple[str, ...] = ()
    """Your own backbones that bundles may name, commas between them: installed entry points or
    python:MODULE:ATTRIBUTE. What a bundle names and this does not is never imported."""
    detector: str = DEFAULT_DETECTOR
    """What finds faces: yunet[:FILE] or mtcnn, as the paper has it."""
    textures: str | None = None
    """Folder (or URI) with your own pictures (JPEG, PNG, WebP), which masks of the look cloth:own are made of; null:
    off."""
    seed: int = 0
    """0 or more. Decides masks and enrolled photos."""
    max_photos: int | None = None
    """Take a seeded choice of so many photos a person; null: all."""
    draws: int = 20
    """Times the enrolled photos are drawn anew."""

    def __post_init__(self) -> None:
        if not self.recognisers:
            raise ConfigError("recognisers is empty; name one or more")
        if len(set(self.recognisers)) < len(self.recognisers):
            raise ConfigError(f"a recogniser is named twice in {', '.join(self.recognisers)}; name each once")
        for spec in self.recognisers:
            check_movable(spec)
        if "://" in self.out:
            raise ConfigError(f"out must be a local folder, not {self.out}; copy the bundle when it is made")
        file, split = people_split(self.people)
        if split != "val":
            raise ConfigError(f"people {self.people!r}: {split} people are not calibrated on; name {file}:val")
        if self.max_photos is not None and self.max_photos < 2:
            raise ConfigError(f"max_photos must be 2 or more, not {self.max_photos}")
        if self.draws < 1 or self.seed < 0:
            raise ConfigError("draws must be 1 or more, seed 0 or more")
        check_detector(self.detector)
        check_looks(self.masks, self.textures)
