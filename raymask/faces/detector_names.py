"""How detectors are named. No network here, so that command lines can check names at once."""

from __future__ import annotations

from raymask.errors import ConfigError

DETECTORS = ("yunet[:FILE]", "mtcnn")
"""What finds faces. mtcnn: as the paper does. yunet: several times as fast, and better with real masks."""

DEFAULT_DETECTOR = "yunet"


def check_detector(name: str) -> None:
    """Raise ConfigError if `name` is none of DETECTORS."""
    kind, colon, file = name.partition(":")
    if name != "mtcnn" and (kind != "yunet" or (colon and not file)):
        raise ConfigError(f"detector {name!r} is unknown; choose one of {', '.join(DETECTORS)}")
