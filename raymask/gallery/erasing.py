"""Erasing: what is erased leaves every file, and an erasure that was cut short is finished."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from raymask.errors import DataError
from raymask.gallery.erasures import Erasures, read_erasures, write_erasures
from raymask.gallery.index import (
    delete_rows,
    drop_deleted,
    empty_pictures,
    forget_versions,
    indexed_files,
    rewrite_index,
)
from raymask.gallery.index_builder import IndexBuilder
from raymask.gallery.synced_table import SyncedTable
from raymask.storage import Folder

if TYPE_CHECKING:
    from lance import LanceDataset


class Erasing:
    """Erases from the one writer's table.

    The list of erasures is written before anything is deleted and once all is gone, so that whoever opens the gallery
    knows what is unfinished.
    """

    def __init__(self, table: SyncedTable, index: IndexBuilder, erasures: Erasures) -> None:
        """`erasures`: the list of the table's folder."""
        self._table, self._index = table, index
        self.erasures = erasures
        self._index_stale = bool(erasures.unfinished)
        """Whether the index may know rows of data files that are gone."""

    def is_unfinished(self, identity: str) -> bool:
        """Whether an erasure of this person, or of a kept photo, was begun, and failed."""
        return Erasures.digest(identity) in self.erasures.unfinished

    def erase(self, identity: str) -> int | None:
        """As `GalleryStore.erase`."""
        added = [row["added"] for row in self._table.rows_of(identity)]
        if not added and not self.is_unfinished(identity):
            return None
        self._note(self.erasures.begun(identity, max([datetime.now(UTC), *added])))
        return self.finish(identity)

    def delete_pictures(self, identity: str, key: bytes | None) -> int | None:
        """As `GalleryStore.delete_pictures`."""
        failed_before = self.is_unfinished(identity)
        if failed_before:
            self.finish(identity)
        rows = [row for row in self._table.rows_of(identity) if row["kept"] and key in (None, row["photo"])]
        if not rows:
            return 0 if failed_before else None
        self._note(self.erasures.unfinished_for([identity]))  # without a time: nothing that is enrolled is covered
        self._index.settle()
        self._take_out(lambda dataset: empty_pictures(dataset, (row["_rowid"] for row in rows)))
        self.finish(identity)
        return len(rows)

    def remember(self, erasures: Erasures) -> None:
        """As `GalleryStore.remember`."""
        joined = self.erasures.joined(erasures)
        rows = self._table.dataset.to_table(columns=["identity", "added"]) if joined.times else None
        found = zip(rows["identity"].to_pylist(), rows["added"].to_pylist(), strict=True) if rows else ()
        covered = {identity for identity, added in found if joined.covers(identity, added)}
        self._note(joined.unfinished_for(covered))
        for identity in sorted(covered):
            self.finish(identity)

    def finish_all(self) -> None:
        """Finish erasures that were cut short. Raises UnsavedError."""
        if not self.erasures.unfinished:
            return
        column = self._table.dataset.to_table(columns=["identity"])["identity"]
        for identity in column.unique().to_pylist():
            if self.is_unfinished(identity):
                self.finish(identity)
        self._scrub()
        self._note(Erasures(self.erasures.times))  # rows of the others were gone already

    def finish(self, identity: str) -> int:
        """Delete the rows that the list covers, from all files; returns of how many photos. Raises UnsavedError."""
        self._index.settle()  # it reads what is to go
        rows = [row for row in self._table.rows_of(identity) if self.erasures.covers(identity, row["added"])]
        if rows:
            self._take_out(lambda dataset: delete_rows(dataset, (row["_rowid"] for row in rows)))
        photos = {row["photo"] for row in rows}
        self._table.keys -= photos
        self._scrub()
        self._note(self.erasures.finished([identity]))
        return len(photos)

    def _take_out(self, act: Callable[[LanceDataset], None]) -> None:
        """Take rows out of their files. Lance leaves in the index what was in a file that goes as a whole."""
        files = self._table.files()
        self._table.commit(act)
        self._index_stale |= bool((files - self._table.files()) & indexed_files(self._table.dataset))

    def _scrub(self) -> None:
        """Leave deleted rows out of every file, the index's too, and delete the files that had them."""
        self._table.commit(drop_deleted)
        if self._index_stale:
            self._table.commit(rewrite_index)
            self._index_stale = False
        self._table.commit(lambda dataset: forget_versions(dataset, older_than=timedelta(0)))

    def _note(self, erasures: Erasures) -> None:
        try:
            write_erasures(self._table.folder, erasures)
        except DataError as error:
            raise self._table.unsaved(error) from error
        self.erasures = erasures


def read_or_begin_erasures(folder: Folder) -> Erasures:
    """The folder's list; a new one, written there, if it has none. Raises DataError."""
    known = read_erasures(folder)
    if known is None:
        known = Erasures()
        write_erasures(folder, known)
    return known
