"""dlib's models: where the package that carries them keeps their files, and the square that they expect."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from raymask.errors import ModelError

DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"
"""dlib's face network."""

# dlib's predictor was trained on the squares of dlib's own detector. Over 199 LFW photos where both detectors fire,
# the median such square is 0.95 times the mean side of MTCNN's box, its centre 0.07 of the box's height lower.
SQUARE_SIDE = 0.95
SQUARE_SHIFT = 0.07


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


def dlib_square(box: np.ndarray):  # type: ignore[no-untyped-def]  # dlib ships no types
    """The `dlib.rectangle` that dlib's own detector would have given for MTCNN's `box`."""
    import dlib

    left, top, right, bottom = (float(value) for value in box)
    half = SQUARE_SIDE * ((right - left) + (bottom - top)) / 4
    x, y = (left + right) / 2, (top + bottom) / 2 + SQUARE_SHIFT * (bottom - top)
    return dlib.rectangle(round(x - half), round(y - half), round(x + half), round(y + half))
