"""Faces in arrays: finding, cropping and masking them. No Ray, no training.

Names are imported when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raymask.faces.detection.detector import detect as detect
    from raymask.faces.face import Face as Face
    from raymask.faces.face import subject as subject
    from raymask.faces.masks.draw import draw_mask as draw_mask

_HOMES = {
    "Face": "raymask.faces.face",
    "subject": "raymask.faces.face",
    "detect": "raymask.faces.detection.detector",
    "draw_mask": "raymask.faces.masks.draw",
}
__all__ = ["Face", "detect", "draw_mask", "subject"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
