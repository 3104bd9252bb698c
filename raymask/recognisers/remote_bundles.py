"""Bundles that lie elsewhere, brought here to be loaded."""

from __future__ import annotations

from pathlib import Path

from raymask.errors import ModelError
from raymask.storage import Folder


def fetched(folder: str, target: Path) -> Path:
    """A local folder as it is; a remote one's files in `target`. Raises ModelError if a remote one is no bundle."""
    if "://" not in folder:
        return Path(folder)
    bundle = Folder(folder)
    if "config.json" not in bundle.names():
        raise ModelError(f"{folder} is no bundle: config.json is missing")
    for name in bundle.names():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(bundle.read(name))
    return target
