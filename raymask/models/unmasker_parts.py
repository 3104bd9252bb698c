"""What takes masks off, by name. No torch here, so that jobs answer at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from raymask.models.bundle import bundle_config

if TYPE_CHECKING:
    import numpy as np


class UnmaskerParts(NamedTuple):
    """Two bundles that take masks off."""

    segmenter: str
    inpainter: str

    @property
    def digests(self) -> list[str]:
        """Of their weights. Raises ModelError for what is no such bundle."""
        kinds = ("MaskSegmenter", "Inpainter")
        return [bundle_config(bundle, kind)["sha256"] for bundle, kind in zip(self, kinds, strict=True)]

    def load(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """A photo, (H, W, 3) uint8 RGB, and the box of a face in it, (4,), to the photo without that face's mask."""
        from raymask.models.unmasker import Unmasker

        unmasker = Unmasker.load(*self)
        return lambda photo, box: unmasker.unmask(photo, box).photo
