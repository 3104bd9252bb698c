"""What an evaluation was made with."""

from __future__ import annotations

import importlib.metadata
import platform

_PACKAGES = ("raymask", "torch", "facenet-pytorch", "dlib-bin", "onnxruntime", "opencv-python-headless", "numpy")


def versions() -> dict[str, str]:
    """Python's version, and those of the packages that figures depend on, as far as they are installed."""
    known = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            known[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # dlib and OpenCV come under several names
    return known
