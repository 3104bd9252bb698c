"""How detectors are named. No network here, so that command lines can check names at once."""

from __future__ import annotations

import os

from raymask.errors import ConfigError

DETECTORS = ("yunet[:FILE]", "mtcnn")
"""What finds faces. mtcnn: as the paper does. yunet: better with real masks, and faster on small photos."""

DEFAULT_DETECTOR = "yunet"


def check_detector(name: str) -> None:
    """Raise ConfigError if `name` is none of DETECTORS."""
    kind, colon, file = name.partition(":")
    if name != "mtcnn" and (kind != "yunet" or (colon and not file)):
        raise ConfigError(f"detector {name!r} is unknown; choose one of {', '.join(DETECTORS)}")


def absolute_detector(name: str) -> str:
    """The name with the path of its file made absolute, for processes that run in other folders."""
    kind, _, file = name.partition(":")
    return f"{kind}:{os.path.abspath(os.path.expanduser(file))}" if file else name
