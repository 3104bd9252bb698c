"""`prepare`: photos to rows of faces.

Names are imported when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raymask.data.prepare.run import PrepareConfig as PrepareConfig
    from raymask.data.prepare.run import prepare as prepare

__all__ = ["PrepareConfig", "prepare"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import raymask.data.prepare.run

    return getattr(raymask.data.prepare.run, name)
