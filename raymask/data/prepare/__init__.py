"""`prepare`: photos to rows of faces.

Names are imported when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raymask.data.prepare.config import PrepareConfig as PrepareConfig
    from raymask.data.prepare.run import prepare as prepare

__all__ = ["PrepareConfig", "prepare"]

_MODULES = {"PrepareConfig": "config", "prepare": "run"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"raymask.data.prepare.{_MODULES[name]}"), name)
