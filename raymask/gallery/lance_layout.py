"""What raymask knows of Lance beyond its interface: where the files of a table lie, how they are called, what it says.

Any of it may change with a major version of Lance, before which pyproject.toml therefore stops. On an upgrade run
tests/gallery/test_lance_layout.py, which tells by name what has changed, and compare here:

- MANIFESTS, DATA: the folders of a table; durability deletes manifests by hand, for Lance cannot forget its newest.
- `_LAST`: how the manifest of a version is named (Lance's manifest naming scheme V2).
- `_HINT`: the file by which Lance finds the newest version sooner; it must not name one that was deleted.
- `says_absent`: the words of the error for a table that is not there, which has no type of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

MANIFESTS = "_versions"
"""Folder of a table with a manifest of each version."""
DATA = "data"
"""Folder of a table with its rows."""
_HINT = "latest_version_hint.json"
_SUFFIX = ".manifest"
_LAST = 2**64 - 1
"""Lance names the manifest of version v by this minus v, so that the latest is listed first."""


def manifest_name(version: int) -> str:
    """The file in MANIFESTS of a version."""
    return f"{_LAST - version:020}{_SUFFIX}"


def versions(table: Path) -> list[int]:
    """Numbers of the versions whose manifests are there, in no order."""
    manifests = (table / MANIFESTS).glob(f"*{_SUFFIX}")
    return [_LAST - int(path.stem) for path in manifests if path.stem.isdecimal()]


def delete_manifests(table: Path, numbers: Iterable[int]) -> None:
    """Make Lance forget versions. Raises OSError; the folder MANIFESTS is the caller's to sync."""
    for number in numbers:
        (table / MANIFESTS / manifest_name(number)).unlink()
    (table / MANIFESTS / _HINT).unlink(missing_ok=True)


def says_absent(error: ValueError) -> bool:
    """Whether Lance's error means that there is no table, not that it is damaged."""
    return "not found" in str(error).lower()
