"""How networks are named: the only place that takes such names apart.

No torch here, so that names are checked at once.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from raymask.errors import ConfigError, ModelError
from raymask.models.networks.facenet import PUBLISHED
from raymask.models.shipped import SHIPPED
from raymask.plugins import PYTHON, installed
from raymask.storage import absolute

SHIPPED_NAMES = ("maskfacenet", "mrii", "fused")
"""Recognisers that come with raymask."""
RECOGNISERS = "raymask.recognisers"
"""The group of entry points by which installed packages offer theirs."""

Use = Literal["recogniser", "teacher", "init", "embedder", "part"]
"""What a network is named for: to recognise photos, to be learned from, to begin a training with, to embed faces that
the service has found, to be a part of a bundle."""


class Kind(NamedTuple):
    """A word before the colon, and what may be named by it."""

    forms: tuple[str, ...]
    """One or two. In square brackets stands what may be left out."""
    uses: tuple[Use, ...]
    """What such a network is good for."""
    has_file: bool = False
    """Whether one file or folder follows the colon."""


_OWN_USES: tuple[Use, ...] = ("recogniser", "embedder", "part")
"""Of what others add."""
_ROUTED = "routed:MASKED,BARE"
KINDS: dict[str, Kind] = {
    "maskfacenet": Kind(("maskfacenet",), ("recogniser", "embedder", "part")),
    "mrii": Kind(("mrii", "mrii:SEGMENTER,INPAINTER,EMBEDDER"), ("recogniser", "part")),
    "sface": Kind(("sface[:FILE]",), get_args(Use), has_file=True),
    "dlib": Kind(("dlib",), get_args(Use)),
    "facenet": Kind(("facenet[:WEIGHTS]",), ("recogniser", "init", "part"), has_file=True),
    "onnx": Kind(("onnx:FILE",), ("recogniser", "teacher", "embedder", "part"), has_file=True),
    "bundle": Kind(("bundle:DIR",), get_args(Use), has_file=True),
    "routed": Kind((_ROUTED,), ("recogniser", "part")),
    "fused": Kind(("fused", "fused:DIR"), ("recogniser",), has_file=True),
    PYTHON: Kind(("python:MODULE:ATTRIBUTE",), _OWN_USES),
}
"""All kinds of raymask's own. Any other word is the name of an installed entry point, whose form is the name alone."""
FORMS: dict[Use, tuple[str, ...]] = {
    use: tuple(
        form for place in (0, 1) for kind in KINDS.values() if use in kind.uses for form in kind.forms[place:][:1]
    )
    for use in get_args(Use)
}
"""The names that fit each use, beside those of installed entry points; of each kind the shortest form first."""


class ModelSpec(NamedTuple):
    """A network's name, taken apart."""

    kind: str
    """Such as bundle."""
    rest: str
    """What follows the colon; empty if nothing does."""

    @classmethod
    def of(cls, name: str) -> ModelSpec:
        """Any name; one that comes with raymask stands for its bundles."""
        kind, _, rest = resolved(name).partition(":")
        return cls(kind, rest)

    @classmethod
    def checked(cls, name: str, use: Use) -> ModelSpec:
        """A name that fits a use. Nothing is imported for it.

        Raises:
            ConfigError: it does not; says which names do, and which are the nearest.
        """
        if not _takes(use, name):
            own = installed(RECOGNISERS) if use in _OWN_USES else ()
            near = get_close_matches(name, [*(kind for kind in KINDS if use in KINDS[kind].uses), *own])
            nearest = f"; the nearest are {', '.join(near)}" if near else ""
            raise ConfigError(f"{use} {name!r} is unknown; it takes one of {', '.join([*FORMS[use], *own])}{nearest}")
        return cls.of(name)

    @property
    def file(self) -> str | None:
        """The one file or folder that it names; None if it names none, or several."""
        if self.kind == "facenet" and self.rest in PUBLISHED:
            return None
        return self.rest if self.rest and self.kind in KINDS and KINDS[self.kind].has_file else None

    @property
    def own(self) -> tuple[str, ...]:
        """What it names that is code of others: itself, or networks of which it is made."""
        if self.kind == "mrii":
            return ModelSpec.of(MriiParts.of(str(self)).embedder).own
        if self.kind == "routed":
            return tuple(own for network in RoutedParts.of(str(self)) for own in ModelSpec.of(network).own)
        return (str(self),) if self.kind == PYTHON or self.kind not in KINDS else ()

    def at(self, file: str | Path) -> ModelSpec:
        """The same with its file elsewhere."""
        return self._replace(rest=str(file))

    def absolute(self) -> ModelSpec:
        """With its file's path as processes in other folders need it. Raises ModelError if nothing is there."""
        if self.file is None:
            return self
        place = absolute(self.file)
        if not Path(place).exists():
            raise ModelError(f"{self}: there is no such file, or it is not on this machine")
        return self.at(place)

    def __str__(self) -> str:
        return f"{self.kind}:{self.rest}" if self.rest else self.kind


def _takes(use: Use, name: str) -> bool:
    """Whether a name fits a use."""
    word, colon, rest = name.partition(":")
    if word not in KINDS:
        return use in _OWN_USES and not colon and name in installed(RECOGNISERS)
    kind = KINDS[word]
    return use in kind.uses and any(_fits(form, rest) for form in kind.forms) and not (colon and not rest)


def _fits(form: str, rest: str) -> bool:
    """Whether what follows the colon is of a form such as dlib, sface[:FILE] or bundle:DIR."""
    needs, may_have = form.partition("[")[0], form.partition("]")[0].replace("[", "")
    return bool(rest) if ":" in needs else not rest or ":" in may_have


class MriiParts(NamedTuple):
    """What `mrii:SEGMENTER,INPAINTER,EMBEDDER` names, or `mrii` alone: two bundles and a recogniser."""

    segmenter: str
    inpainter: str
    embedder: str

    @classmethod
    def of(cls, name: str) -> MriiParts:
        """Raises ConfigError if `name` is of another form."""
        kind, rest = ModelSpec.of(name)
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
        kind, rest = ModelSpec.of(name)
        masked, _, bare = rest.partition(",")
        if kind != "routed" or not masked or not bare:
            raise ConfigError(f"recogniser {name!r}: it takes {_ROUTED}, two networks of one space")
        for network in (masked, bare):
            ModelSpec.checked(network, "embedder")
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
    """Raise ConfigError for a recogniser that cannot be part of a bundle, such as a fusion. Nothing is imported."""
    embedders = [MriiParts.of(name).embedder] if name.startswith("mrii:") else []
    for part in (name, *embedders):
        if not _takes("part", part):
            parts = ", ".join([*FORMS["part"], *installed(RECOGNISERS)])
            raise ConfigError(f"{part!r} cannot be a part of a bundle; a part is one of {parts}")
    if name.startswith("routed:"):
        RoutedParts.of(name)
