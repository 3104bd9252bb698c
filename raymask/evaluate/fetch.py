"""Bundles that lie elsewhere, brought here to be loaded."""

from __future__ import annotations

from pathlib import Path

from raymask.data.storage import Folder


def fetched(folder: str, target: Path) -> Path:
    """A local folder as it is; a remote one's files in `target`, missing ones left for the loader to name."""
    if "://" not in folder:
        return Path(folder)
    bundle = Folder(folder)
    for name in bundle.names():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(bundle.read(name))
    return target
