"""Evaluation: recognisers by name, protocols, figures with intervals, a table and a report. No Ray, no training.

Names are imported when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raymask.evaluate.run import evaluate as evaluate
    from raymask.recognisers.base import Recogniser as Recogniser
    from raymask.recognisers.kinds import load_recogniser as load_recogniser

_HOMES = {
    "Recogniser": "raymask.recognisers.base",
    "load_recogniser": "raymask.recognisers.kinds",
    "evaluate": "raymask.evaluate.run",
}
__all__ = ["Recogniser", "evaluate", "load_recogniser"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
