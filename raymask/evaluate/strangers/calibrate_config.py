"""Which fusion gets thresholds for searches, and by whom."""

from __future__ import annotations

from dataclasses import dataclass

from raymask.errors import ConfigError
from raymask.evaluate.strangers.config import StrangersConfig
from raymask.faces.detection.names import DEFAULT_DETECTOR, check_detector
from raymask.faces.masks.looks import TRAIN_LOOKS, check_looks
from raymask.models.shipped import SHIPPED


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig(StrangersConfig):
    """What to calibrate, and on whose photos."""

    fused: str = str(SHIPPED / "fused")
    """Bundle of a fusion, as jobs/fuse.py makes it; by default the one that comes with raymask."""
    out: str
    """Folder of the bundle to make: the same fusion with other thresholds. May be the same."""
    masks: tuple[str, ...] = TRAIN_LOOKS
    """Masks to draw on the strangers, as jobs/prepare.py takes them."""
    textures: str | None = None
    """Folder (or URI) with your own pictures (JPEG, PNG, WebP), which masks of the look cloth:own are made of; null:
    off."""
    own: tuple[str, ...] = ()
    """Your own embedders and backbones that bundles may name, commas between them: installed entry points or
    python:MODULE:ATTRIBUTE. What a bundle names and this does not is never imported."""
    detector: str = DEFAULT_DETECTOR
    """What finds faces: yunet[:FILE] or mtcnn, as the paper has it."""
    seed: int = 0
    """0 or more. Decides masks, and which photo of somebody with several is taken."""

    def __post_init__(self) -> None:
        if not self.strangers:
            raise ConfigError("strangers is empty; name a folder with photos of people who are enrolled nowhere")
        for name in ("fused", "out"):
            if "://" in getattr(self, name):
                raise ConfigError(f"{name} must be a local folder, not {getattr(self, name)}")
        if self.seed < 0:
            raise ConfigError(f"seed must be 0 or more, not {self.seed}")
        check_detector(self.detector)
        check_looks(self.masks, self.textures)
