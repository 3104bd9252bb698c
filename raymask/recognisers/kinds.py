"""Every kind of recogniser: how it is loaded, and by what its embeddings are known to be comparable with others.

A kind is one entry of one table; a network that others add is of the kind OWN.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raymask.errors import ConfigError, ModelError
from raymask.models.bundle import bundle_config
from raymask.models.config import SFACE
from raymask.models.digest import weights_digest
from raymask.models.shipped import SHIPPED, aligner_of
from raymask.models.spec import ModelSpec, MriiParts, RoutedParts
from raymask.models.unmasker_parts import UnmaskerParts
from raymask.recognisers.base import Recogniser
from raymask.recognisers.fused_bundle import moved

NAMED = "named_sha256"
"""Where a fusion's bundle keeps the digests of parts that it names and does not hold: raymask's, and code of others."""


@dataclass(frozen=True, kw_only=True)
class RecogniserKind:
    """What is done with the names of a kind. Each function takes the name, taken apart."""

    load: Callable[[ModelSpec], Recogniser]
    """Raises ConfigError, or ModelError if a file is missing, damaged or made for something else."""
    digest: Callable[[ModelSpec], str] | None = None
    """SHA-256 of what makes the embeddings; None: it is not served."""
    others: Callable[[ModelSpec], list[str]] = lambda _: []
    """Digests of networks that change which picture is embedded, and not the space in which it is."""
    size: Callable[[ModelSpec], int] | None = None
    """Values of an embedding, of those that embed faces that the service has found."""


def load_recogniser(name: str) -> Recogniser:
    """The recogniser of a name; see `raymask.models.spec.FORMS`. Code of others that it names itself is imported.

    Raises:
        ConfigError: a name of no known form, or of no object that can embed.
        ModelError: a model file is missing, damaged or made for something else.
    """
    spec = ModelSpec.checked(name, "recogniser")
    return _kind(spec).load(spec)


def embedding_digest(name: str) -> str:
    """SHA-256 of the networks that make the embeddings, of the aligner where faces are aligned, of how they are
    looked at, and of what fuses them.

    Segmenter and inpainter are no part of it: they change the picture, not the space in which it is embedded. Nor is
    the network for masked faces of `routed:`, which embeds them in the other's space: galleries outlive its retraining.

    Raises:
        ConfigError: a recogniser that cannot be served.
        ModelError: a file is missing or damaged.
    """
    spec = ModelSpec.of(name)
    digest = _kind(spec).digest
    if digest is None:
        raise ConfigError(
            f"recogniser {name!r} is not served; it takes sface, dlib, onnx:, bundle:, mrii:, routed:, fused: or an "
            "embedder of aligned faces of your own"
        )
    return digest(spec)


def calibration_digest(name: str) -> str:
    """As `embedding_digest`, and of all other networks too: by what a fusion's scales and thresholds are known to
    hold."""
    digest, spec = embedding_digest(name), ModelSpec.of(name)
    others = _kind(spec).others(spec)
    return _mixed(digest, *others) if others else digest


def embedding_size(name: str) -> int:
    """Values of an embedding by one network that fits the use `embedder`. Raises as `embedding_digest`."""
    spec = ModelSpec.checked(name, "embedder")
    size = _kind(spec).size
    assert size is not None
    return size(spec)


def check_named(fusion: str | Path) -> None:
    """Raise ModelError if a fusion was calibrated on other networks that it only names than it would use now."""
    config = bundle_config(fusion, "Fusion")
    for name, digest in config["training"].get(NAMED, {}).items():
        if calibration_digest(moved(name, Path(fusion))) != digest:
            again = "make it again with jobs/fuse.py and enrol again with jobs/enroll.py"
            if ModelSpec.of(name).own:
                raise ModelError(
                    f"{fusion} was calibrated for another {name} than the one that is installed; {again}, or install "
                    "the previous one"
                )
            raise ModelError(
                f"{fusion} was calibrated for another {name} than the one that comes with this raymask; {again}, or "
                "keep the previous models: put it into a copy of the previous raymask/bundles, and name it there, as "
                "models: {fused: COPY/fused} or fused:COPY/fused"
            )


def _kind(spec: ModelSpec) -> RecogniserKind:
    return KINDS.get(spec.kind, OWN)


def _mixed(*digests: str) -> str:
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def _load_sface(spec: ModelSpec) -> Recogniser:
    from raymask.models.networks.sface_weights import load_sface
    from raymask.recognisers.torch_networks import NetworkRecogniser

    return NetworkRecogniser(load_sface(spec.rest))


def _load_dlib(_: ModelSpec) -> Recogniser:
    from raymask.recognisers.torch_networks import DlibRecogniser

    return DlibRecogniser()


def _load_facenet(spec: ModelSpec) -> Recogniser:
    from raymask.recognisers.torch_networks import FacenetRecogniser

    return FacenetRecogniser(spec.rest or "vggface2")


def _load_onnx(spec: ModelSpec) -> Recogniser:
    from raymask.recognisers.onnx import OnnxRecogniser

    return OnnxRecogniser(spec.rest)


def _onnx_size(spec: ModelSpec) -> int:
    from raymask.recognisers.onnx import OnnxRecogniser

    return OnnxRecogniser(spec.rest).size


def _load_bundle(spec: ModelSpec) -> Recogniser:
    from raymask.recognisers.torch_networks import BundleRecogniser

    return BundleRecogniser(spec.rest)


def _load_mrii(spec: ModelSpec) -> Recogniser:
    from raymask.recognisers.mrii import MriiRecogniser

    return MriiRecogniser(spec.rest)


def _mrii_others(spec: ModelSpec) -> list[str]:
    parts = MriiParts.of(str(spec))
    return UnmaskerParts(parts.segmenter, parts.inpainter).digests


def _load_routed(spec: ModelSpec) -> Recogniser:
    from raymask.recognisers.routed import RoutedRecogniser

    return RoutedRecogniser(spec.rest)


def _routed_others(spec: ModelSpec) -> list[str]:
    segmenter = bundle_config(SHIPPED / "segmenter", "MaskSegmenter")["sha256"]
    return [embedding_digest(RoutedParts.of(str(spec)).masked), segmenter]


def _load_fused(spec: ModelSpec) -> Recogniser:
    from raymask.recognisers.fused import FusedRecogniser

    return FusedRecogniser(spec.rest)


def _fused_digest(spec: ModelSpec) -> str:
    config = bundle_config(spec.rest, "Fusion")
    parts = [embedding_digest(moved(part, Path(spec.rest))) for part in config["arguments"]["parts"]]
    return _mixed(config["sha256"], *parts)


def _load_own(spec: ModelSpec) -> Recogniser:
    from raymask.recognisers.own import load_own

    return load_own(str(spec))


def _own_digest(spec: ModelSpec) -> str:
    from raymask.recognisers.own import aligned

    return _mixed(*aligned(str(spec)).identity)


def _own_size(spec: ModelSpec) -> int:
    from raymask.recognisers.own import aligned

    return aligned(str(spec)).size


def _network_digest(spec: ModelSpec) -> str:
    """Of weights, and of whatever else makes other embeddings of them: the aligner, and how a face is looked at in
    use."""
    digest = weights_digest(str(spec))
    bundle = spec.rest if spec.kind == "bundle" else ""
    arguments: Mapping[str, Any] = {}
    if spec.kind == "sface":
        arguments = asdict(SFACE)
    elif bundle:
        arguments = bundle_config(bundle)["arguments"]
    changes = []
    if arguments.get("alignment", "box") != "box":
        changes.append(str(bundle_config(aligner_of(bundle))["sha256"]))
    mirrored, tilted = bool(arguments.get("mirrored")), float(arguments.get("tilted", 0))
    if mirrored or tilted:
        changes.append(f"mirrored {mirrored}, tilted {tilted}")
    return _mixed(digest, *changes) if changes else digest


KINDS: Mapping[str, RecogniserKind] = {
    "sface": RecogniserKind(load=_load_sface, digest=_network_digest, size=lambda _: SFACE.embedding_size),
    "dlib": RecogniserKind(load=_load_dlib, digest=_network_digest, size=lambda _: 128),
    "facenet": RecogniserKind(load=_load_facenet),
    "onnx": RecogniserKind(load=_load_onnx, digest=_network_digest, size=_onnx_size),
    "bundle": RecogniserKind(
        load=_load_bundle,
        digest=_network_digest,
        size=lambda spec: int(bundle_config(spec.rest, "MaskFaceNet")["arguments"]["embedding_size"]),
    ),
    "mrii": RecogniserKind(
        load=_load_mrii,
        digest=lambda spec: embedding_digest(MriiParts.of(str(spec)).embedder),
        others=_mrii_others,
    ),
    "routed": RecogniserKind(
        load=_load_routed,
        digest=lambda spec: embedding_digest(RoutedParts.of(str(spec)).bare),
        others=_routed_others,
    ),
    "fused": RecogniserKind(load=_load_fused, digest=_fused_digest),
}
"""By the word that a name begins with; names that come with raymask stand for bundles, so they are none."""
OWN = RecogniserKind(load=_load_own, digest=_own_digest, size=_own_size)
"""Of python:MODULE:ATTRIBUTE and of installed entry points."""
