"""Which models serve: those of a fusion, and others in their place where a configuration says so."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from raymask.calibration.table import SearchTable
from raymask.errors import ConfigError, ModelError
from raymask.faces.detection.names import DEFAULT_DETECTOR, check_detector
from raymask.gallery.table import Space
from raymask.models.bundle import bundle_config
from raymask.models.shipped import SHIPPED
from raymask.models.spec import ModelSpec, MriiParts, RoutedParts
from raymask.plugins import allow
from raymask.recognisers.fused_bundle import moved
from raymask.recognisers.kinds import check_named, embedding_digest, embedding_size

STRICT = {"extra": "forbid"}
"""For `__pydantic_config__`: a field that is not known is refused by name."""


@dataclass(frozen=True, kw_only=True)
class ModelsConfig:
    """The graph's models."""

    __pydantic_config__ = STRICT
    detector: str = DEFAULT_DETECTOR
    """What finds faces: yunet[:FILE] or mtcnn, as the paper has it."""
    fused: str = str(SHIPPED / "fused")
    """Bundle that jobs/fuse.py has made; it names all others, and holds the thresholds. By default the one that comes
    with raymask."""
    segmenter: str | None = None
    """Bundle of another segmenter; null: the fusion's, or raymask's own if the fusion names none."""
    inpainter: str | None = None
    """Bundle of another inpainter; null: likewise. A fusion without an MRII part uses it for pictures alone."""
    masked_embedder: str | None = None
    """Another network for faces as they come, as sface, dlib, onnx:FILE, bundle:DIR or an embedder of your own; null:
    the fusion's. The thresholds do not hold for it, and have to be given."""
    bare_embedder: str | None = None
    """Another network for faces without their masks, likewise."""
    own: tuple[str, ...] = ()
    """Embedders and backbones of your own that bundles may name: installed entry points or python:MODULE:ATTRIBUTE.
    What a bundle names and this does not is never imported."""

    def __post_init__(self) -> None:
        check_detector(self.detector)


