"""The bundles that come with raymask."""

from __future__ import annotations

import os
from pathlib import Path

SHIPPED = Path(__file__).parent.parent / "bundles"
"""The bundles that come with raymask, by name: maskfacenet, aligner, segmenter, inpainter, fused."""


def aligner_of(bundle: str | os.PathLike[str] = "") -> Path:
    """The folder of the aligner that a network's faces are aligned by.

    Args:
        bundle: of the network; one with an aligner beside it, as in a copy of the bundles that came with another
            raymask, keeps that aligner. Others, and networks that are no bundle, have raymask's own.
    """
    beside = Path(bundle).parent / "aligner"
    return beside if str(bundle) and (beside / "config.json").is_file() else SHIPPED / "aligner"
