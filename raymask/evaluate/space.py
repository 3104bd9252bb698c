"""By what a recogniser's embeddings are known to be comparable with others."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from raymask.errors import ConfigError
from raymask.evaluate.baselines import DlibRecogniser
from raymask.evaluate.fused_bundle import moved
from raymask.evaluate.onnx import OnnxRecogniser
from raymask.models.bundle import bundle_config
from raymask.models.parts import MriiParts, resolved
from raymask.models.teacher import teacher_digest


def embedding_digest(spec: str) -> str:
    """SHA-256 of the networks that make the embeddings, and of what fuses them.

    Segmenter and inpainter are no part of it: they change the picture, not the space in which it is embedded.

    Raises:
        ConfigError: a recogniser whose networks are not files.
        ModelError: a file is missing or damaged.
    """
    spec = resolved(spec)
    kind, _, rest = spec.partition(":")
    if kind == "mrii":
        return embedding_digest(MriiParts.of(spec).embedder)
    if kind == "fused":
        config = bundle_config(rest, "Fusion")
        parts = [embedding_digest(moved(part, Path(rest))) for part in config["arguments"]["parts"]]
        return hashlib.sha256(json.dumps([config["sha256"], *parts]).encode()).hexdigest()
    if kind not in ("dlib", "onnx", "bundle"):
        raise ConfigError(f"recogniser {spec!r} is not served; it takes dlib, onnx:, bundle:, mrii: or fused:")
    return teacher_digest(spec)


def embedding_size(spec: str) -> int:
    """Values of an embedding by one network: dlib, onnx:FILE or bundle:DIR. Raises as `embedding_digest`."""
    kind, _, rest = resolved(spec).partition(":")
    if kind == "bundle":
        return int(bundle_config(rest, "MaskFaceNet")["arguments"]["embedding_size"])
    if kind == "dlib":
        return DlibRecogniser.size
    return OnnxRecogniser(rest).size
