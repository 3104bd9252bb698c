"""Where the packages that carry trained face models keep their files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from raymask.errors import ModelError

DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"
"""dlib's face network."""


def dlib_model(name: str) -> Path:
    """Path of a dlib model file in the package `face_recognition_models`.

    The package is located, not imported: its import needs `pkg_resources`, which current setuptools lacks.

    Raises:
        ModelError: the package or the file is missing.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise ModelError("face_recognition_models is not installed; run `make setup`")
    path = Path(spec.origin).parent / "models" / name
    if not path.is_file():
        raise ModelError(f"{path} is missing; reinstall face_recognition_models with `make setup`")
    return path
