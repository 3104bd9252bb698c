"""The writer's side of a gallery: enrolments and erasures that are on disk when they are acknowledged."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymask.errors import DataError, UnsavedError
from raymask.gallery.durability import Durability
from raymask.gallery.erasures import Erasures, read_erasures, write_erasures
from raymask.gallery.index import (
    compact,
    delete_rows,
    drop_deleted,
    extend_index,
    forget_versions,
    indexed_files,
    needs_index,
    rewrite_index,
)
from raymask.gallery.rows import Enrolment, as_table, gallery_schema
from raymask.gallery.table import (
    FAILURES,
    TABLE,
    Space,
    check_space,
    first_line,
    is_identity,
    open_table,
    read_space,
    table_uri,
    write_space,
)
from raymask.storage import Folder, make_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from lance import LanceDataset

_log = logging.getLogger(__name__)

LOCK = "lock"
COMPACT_AFTER = 128
"""Commits after which small data files are joined."""
_INDEX_TRIES = 5
_INDEX_AGAIN = 60
"""Seconds after which an index that could not be built is tried again."""
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
        self.folder = Folder(uri)
        self.space = space
        self._turn = threading.RLock()
        self._dataset: Any = None
        """The table as it is on disk; None after a failure, until it is opened again."""
        self._indexing: threading.Thread | None = None
        self._index_from = 0.0
        """Monotonic time from which an index may be built."""
        self._dropped = 0
        """The last version that was dropped: a search may have seen it, and its number is not used again."""
        self._commits = 0
        check_space(self.folder, space)
        self._lock = _locked(self.folder)
        try:
            if read_space(self.folder) is None:
                write_space(self.folder, space)
            self._erasures = read_erasures(self.folder) or self._no_erasures()
            self._index_stale = bool(self._erasures.unfinished)
            """Whether the index may know rows of data files that are gone."""
            self._reopen()
            self._finish_erasures()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process write; the gallery stays as it is."""
        if self._indexing is not None:
            self._indexing.join()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> GalleryStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Enrolled photos."""
        return len(self._keys)

    @property
    def erasures(self) -> Erasures:
        """Who was erased."""
        return self._erasures

    def photos(self) -> set[bytes]:
        """Keys of the photos that are enrolled now."""
        return set(self._keys)

    def enrol(self, enrolments: Sequence[Enrolment]) -> list[bool]:
        """Enrol photos in one commit; for each, whether it is new: one whose key is known changes nothing.

        Raises:
            ConfigError: an embedding does not fit.
            UnsavedError: the disk is full or fails; nothing of this call is enrolled.
        """
        with self._turn:
            self._open_again()
            for identity in {one.identity for one in enrolments}:
                if self._is_half_erased(identity):  # what is enrolled now is not what was to be erased
                    self._finish_erasure(identity)
            chosen: dict[bytes, Enrolment] = {}
            new = []
            for one in enrolments:
                new.append(one.key not in self._keys and one.key not in chosen)
                if new[-1]:
                    chosen[one.key] = one
            if chosen:
                self.append(as_table(list(chosen.values()), self.space.size))
            return new

    def append(self, rows: pa.Table) -> None:
        """Add rows of `gallery_schema` in one commit, whose keys are new. Raises UnsavedError."""
        import lance

        def act(dataset: LanceDataset) -> LanceDataset:
            fragments = lance.fragment.write_fragments(
                rows, dataset, schema=rows.schema, max_rows_per_file=100_000, mode="append"
            )
            append = lance.LanceOperation.Append(fragments)
            return lance.LanceDataset.commit(dataset, append, read_version=dataset.version)

        with self._turn:
            self._commit(act)
            self._keys.update(rows["photo"].to_pylist())
            self._commits += 1

    def erase(self, identity: str) -> int | None:
        """Erase a person: embeddings, photos and the name are in no file any more, old versions' included.

        Returns:
            How many photos were erased, not counting those of an attempt that failed; None if nobody has this name.

        Raises:
            UnsavedError: the disk fails; the erasure goes on when it is asked for again, or the gallery is opened.
        """
        with self._turn:
            self._open_again()
            added = [row["added"] for row in self._rows_of(identity)]
            if not added and not self._is_half_erased(identity):
                return None
            self._note(self._erasures.begun(identity, max([datetime.now(UTC), *added])))
            return self._finish_erasure(identity)

    def remember(self, erasures: Erasures) -> None:
        """Add another list's erasures to this one's, and erase what they cover here. Raises UnsavedError."""
        with self._turn:
            self._open_again()
            joined = self._erasures.joined(erasures)
            rows = self._dataset.to_table(columns=["identity", "added"]) if joined.times else None
            found = zip(rows["identity"].to_pylist(), rows["added"].to_pylist(), strict=True) if rows else ()
            covered = {identity for identity, added in found if joined.covers(identity, added)}
            unfinished = {Erasures.digest(identity) for identity in covered}
            self._note(replace(joined, unfinished=joined.unfinished | unfinished))
            for identity in sorted(covered):
                self._finish_erasure(identity)

    def maintain(self) -> None:
        """Join small files when there are many, and begin to index what waits for it. Raises UnsavedError."""
        with self._turn:
            if self._indexing is not None and self._indexing.is_alive():
                return  # joining files would make its work void
            self._settle_index()
            self._open_again()
            if self._commits >= COMPACT_AFTER:
                self._commits = 0
                self._commit(compact)
                self._commit(lambda dataset: forget_versions(dataset, older_than=_KEPT))
            if time.monotonic() >= self._index_from and needs_index(self._dataset):
                self._indexing = threading.Thread(target=self._index, name="gallery-index", daemon=True)
                self._indexing.start()

    def finish_index(self) -> None:
        """Wait until what should be indexed is. Raises UnsavedError."""
        self.maintain()
        for _ in range(_INDEX_TRIES):
            if self._indexing is None:
                return
            self._indexing.join()
            self.maintain()

    def _index(self) -> None:
        """On a dataset of its own, for enrolments go on meanwhile; it is synced with the next commit."""
        try:
            extend_index(open_table(self.folder))
        except FAILURES as error:  # searches go on without, and it is tried again
            self._index_from = time.monotonic() + _INDEX_AGAIN
            _log.warning("the gallery's index could not be extended: %s", first_line(error))

    def _settle_index(self) -> None:
        """Wait for an index that is being built, and go on from the version that it has made."""
        if self._indexing is not None:
            self._indexing.join()
            self._indexing = None
            self._commit(lambda _: open_table(self.folder))

    def _commit(self, act: Callable[[LanceDataset], LanceDataset | None]) -> None:
        """Change the table, in place or for the one that `act` returns, and sync it; where that fails, it is as it was
        before."""
        self._open_again()
        try:
            dataset = act(self._dataset) or self._dataset
            if self._durability is not None:
                self._durability.sync(dataset.version)
            self._dataset = dataset
        except FAILURES as error:
            self._dataset = None  # after a failed sync nobody knows what is on disk: what is noted is
            with suppress(*FAILURES):
                self._reopen()  # so that no search finds what was refused
            raise self._unsaved(error) from error

    def _open_again(self) -> None:
        """After a failure, what is on disk. Raises UnsavedError."""
        if self._dataset is not None:
            return
        try:
            self._reopen()
        except FAILURES as error:
            self._dataset = None
            raise self._unsaved(error) from error

    def _unsaved(self, error: Exception) -> UnsavedError:
        reason = getattr(error, "strerror", None) or first_line(error)
        return UnsavedError(
            f"the gallery {self.folder.uri} cannot be written ({reason}); check its disk's free space and rights"
        )

    def _reopen(self) -> None:
        """The last version that is on disk; leftovers of later ones are dropped.

        Raises DataError if what was acknowledged is not all there, before anything is written.
        """
        import lance

        local = self.folder.is_local
        table = Path(table_uri(self.folder))
        self._durability = Durability(self.folder, table) if local else None
        noted = None
        if self._durability:
            self._dropped = max(self._dropped, self._durability.dropped())
            noted = self._durability.noted()
            if noted is None and not any(table.glob("data/*")):
                shutil.rmtree(table, ignore_errors=True)  # it was being made
        if self._exists():
            dataset = open_table(self.folder)
            if noted is not None and dataset.version < noted:
                raise self._lost(f"version {noted}, the last that was acknowledged")
            while dataset.version <= self._dropped:
                dataset.restore()
                dataset = open_table(self.folder)
        else:
            if noted is not None or any(name.startswith(f"{TABLE}/data/") for name in self.folder.names()):
                raise self._lost("the list of its versions")
            dataset = lance.write_dataset(gallery_schema(self.space.size).empty_table(), table_uri(self.folder))
        if self._durability:
            self._durability.sync(dataset.version)
        if self._indexing is None:  # files of a write that was cut short take up room; an index being built is none
            forget_versions(dataset, older_than=timedelta(0))
        self._keys: set[bytes] = set(dataset.to_table(columns=["photo"])["photo"].to_pylist())
        self._dataset = dataset

    def _lost(self, what: str) -> DataError:
        return DataError(f"{self.folder.uri} is damaged: it lacks {what}; restore it from a backup into another folder")

    def _exists(self) -> bool:
        import lance

        try:
            lance.dataset(table_uri(self.folder))
        except ValueError as error:
            if "not found" in str(error).lower():
                return False
            raise DataError(f"{self.folder.uri} is damaged ({first_line(error)}); restore it from a backup") from None
        return True

    def _no_erasures(self) -> Erasures:
        none = Erasures()
        write_erasures(self.folder, none)
        return none

    def _finish_erasures(self) -> None:
        """Go on with erasures that were cut short."""
        if not self._erasures.unfinished:
            return
        column = self._dataset.to_table(columns=["identity"])["identity"]
        for identity in column.unique().to_pylist():
            if self._is_half_erased(identity):
                self._finish_erasure(identity)
        self._scrub()
        self._note(Erasures(self._erasures.times))  # rows of the others were gone already

    def _finish_erasure(self, identity: str) -> int:
        """Delete the rows that the list of erasures covers, from all files; returns of how many photos."""
        self._settle_index()  # it reads what is to go
        rows = [row for row in self._rows_of(identity) if self._erasures.covers(identity, row["added"])]
        if rows:
            files = self._files()
            self._commit(lambda dataset: delete_rows(dataset, (row["_rowid"] for row in rows)))
            self._index_stale |= bool((files - self._files()) & indexed_files(self._dataset))
        photos = {row["photo"] for row in rows}
        self._keys -= photos
        self._scrub()
        self._note(self._erasures.finished([identity]))
        return len(photos)

    def _is_half_erased(self, identity: str) -> bool:
        return Erasures.digest(identity) in self._erasures.unfinished

    def _files(self) -> set[int]:
        """Numbers of the table's data files."""
        return {fragment.fragment_id for fragment in self._dataset.get_fragments()}

    def _note(self, erasures: Erasures) -> None:
        try:
            write_erasures(self.folder, erasures)
        except DataError as error:
            raise self._unsaved(error) from error
        self._erasures = erasures

    def _scrub(self) -> None:
        """Leave deleted rows out of every file, the index's too, and delete the files that had them."""
        self._commit(drop_deleted)
        if self._index_stale:
            self._commit(rewrite_index)
            self._index_stale = False
        self._commit(lambda dataset: forget_versions(dataset, older_than=timedelta(0)))

    def _rows_of(self, identity: str) -> list[dict[str, Any]]:
        """Photo, time and number of each row."""
        found = self._dataset.to_table(columns=["photo", "added"], filter=is_identity(identity), with_row_id=True)
        return list(found.to_pylist())


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
