"""Which weights a network has, by their checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path

from raymask.errors import ConfigError, ModelError
from raymask.models.bundle import bundle_config
from raymask.models.networks.facenet import facenet_digest
from raymask.models.spec import Spec


def weights_digest(name: str) -> str:
    """SHA-256 of the weights of one network.

    Args:
        name: sface, dlib, facenet, onnx or bundle, as `FORMS` has them.

    Raises:
        ConfigError: a name of another form.
        ModelError: a file is missing or damaged.
    """
    kind, rest = Spec.of(name)
    if kind == "bundle":
        return str(bundle_config(rest)["sha256"])
    if kind == "facenet":
        return facenet_digest(rest or "vggface2")
    if kind == "sface":
        from raymask.faces.zoo_models import zoo_model

        return _file_digest(zoo_model("sface", rest))
    if kind == "dlib":
        from raymask.faces.landmarks.dlib_models import DLIB_FILE, dlib_model

        return _file_digest(dlib_model(DLIB_FILE))
    if kind != "onnx":
        raise ConfigError(f"{name!r} names no single file of weights; name sface, dlib, facenet, onnx: or bundle:")
    if not Path(rest).is_file():
        raise ModelError(f"onnx:{rest}: there is no such file")
    return _file_digest(Path(rest))


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
