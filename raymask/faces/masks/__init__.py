"""Face masks drawn onto photos. The names of looks import without OpenCV; drawing imports it when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raymask.faces.masks.looks import (
    KINDS,
    TEST_LOOKS,
    TRAIN_LOOKS,
    UNCOVERED_LOOKS,
    Look,
    check_looks,
    parse_look,
    pick_look,
)
from raymask.faces.masks.own import Textures

if TYPE_CHECKING:
    from raymask.faces.masks.draw import draw_mask as draw_mask

__all__ = [
    "KINDS",
    "TEST_LOOKS",
    "TRAIN_LOOKS",
    "UNCOVERED_LOOKS",
    "Look",
    "Textures",
    "check_looks",
    "draw_mask",
    "parse_look",
    "pick_look",
]


def __getattr__(name: str) -> Any:
    if name == "draw_mask":
        from raymask.faces.masks.draw import draw_mask

        return draw_mask
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
