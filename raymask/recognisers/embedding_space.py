"""By what a recogniser's embeddings are known to be comparable with others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raymask.errors import ConfigError, ModelError
from raymask.models.bundle import bundle_config
from raymask.models.config import SFACE
from raymask.models.digest import weights_digest
from raymask.models.shipped import SHIPPED, aligner_of
from raymask.models.spec import MriiParts, RoutedParts, Spec
from raymask.models.unmasker_parts import UnmaskerParts
from raymask.recognisers.fused_bundle import moved
from raymask.recognisers.onnx import OnnxRecogniser

NAMED = "named_sha256"
"""Where a fusion's bundle keeps the digests of parts that come with raymask, which it names and does not hold."""


def embedding_digest(spec: str) -> str:
    """SHA-256 of the networks that make the embeddings, of the aligner where faces are aligned, of how they are
    looked at, and of what fuses them.

    Segmenter and inpainter are no part of it: they change the picture, not the space in which it is embedded. Nor is
    the network for masked faces of `routed:`, which embeds them in the other's space: galleries outlive its retraining.

    Raises:
        ConfigError: a recogniser whose networks are not files.
        ModelError: a file is missing or damaged.
    """
    kind, rest = Spec.of(spec)
    if kind == "mrii":
        return embedding_digest(MriiParts.of(spec).embedder)
    if kind == "routed":
        return embedding_digest(RoutedParts.of(spec).bare)
    if kind == "fused":
        config = bundle_config(rest, "Fusion")
        parts = [embedding_digest(moved(part, Path(rest))) for part in config["arguments"]["parts"]]
        return _mixed(config["sha256"], *parts)
    if kind not in ("sface", "dlib", "onnx", "bundle"):
        raise ConfigError(
            f"recogniser {spec!r} is not served; it takes sface, dlib, onnx:, bundle:, mrii:, routed: or fused:"
        )
    digest = weights_digest(spec)
    changes = _changes(_arguments(kind, rest), rest if kind == "bundle" else "")
    return _mixed(digest, *changes) if changes else digest


def calibration_digest(spec: str) -> str:
    """As `embedding_digest`, and of all other networks too: by what a fusion's scales and thresholds are known to
    hold."""
    digest, kind = embedding_digest(spec), Spec.of(spec).kind
    if kind == "routed":
        segmenter = bundle_config(SHIPPED / "segmenter", "MaskSegmenter")["sha256"]
        return _mixed(digest, embedding_digest(RoutedParts.of(spec).masked), segmenter)
    if kind != "mrii":
        return digest
    parts = MriiParts.of(spec)
    return _mixed(digest, *UnmaskerParts(parts.segmenter, parts.inpainter).digests)


def _arguments(kind: str, folder: str) -> dict[str, Any]:
    """What a MaskFaceNet is made of; empty for other networks."""
    if kind == "sface":
        return asdict(SFACE)
    return dict(bundle_config(folder)["arguments"]) if kind == "bundle" else {}


def _changes(arguments: Mapping[str, Any], bundle: str) -> list[str]:
    """What makes other embeddings of a bundle's weights: the aligner, and how a face is looked at in use."""
    found = []
    if arguments.get("alignment", "box") != "box":
        found.append(str(bundle_config(aligner_of(bundle))["sha256"]))
    mirrored, tilted = bool(arguments.get("mirrored")), float(arguments.get("tilted", 0))
    return [*found, f"mirrored {mirrored}, tilted {tilted}"] if mirrored or tilted else found


def _mixed(*digests: str) -> str:
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def check_named(fusion: str | Path) -> None:
    """Raise ModelError if a fusion was calibrated on other networks of raymask than those that it would use now."""
    config = bundle_config(fusion, "Fusion")
    for name, digest in config["training"].get(NAMED, {}).items():
        if calibration_digest(moved(name, Path(fusion))) != digest:
            raise ModelError(
                f"{fusion} was calibrated for another {name} than the one that comes with this raymask; make it again "
                "with jobs/fuse.py and enrol again with jobs/enroll.py, or go on with the previous models: put it into "
                "a copy of the previous raymask/bundles, and name it there, as models: {fused: COPY/fused} or "
                "fused:COPY/fused"
            )


def embedding_size(spec: str) -> int:
    """Values of an embedding by one network: sface, dlib, onnx:FILE or bundle:DIR. Raises as `embedding_digest`."""
    kind, rest = Spec.checked(spec, "embedder")
    if kind == "bundle":
        return int(bundle_config(rest, "MaskFaceNet")["arguments"]["embedding_size"])
    if kind in ("sface", "dlib"):
        return 128
    return OnnxRecogniser(rest).size
