"""The writer's side of a gallery: enrolments and erasures that are on disk when they are acknowledged."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from raymask.errors import DataError
from raymask.gallery.erasing import Erasing, read_or_begin_erasures
from raymask.gallery.erasures import Erasures
from raymask.gallery.index import compact, forget_versions
from raymask.gallery.index_builder import IndexBuilder
from raymask.gallery.rows import Enrolment, as_table
from raymask.gallery.synced_table import SyncedTable
from raymask.gallery.table import Space, check_space, read_space, write_space
from raymask.storage import Folder, make_folder

if TYPE_CHECKING:
    import pyarrow as pa

LOCK = "lock"
COMPACT_AFTER = 128
"""Commits after which small data files are joined."""
_INDEX_TRIES = 5
_KEPT = timedelta(seconds=60)
"""How long versions are kept for searches that still read them."""


class GalleryStore:
    """The only writer of a gallery. Its methods take turns; an index is built beside them, in a thread of its own.

    A call that returns has left its rows on disk; one that raises may have left them, and may be made again.
    """

    def __init__(self, uri: str | os.PathLike[str], space: Space) -> None:
        """Open the gallery, or make it.

        Raises:
            ModelError: it holds another recogniser's embeddings.
            DataError: it is damaged, cannot be written, or another process writes it.
        """
        folder = Folder(uri)
        self.space = space
        self._turn = threading.RLock()
        self._commits = 0
        """Appended since small data files were joined."""
        check_space(folder, space)
        self._lock = _locked(folder)
        try:
            if read_space(folder) is None:
                write_space(folder, space)
            erasures = read_or_begin_erasures(folder)
            self._table = SyncedTable(folder, space.size)
            self._index = IndexBuilder(self._table)
            self._erasing = Erasing(self._table, self._index, erasures)
            self._erasing.finish_all()
        except BaseException:
            self._unlock()
            raise

    def close(self) -> None:
        """Let another process write; the gallery stays as it is."""
        self._index.wait()
        self._unlock()

    def __enter__(self) -> GalleryStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Enrolled photos."""
        return len(self._table.keys)

    @property
    def folder(self) -> Folder:
        """Where it lies."""
        return self._table.folder

    @property
    def erasures(self) -> Erasures:
        """Who was erased."""
        return self._erasing.erasures

    def photos(self) -> set[bytes]:
        """Keys of the photos that are enrolled now."""
        return set(self._table.keys)

    def enrol(self, enrolments: Sequence[Enrolment]) -> list[bool]:
        """Enrol photos in one commit; for each, whether it is new: one whose key is known changes nothing.

        Raises:
            ConfigError: an embedding does not fit.
            UnsavedError: the disk is full or fails; nothing of this call is enrolled.
        """
        with self._turn:
            self._table.ensure_open()
            for identity in {one.identity for one in enrolments}:
                if self._erasing.is_unfinished(identity):  # what is enrolled now is not what was to be erased
                    self._erasing.finish(identity)
            chosen: dict[bytes, Enrolment] = {}
            new = []
            for one in enrolments:
                new.append(one.key not in self._table.keys and one.key not in chosen)
                if new[-1]:
                    chosen[one.key] = one
            if chosen:
                self.append(as_table(list(chosen.values()), self.space.size))
            return new

    def append(self, rows: pa.Table) -> None:
        """Add rows of `gallery_schema` in one commit, whose keys are new. Raises UnsavedError."""
        with self._turn:
            self._table.append(rows)
            self._commits += 1

    def erase(self, identity: str) -> int | None:
        """Erase a person: embeddings, photos and the name are in no file any more, old versions' included.

        Returns:
            How many photos were erased, not counting those of an attempt that failed; None if nobody has this name.

        Raises:
            UnsavedError: the disk fails; the erasure goes on when it is asked for again, or the gallery is opened.
        """
        with self._turn:
            return self._erasing.erase(identity)

    def delete_pictures(self, identity: str, key: bytes | None = None) -> int | None:
        """Delete kept photos from all files, old versions' included. The person stays enrolled, embeddings and all.

        Args:
            identity: whose.
            key: of which photo; None: of all.

        Returns:
            How many were deleted, not counting those of an attempt that failed; None if none was kept.

        Raises:
            UnsavedError: as `erase`.
        """
        with self._turn:
            return self._erasing.delete_pictures(identity, key)

    def remember(self, erasures: Erasures) -> None:
        """Add another list's erasures to this one's, and erase what they cover here. Raises UnsavedError."""
        with self._turn:
            self._erasing.remember(erasures)

    def maintain(self) -> None:
        """Join small files when there are many, and begin to index what waits for it. Raises UnsavedError."""
        with self._turn:
            if self._index.at_work:
                return  # joining files would make its work void
            self._index.settle()
            self._table.ensure_open()
            if self._commits >= COMPACT_AFTER:
                self._commits = 0
                self._table.commit(compact)
                self._table.commit(lambda dataset: forget_versions(dataset, older_than=_KEPT))
            self._index.begin()

    def finish_index(self) -> None:
        """Wait until what should be indexed is. Raises UnsavedError."""
        self.maintain()
        for _ in range(_INDEX_TRIES):
            if not self._index.wait():
                return
            self.maintain()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(folder: Folder) -> int | None:
    """Take the gallery's lock, where it lies on a disk; on remote storage it is for the caller to be the only one."""
    if not folder.is_local:
        return None
    try:
        make_folder(Path(folder.uri))
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataError(f"{folder.uri} cannot be written ({error.strerror}); check its rights") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise DataError(f"{folder.uri} is being written by another process; stop that one first") from None
    return descriptor
