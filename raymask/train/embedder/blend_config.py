"""What a blend is made of. No torch here, so that the command line can show it at once."""

from __future__ import annotations

from dataclasses import dataclass

from raymask.errors import ConfigError
from raymask.models.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class BlendConfig:
    """Which network is blended with the weights that its training began with."""

    bundle: str
    """Folder of a MaskFaceNet, as jobs/train.py leaves it."""
    init: str
    """The weights that it began with, as jobs/train.py takes them: sface[:FILE], dlib, facenet[:WEIGHTS] or
    bundle:DIR."""
    out: str
    """Folder of the bundle to make; a bundle that is there is replaced."""
    share: float = 0.5
    """How much of the trained weights counts, 0 to 1; the rest is the weights that it began with."""
    own: tuple[str, ...] = ()
    """Your own backbones that bundles may name, commas between them: installed entry points or
    python:MODULE:ATTRIBUTE. What a bundle names and this does not is never imported."""

    def __post_init__(self) -> None:
        ModelSpec.checked(self.init, "init")
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share must be 0 to 1, not {self.share}")
