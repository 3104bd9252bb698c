"""How networks are named: the only place that takes such names apart.

No torch here, so that names are checked at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from raymask.errors import ConfigError
from raymask.models.networks.facenet import PUBLISHED
from raymask.models.shipped import SHIPPED

SHIPPED_NAMES = ("maskfacenet", "mrii", "fused")
"""Recognisers that come with raymask."""

Use = Literal["recogniser", "teacher", "init", "embedder", "part"]
"""What a network is named for: to recognise photos, to be learned from, to begin a training with, to embed faces that
the service has found, to be a part of a bundle."""

_ROUTED = "routed:MASKED,BARE"
_PARTS = (
    "maskfacenet",
    "mrii",
    "sface[:FILE]",
    "dlib",
    "facenet[:WEIGHTS]",
    "onnx:FILE",
    "bundle:DIR",
    "mrii:SEGMENTER,INPAINTER,EMBEDDER",
    _ROUTED,
)
FORMS: dict[Use, tuple[str, ...]] = {
    "recogniser": (*_PARTS, "fused", "fused:DIR", "python:MODULE:ATTRIBUTE"),
    "teacher": ("sface[:FILE]", "dlib", "onnx:FILE", "bundle:DIR"),
    "init": ("sface[:FILE]", "dlib", "facenet[:WEIGHTS]", "bundle:DIR"),
    "embedder": ("maskfacenet", "sface[:FILE]", "dlib", "onnx:FILE", "bundle:DIR"),
    "part": _PARTS,
}
"""The names that fit each use. In square brackets stands what may be left out."""


class Spec(NamedTuple):
    """A network's name, taken apart."""

    kind: str
    """Such as bundle."""
    rest: str
    """What follows the colon; empty if nothing does."""

    @classmethod
    def of(cls, name: str) -> Spec:
        """Any name; one that comes with raymask stands for its bundles."""
        kind, _, rest = resolved(name).partition(":")
        return cls(kind, rest)

    @classmethod
    def checked(cls, name: str, use: Use) -> Spec:
        """A name that fits a use.

        Raises:
            ConfigError: it does not; says which names do.
        """
        if not _takes(use, name):
            raise ConfigError(f"{use} {name!r} is unknown; it takes one of {', '.join(FORMS[use])}")
        return cls.of(name)

    @property
    def file(self) -> str | None:
        """The one file or folder that it names; None if it names none, or several."""
        if self.kind == "facenet" and self.rest in PUBLISHED:
            return None
        return self.rest if self.rest and self.kind in ("sface", "facenet", "onnx", "bundle", "fused") else None

    def at(self, file: str | Path) -> Spec:
        """The same with its file elsewhere."""
        return self._replace(rest=str(file))

    def __str__(self) -> str:
        return f"{self.kind}:{self.rest}" if self.rest else self.kind


def _takes(use: Use, name: str) -> bool:
    """Whether a name fits a use."""
    kind, colon, rest = name.partition(":")
    return any(_fits(form, kind, rest) for form in FORMS[use]) and not (colon and not rest)


def _fits(form: str, kind: str, rest: str) -> bool:
    """Whether a name is of a form such as dlib, sface[:FILE] or bundle:DIR."""
    needs, may_have = form.partition("[")[0], form.partition("]")[0].replace("[", "")
    if kind != needs.partition(":")[0]:
        return False
    return bool(rest) if ":" in needs else not rest or ":" in may_have


class MriiParts(NamedTuple):
    """What `mrii:SEGMENTER,INPAINTER,EMBEDDER` names, or `mrii` alone: two bundles and a recogniser."""

    segmenter: str
    inpainter: str
    embedder: str

    @classmethod
    def of(cls, name: str) -> MriiParts:
        """Raises ConfigError if `name` is of another form."""
        kind, rest = Spec.of(name)
        parts = rest.split(",", 2)
        if kind != "mrii" or len(parts) < 3 or not all(parts):
            raise ConfigError(
                f"recogniser {name!r}: it takes mrii:SEGMENTER,INPAINTER,EMBEDDER, two bundles and a recogniser"
            )
        return cls(parts[0], parts[1], resolved(parts[2]))

    def __str__(self) -> str:
        return f"mrii:{','.join(self)}"


class RoutedParts(NamedTuple):
    """What `routed:MASKED,BARE` names: two networks of one space. The segmenter says which of them embeds a face."""

    masked: str
    """For faces with a mask."""
    bare: str
    """For faces without one."""

    @classmethod
    def of(cls, name: str) -> RoutedParts:
        """Raises ConfigError if `name` is of another form."""
        kind, rest = Spec.of(name)
        masked, _, bare = rest.partition(",")
        if kind != "routed" or not masked or not bare:
            raise ConfigError(f"recogniser {name!r}: it takes {_ROUTED}, two networks of one space")
        for network in (masked, bare):
            Spec.checked(network, "embedder")
        return cls(masked, bare)

    def __str__(self) -> str:
        return f"routed:{','.join(self)}"


_PAINTED = "paintedfacenet"
"""The bundle that was `mrii`'s embedder before SFace was; where it lies among the bundles, it still is."""


def resolved(name: str, bundles: Path | None = None) -> str:
    """A recogniser that comes with raymask by the places of its bundles; any other as it is.

    Args:
        name: such as maskfacenet.
        bundles: a copy of the folder of bundles that came with another raymask; None: those of this one.
    """
    place = SHIPPED if bundles is None else bundles
    if name == "maskfacenet":
        return f"bundle:{place / 'maskfacenet'}"
    if name == "mrii":
        embedder = f"bundle:{place / _PAINTED}" if (place / _PAINTED).is_dir() else "sface"
        return str(MriiParts(str(place / "segmenter"), str(place / "inpainter"), embedder))
    return f"fused:{place / 'fused'}" if name == "fused" else name


def check_movable(name: str) -> None:
    """Raise ConfigError for a recogniser that cannot be part of a bundle, such as one that is code."""
    embedders = [MriiParts.of(name).embedder] if name.startswith("mrii:") else []
    for part in (name, *embedders):
        if not _takes("part", part):
            raise ConfigError(f"{part!r} cannot be a part of a bundle; a part is one of {', '.join(FORMS['part'])}")
    if name.startswith("routed:"):
        RoutedParts.of(name)
