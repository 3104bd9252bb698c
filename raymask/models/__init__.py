"""Networks and their bundles on disk. No Ray.

Names are imported when first used: torch takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raymask.models.bundle import Bundle as Bundle
    from raymask.models.bundle import load_bundle as load_bundle
    from raymask.models.bundle import save_bundle as save_bundle

__all__ = ["Bundle", "load_bundle", "save_bundle"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import raymask.models.bundle

    return getattr(raymask.models.bundle, name)
