"""How networks are named that others are made of or learn from. No torch here, so that names are checked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from raymask.errors import ConfigError
from raymask.models.bundle import SHIPPED, bundle_config

if TYPE_CHECKING:
    import numpy as np

SHIPPED_NAMES = ("maskfacenet", "mrii", "fused")
"""Recognisers that come with raymask."""

MOVABLE = ("dlib", "facenet", "onnx", "bundle")
"""Kinds of recognisers that a bundle can hold."""

TEACHERS = ("dlib", "onnx:FILE", "bundle:DIR")


class MriiParts(NamedTuple):
    """What `mrii:SEGMENTER,INPAINTER,EMBEDDER` names, or `mrii` alone: two bundles and a recogniser."""

    segmenter: str
    inpainter: str
    embedder: str

    @classmethod
    def of(cls, spec: str) -> MriiParts:
        """Raises ConfigError if `spec` is of another form."""
        kind, _, rest = resolved(spec).partition(":")
        parts = rest.split(",", 2)
        if kind != "mrii" or len(parts) < 3 or not all(parts):
            raise ConfigError(
                f"recogniser {spec!r}: it takes mrii:SEGMENTER,INPAINTER,EMBEDDER, two bundles and a recogniser"
            )
        return cls(parts[0], parts[1], resolved(parts[2]))

    def __str__(self) -> str:
        return f"mrii:{','.join(self)}"


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


_EMBEDDER = f"bundle:{SHIPPED / 'paintedfacenet'}"
"""Of `mrii`: it knows painted faces."""


def resolved(spec: str) -> str:
    """A recogniser that comes with raymask by the places of its bundles; any other as it is."""
    if spec == "maskfacenet":
        return f"bundle:{SHIPPED / 'maskfacenet'}"
    if spec == "mrii":
        return str(MriiParts(str(SHIPPED / "segmenter"), str(SHIPPED / "inpainter"), _EMBEDDER))
    return f"fused:{SHIPPED / 'fused'}" if spec == "fused" else spec


def check_movable(spec: str) -> None:
    """Raise ConfigError for a recogniser that cannot be part of a bundle, such as one that is code."""
    if spec in ("maskfacenet", "mrii"):
        return
    embedder = MriiParts.of(spec).embedder if spec.startswith("mrii:") else spec
    if embedder.partition(":")[0] not in MOVABLE:
        raise ConfigError(
            f"{spec} cannot be part of a bundle; name maskfacenet, dlib, facenet, onnx:, bundle: or mrii:"
        )


def check_teacher(spec: str) -> None:
    """Raise ConfigError for what cannot teach an inpainter."""
    kind, _, rest = spec.partition(":")
    if spec != "dlib" and not (kind in ("onnx", "bundle") and rest):
        raise ConfigError(f"teacher {spec!r} is unknown; it takes one of {', '.join(TEACHERS)}")
