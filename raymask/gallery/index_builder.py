"""The index, built in a thread of its own while enrolments go on."""

from __future__ import annotations

import logging
import threading
import time

from raymask.gallery.index import extend_index, needs_index
from raymask.gallery.synced_table import SyncedTable
from raymask.gallery.table import FAILURES, first_line, open_table

_log = logging.getLogger(__name__)

_AGAIN = 60
"""Seconds after which an index that could not be built is tried again."""


class IndexBuilder:
    """Builds one index at a time. Only `wait` is for any thread."""

    def __init__(self, table: SyncedTable) -> None:
        self._table = table
        self._thread: threading.Thread | None = None
        """What builds, or has built an index that is not settled yet."""
        self._not_before = 0.0
        """Monotonic time from which an index may be built."""

    @property
    def at_work(self) -> bool:
        """Whether an index is being built."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self) -> None:
        """Build one, if rows wait for it. The previous one must have been settled."""
        if time.monotonic() >= self._not_before and needs_index(self._table.dataset):
            self._table.index_is_built = True
            self._thread = threading.Thread(target=self._build, name="gallery-index", daemon=True)
            self._thread.start()

    def wait(self) -> bool:
        """Wait until the one under way is built; returns whether there was one."""
        thread = self._thread
        if thread is not None:
            thread.join()
        return thread is not None

    def settle(self) -> None:
        """Wait for the one under way, and go on from the version that it has made. Raises UnsavedError."""
        if self.wait():
            self._thread = None
            self._table.index_is_built = False
            self._table.commit(lambda _: open_table(self._table.folder))

    def _build(self) -> None:
        """On a dataset of its own; it is synced with the next commit."""
        try:
            extend_index(open_table(self._table.folder))
        except FAILURES as error:  # searches go on without, and it is tried again
            self._not_before = time.monotonic() + _AGAIN
            _log.warning("the gallery's index could not be extended: %s", first_line(error))
