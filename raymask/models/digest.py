"""Which weights a network has, by their checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from raymask.errors import ConfigError, ModelError
from raymask.models.bundle import bundle_config
from raymask.models.networks.facenet import facenet_digest
from raymask.models.spec import ModelSpec


def weights_digest(name: str) -> str:
    """SHA-256 of the weights of one network.

    Args:
        name: sface, dlib, facenet, onnx or bundle, as `FORMS` has them.

    Raises:
        ConfigError: a name of another form.
        ModelError: a file is missing or damaged.
    """
    kind, rest = ModelSpec.of(name)
    if kind not in _DIGESTS:
        raise ConfigError(f"{name!r} names no single file of weights; name sface, dlib, facenet, onnx: or bundle:")
    return _DIGESTS[kind](rest)


def _of_sface(file: str) -> str:
    from raymask.faces.zoo_models import zoo_model

    return _file_digest(zoo_model("sface", file))


def _of_dlib(_: str) -> str:
    from raymask.faces.landmarks.dlib_models import DLIB_FILE, dlib_model

    return _file_digest(dlib_model(DLIB_FILE))


def _of_onnx(file: str) -> str:
    if not Path(file).is_file():
        raise ModelError(f"onnx:{file}: there is no such file")
    return _file_digest(Path(file))


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


_DIGESTS: dict[str, Callable[[str], str]] = {
    "sface": _of_sface,
    "dlib": _of_dlib,
    "facenet": lambda weights: facenet_digest(weights or "vggface2"),
    "onnx": _of_onnx,
    "bundle": lambda folder: str(bundle_config(folder)["sha256"]),
}
"""By what follows the colon of a name."""
