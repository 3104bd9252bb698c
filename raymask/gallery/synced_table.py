"""The table as its writer has it: what counts is what is synced, and after a failure it is opened again as that."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymask.errors import DataError, UnsavedError
from raymask.gallery.durability import Durability
from raymask.gallery.index import forget_versions
from raymask.gallery.lance_layout import DATA, says_absent
from raymask.gallery.rows import gallery_schema
from raymask.gallery.table import FAILURES, TABLE, first_line, is_identity, open_table, table_uri
from raymask.storage import Folder

if TYPE_CHECKING:
    import pyarrow as pa
    from lance import LanceDataset


class SyncedTable:
    """The one writer's table. Not for several threads at a time, nor for several writers."""

    def __init__(self, folder: Folder, size: int) -> None:
        """Open the table, or make it for embeddings of `size` values.

        Raises:
            DataError: it is damaged.
        """
        self.folder, self._size = folder, size
        self.keys: set[bytes] = set()
        """Of the photos in it, so that none is enrolled twice; who deletes rows takes theirs out."""
        self.index_is_built = False
        """Whether a thread writes files beside, of no version yet, which must not be taken for leftovers."""
        self._durability: Durability | None = None
        self._dropped = 0
        """The last version that was dropped: a search may have seen it, and its number is not used again."""
        self._dataset: Any = None
        self._open()

    @property
    def dataset(self) -> LanceDataset:
        """What is on disk. Raises UnsavedError as `ensure_open`."""
        self.ensure_open()
        return self._dataset

    def ensure_open(self) -> None:
        """After a failure, open it as it is on disk. Raises UnsavedError if that fails, too."""
        if self._dataset is not None:
            return
        try:
            self._open()
        except FAILURES as error:
            self._dataset = None
            raise self.unsaved(error) from error

    def commit(self, act: Callable[[LanceDataset], LanceDataset | None]) -> None:
        """Change the table, in place or for the one that `act` returns, and sync it.

        Raises:
            UnsavedError: that failed; the table is as it was before.
        """
        dataset = self.dataset
        try:
            dataset = act(dataset) or dataset
            if self._durability is not None:
                self._durability.sync(dataset.version)
            self._dataset = dataset
        except FAILURES as error:
            self._dataset = None  # after a failed sync nobody knows what is on disk: what is noted is
            with suppress(*FAILURES):
                self._open()  # so that no search finds what was refused
            raise self.unsaved(error) from error

    def append(self, rows: pa.Table) -> None:
        """Add rows of `gallery_schema` in one commit, whose keys are new. Raises UnsavedError."""
        import lance

        def act(dataset: LanceDataset) -> LanceDataset:
            fragments = lance.fragment.write_fragments(
                rows, dataset, schema=rows.schema, max_rows_per_file=100_000, mode="append"
            )
            append = lance.LanceOperation.Append(fragments)
            return lance.LanceDataset.commit(dataset, append, read_version=dataset.version)

        self.commit(act)
        self.keys.update(rows["photo"].to_pylist())

    def rows_of(self, identity: str) -> list[dict[str, Any]]:
        """Photo, time, whether its file was kept, and number (`_rowid`) of each row of a person."""
        columns = {"photo": "photo", "added": "added", "kept": "picture IS NOT NULL"}
        found = self.dataset.to_table(columns=columns, filter=is_identity(identity), with_row_id=True)
        return list(found.to_pylist())

    def files(self) -> set[int]:
        """Numbers of the data files."""
        return {fragment.fragment_id for fragment in self.dataset.get_fragments()}

    def unsaved(self, error: Exception) -> UnsavedError:
        """What is told of an error of the disk, or of Lance."""
        reason = getattr(error, "strerror", None) or first_line(error)
        return UnsavedError(
            f"the gallery {self.folder.uri} cannot be written ({reason}); check its disk's free space and rights"
        )

    def _open(self) -> None:
        """The last version that is on disk; leftovers of later ones are dropped.

        Raises DataError if what was acknowledged is not all there, before anything is written.
        """
        noted = self._noted()
        if self._exists():
            dataset = open_table(self.folder)
            if noted is not None and dataset.version < noted:
                raise self._lost(f"version {noted}, the last that was acknowledged")
            while dataset.version <= self._dropped:
                dataset.restore()
                dataset = open_table(self.folder)
        else:
            if noted is not None or self._has_data():
                raise self._lost("the list of its versions")
            dataset = self._made()
        if self._durability:
            self._durability.sync(dataset.version)
        if not self.index_is_built:  # files of a write that was cut short take up room
            forget_versions(dataset, older_than=timedelta(0))
        self.keys = set(dataset.to_table(columns=["photo"])["photo"].to_pylist())
        self._dataset = dataset

    def _noted(self) -> int | None:
        """The version that has to be there, with later ones dropped; None where no note says so."""
        if not self.folder.is_local:
            return None
        table = Path(table_uri(self.folder))
        self._durability = Durability(self.folder, table)
        self._dropped = max(self._dropped, self._durability.dropped())
        noted = self._durability.noted()
        if noted is None and not self._has_data():
            shutil.rmtree(table, ignore_errors=True)  # it was being made
        return noted

    def _has_data(self) -> bool:
        return any(name.startswith(f"{TABLE}/{DATA}/") for name in self.folder.names())

    def _made(self) -> LanceDataset:
        import lance

        return lance.write_dataset(gallery_schema(self._size).empty_table(), table_uri(self.folder))

    def _exists(self) -> bool:
        import lance

        try:
            lance.dataset(table_uri(self.folder))
        except ValueError as error:
            if says_absent(error):
                return False
            raise DataError(f"{self.folder.uri} is damaged ({first_line(error)}); restore it from a backup") from None
        return True

    def _lost(self, what: str) -> DataError:
        return DataError(f"{self.folder.uri} is damaged: it lacks {what}; restore it from a backup into another folder")