class Network(NamedTuple):
    """A network, and which weights it had when the service was told of it."""

    spec: str
    """sface, dlib, onnx:FILE, bundle:DIR, fused:DIR or an embedder of others."""
    digest: str
    """SHA-256, as `embedding_digest`."""

    @classmethod
    def of(cls, spec: str) -> Network:
        """With the weights that it has now. Raises as `embedding_digest`."""
        return cls(spec, embedding_digest(spec))

    @property
    def folder(self) -> str:
        """Of its bundle."""
        return ModelSpec.of(self.spec).rest

    def check(self) -> None:
        """Raises ModelError if its file holds other weights by now; to be asked once they are loaded."""
        if embedding_digest(self.spec) != self.digest:
            raise ModelError(
                f"{self.spec} holds other weights than when the service was told of it; deploy the service again, or "
                "put back what was there"
            )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which model runs where."""

    detector: str
    """Name of what finds faces."""
    fused: Network
    segmenter: Network
    inpainter: Network
    masked_parts: tuple[int, ...]
    """Which of the fusion's parts see the face as it came."""
    bare_parts: tuple[int, ...]
    """Which of them see it without its mask."""
    routed: bool
    """The one part is both: masked faces go to the one network and bare faces to the other, all as they came."""
    masked_networks: tuple[Network, ...]
    """Those of `masked_parts`."""
    bare_networks: tuple[Network, ...]
    """Those of `bare_parts`."""
    searches: SearchTable | None
    """The fusion's thresholds; None if it has none, or if they do not hold because other networks embed."""
    space: Space
    """Where the fused embeddings live."""
    own: tuple[str, ...] = ()
    """What bundles may name that is code of others; each process that loads them allows it."""

    @classmethod
    def of(cls, config: ModelsConfig) -> Plan:
        """Read what the fusion is made of.

        Raises:
            ModelError: a bundle is missing or of another kind, and the message says which command makes one; or it
                names code of others that `own` does not.
            ConfigError: a fusion that is not served or whose thresholds cannot be read, or an embedder of another form.
        """
        allow(config.own)
        folder = Path(config.fused)
        fusion = _fusion(folder)
        check_named(folder)
        specs = [moved(part, folder) for part in fusion["arguments"]["parts"]]
        mrii = {place: MriiParts.of(spec) for place, spec in enumerate(specs) if ModelSpec.of(spec).kind == "mrii"}
        segmenter = config.segmenter or _only({parts.segmenter for parts in mrii.values()}, "segmenter")
        inpainter = config.inpainter or _only({parts.inpainter for parts in mrii.values()}, "inpainter")
        bundle_config(segmenter, "MaskSegmenter")
        bundle_config(inpainter, "Inpainter")
        ways = [_Ways.of(spec) for spec in specs]
        routed = any(way.masked and way.bare for way in ways)
        if routed and len(ways) > 1:
            raise ConfigError(f"{config.fused} is not served: a part routed:MASKED,BARE must be the only one")
        used = [way.replaced(config) for way in ways]
        for name in ("masked", "bare"):
            if getattr(config, f"{name}_embedder") and not any(getattr(way, name) for way in ways):
                raise ConfigError(
                    f"{name}_embedder would do nothing: {config.fused} has no part in which it could serve"
                )
        digests = [embedding_digest(spec) for way in used for spec in way if spec]
        own = [embedding_digest(spec) for way in ways for spec in way if spec] == digests
        fused = Network.of(f"fused:{config.fused}")
        return cls(
            detector=config.detector,
            fused=fused,
            segmenter=Network.of(f"bundle:{segmenter}"),
            inpainter=Network.of(f"bundle:{inpainter}"),
            masked_parts=tuple(place for place, way in enumerate(ways) if way.masked),
            bare_parts=tuple(place for place, way in enumerate(ways) if way.bare),
            routed=routed,
            masked_networks=tuple(Network.of(way.masked) for way in used if way.masked),
            bare_networks=tuple(Network.of(way.bare) for way in used if way.bare),
            searches=SearchTable.of_bundle(fusion, config.fused) if own else None,
            space=Space(
                digest=fused.digest if own else _mixed(fusion["sha256"], digests),
                size=sum(way.size for way in used),
                recogniser=fused.spec if own else f"{fused.spec} with other embedders",
            ),
            own=config.own,
        )

    @property
    def idle(self) -> tuple[str, ...]:
        """Deployments that have nothing to do: the embedders that this fusion has no network for."""
        networks = {"MaskedEmbedder": self.masked_networks, "BareEmbedder": self.bare_networks}
        return tuple(name for name, embed in networks.items() if not embed)


class _Ways(NamedTuple):
    """The networks of a part, by name."""

    masked: str | None
    """For faces as they come; in `routed:`, for masked ones."""
    bare: str | None
    """For faces without their masks; in `routed:`, for bare ones."""

    @classmethod
    def of(cls, spec: str) -> _Ways:
        kind = ModelSpec.of(spec).kind
        if kind == "mrii":
            return cls(None, MriiParts.of(spec).embedder)
        return cls(*RoutedParts.of(spec)) if kind == "routed" else cls(spec, None)

    def replaced(self, config: ModelsConfig) -> _Ways:
        """With the embedders that a configuration names in their place."""
        return _Ways(
            self.masked and (config.masked_embedder or self.masked), self.bare and (config.bare_embedder or self.bare)
        )

    @property
    def size(self) -> int:
        """Values of the part's embedding. Raises ConfigError if it has two sizes."""
        sizes = {embedding_size(spec) for spec in self if spec}
        if len(sizes) > 1:
            raise ConfigError(f"{self.masked} and {self.bare} make embeddings of two sizes; name two of one space")
        return sizes.pop()


def _fusion(folder: Path) -> dict[str, Any]:
    try:
        return bundle_config(folder, "Fusion")
    except ModelError as error:
        raise ModelError(f"{error}; `make demo` makes out/demo/fused, on invented people") from None


def _only(named: set[str], kind: str) -> str:
    """The one bundle that the fusion names; raymask's own if it names none."""
    if len(named) > 1:
        raise ConfigError(f"the fusion names {len(named)} bundles as {kind} ({', '.join(sorted(named))}); name one")
    return named.pop() if named else str(SHIPPED / kind)


def _mixed(fusion: str, digests: list[str]) -> str:
    return hashlib.sha256(json.dumps([fusion, *digests]).encode()).hexdigest()
