"""What to prepare, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from raymask.data.format.splits import SplitConfig
from raymask.errors import ConfigError, check_choice
from raymask.faces.detection.names import DEFAULT_DETECTOR, check_detector
from raymask.faces.landmarks.engines import Landmarks
from raymask.faces.masks.looks import TRAIN_LOOKS, check_looks

Faces = Literal["subject", "all"]


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What to prepare, and how."""

    images: str
    """Folder (or URI) with the photos as ROOT/IDENTITY/photo.jpg."""
    out: str
    """Folder (or URI) for the prepared faces; shared by all machines of the cluster."""
    min_photos: int = 1
    """Photos a person needs to be prepared at all."""
    identities: str | None = None
    """Text file of the people to prepare, one a line; null: all."""
    leave_out: str | None = None
    """JSON file of people who are not prepared, even if identities names them: a list of names, a mapping of person to
    anything, or lists under headings, as benchmarks/strangers.json is; null: nobody is left out."""
    limit_identities: int | None = None
    """Prepare only the first so many people by name; null: all."""
    splits: str | None = None
    """JSON file of person to split (train, val, test) to use instead of drawing; who is not named is train."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """How people are drawn for validation and test."""
    masks: tuple[str, ...] = TRAIN_LOOKS
    """Masks to draw, each as KIND[:TEXTURE[~STRENGTH]][#RRGGBB[~SHARE]][@below-nose|@chin]: cloth, cloth:gingham,
    cloth:plain#2244aa, surgical@chin. Each photo wears one of them; one named twice is worn twice as often."""
    textures: str | None = None
    """Folder (or URI) with your own pictures (JPEG, PNG, WebP), which masks of the look cloth:own are made of; every
    worker must reach it. null: off."""
    faces: Faces = "subject"
    """Whose faces in a photo wear masks: that of its subject, which is cropped, or all. With all, small faces are
    looked for in every photo, and the subject's box may differ by a few pixels."""
    detector: str = DEFAULT_DETECTOR
    """What finds faces: yunet[:FILE] or mtcnn, as the paper has it."""
    landmarks: Landmarks = "dlib68"
    """What finds the 68 landmarks: dlib's model, whose data excludes commercial use, or mean-head, which is free."""
    seed: int = 0
    """Decides each photo's mask."""
    preview: int | None = None
    """Draw so many photos into OUT/preview.png, and prepare nothing; null: prepare."""
    workers: int | None = None
    """Processes that work on photos; null: one a CPU of the cluster."""
    photos_per_file: int = 100
    """Photos in a Parquet file, and in a unit of work."""

    def __post_init__(self) -> None:
        check_choice("faces", self.faces, get_args(Faces))
        check_detector(self.detector)
        check_choice("landmarks", self.landmarks, get_args(Landmarks))
        for name in ("min_photos", "limit_identities", "workers", "photos_per_file", "preview"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be 1 or more, not {value}")
        check_looks(self.masks, self.textures)
