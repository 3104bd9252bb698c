"""What of a table on a local disk would be there after a power cut.

Lance commits by linking a manifest, but syncs nothing. So a version counts only when all its files are synced and its
number stands in DURABLE, which is synced last; what came later is dropped when the table is opened to be written, for
nobody was told that it was there.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from raymask.errors import DataError
from raymask.gallery.lance_layout import MANIFESTS, delete_manifests, versions
from raymask.storage import Folder, sync_folder

DURABLE = "durable"
"""File beside the table with the number of its last version that is on disk."""


class Stamp(NamedTuple):
    """By which a file is known to have changed."""

    size: int
    changed: int
    """Nanoseconds."""


class Durability:
    """Syncs the files of one table that came since it was last asked to. Not for several threads at a time."""

    def __init__(self, folder: Folder, table: Path) -> None:
        """`table` lies in `folder`, on a local disk."""
        self._folder, self._table = folder, table
        self._synced: dict[str, Stamp] = {}

    def sync(self, version: int) -> None:
        """Bring all files to disk, then note that `version` is there. Raises OSError, or DataError for the note."""
        files = self._files()
        new = [path for path, stamp in files.items() if self._synced.get(path) != stamp]
        for path in new:
            _sync_file(path)
        changed = [*new, *(self._synced.keys() - files.keys())]  # what is erased has to stay so
        folders = {parent for path in changed for parent in Path(path).parents if parent.is_relative_to(self._table)}
        folders = {folder for folder in folders if folder.is_dir()}
        for folder in sorted(folders, reverse=True):  # a folder after those in it
            sync_folder(folder)
        self._folder.write(DURABLE, f"{version}\n".encode())
        self._synced = files

    def noted(self) -> int | None:
        """The last version that is on disk; None if no table ever was, or where it was copied without the note."""
        if not self._folder.exists(DURABLE):
            return None
        text = self._folder.read(DURABLE).decode(errors="replace").strip()
        if not text.isdecimal():
            raise DataError(f"{self._folder / DURABLE} is damaged; restore the gallery from a backup")
        return int(text)

    def dropped(self) -> int:
        """Forget versions that are not on disk; returns the number of the last of them, 0 if there were none."""
        durable = self.noted()
        later = [] if durable is None else [number for number in versions(self._table) if number > durable]
        if later:
            delete_manifests(self._table, later)
            sync_folder(self._table / MANIFESTS)
        return max(later, default=0)

    def _files(self) -> dict[str, Stamp]:
        """Files as they are now; one that an index build is still writing will have another stamp when it is done."""
        files = {}
        for folder, _, names in os.walk(self._table):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
                    status = os.stat(path)
                    files[path] = Stamp(status.st_size, status.st_mtime_ns)
        return files


def _sync_file(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # replaced since it was listed, as the hint of the latest version is
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
