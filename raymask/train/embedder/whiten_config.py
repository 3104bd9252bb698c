"""What a whitening is made of. No torch here, so that the command line can show it at once."""

from __future__ import annotations

from dataclasses import dataclass

from raymask.data.reading.joined import Data, folders_of
from raymask.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class WhitenConfig:
    """Which network is whitened, and by whose faces."""

    bundle: str
    """Folder of a MaskFaceNet with a linear head, as presets/best.yaml trains."""
    data: Data
    """Folder (or URI) made by jobs/prepare.py, or several with commas between them, with the people that the network
    has learned from: their photos say how masked and other photos of a person differ."""
    out: str
    """Folder of the bundle to make; a bundle that is there is replaced."""
    shrinkage: float = 0.6
    """How much of the covariance is taken to be alike in all directions, above 0 to 1; 1 leaves embeddings as they
    are, less helps masked photos more and costs bare ones more."""
    photos: int | None = None
    """Look at a random choice of so many photos, the same each time; null: all."""
    own: tuple[str, ...] = ()
    """Your own backbones that bundles may name, commas between them: installed entry points or
    python:MODULE:ATTRIBUTE. What a bundle names and this does not is never imported."""

    def __post_init__(self) -> None:
        folders_of(self.data)
        if not 0 < self.shrinkage <= 1:
            raise ConfigError(f"shrinkage must be above 0 and at most 1, not {self.shrinkage}")
        if self.photos is not None and self.photos < 2:
            raise ConfigError(f"photos must be 2 or more, not {self.photos}")
