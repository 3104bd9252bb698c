"""Group commits: enrolments and erasures that come while others are being written go to disk together."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from raymask.errors import UnsavedError
from raymask.gallery.rows import Enrolment, check_embeddings
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import first_line

_log = logging.getLogger(__name__)

GROUP = 512
"""Photos of a commit at most."""
WAITING = 4096
"""Requests that may wait."""
_NOTHING = object()


class _Enrol(NamedTuple):
    enrolment: Enrolment
    done: Future[bool]


class _Erase(NamedTuple):
    act: Callable[[], int | None]
    done: Future[int | None]


class GroupCommitter:
    """A thread that writes what it is given, in order, as many enrolments in a commit as have come meanwhile."""

    def __init__(self, store: GalleryStore) -> None:
        self._store = store
        self._queue: queue.Queue[_Enrol | _Erase | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="gallery-writer", daemon=True)
        self._thread.start()

    def enrol(self, enrolment: Enrolment) -> Future[bool]:
        """Whether the photo is new, once it is on disk; or UnsavedError if it cannot be written.

        Raises:
            ConfigError: an embedding does not fit.
            UnsavedError: too much waits already.
        """
        check_embeddings(enrolment, self._store.space.size)
        item = _Enrol(enrolment, Future())
        self._put(item)
        return item.done

    def erase(self, identity: str) -> Future[int | None]:
        """As `GalleryStore.erase`, once it is done. Raises UnsavedError as `enrol`."""
        return self._erased(partial(self._store.erase, identity))

    def delete_pictures(self, identity: str, key: bytes | None) -> Future[int | None]:
        """As `GalleryStore.delete_pictures`, once it is done. Raises UnsavedError as `enrol`."""
        return self._erased(partial(self._store.delete_pictures, identity, key))

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """Whether it still writes."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Write what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    def _erased(self, act: Callable[[], int | None]) -> Future[int | None]:
        item = _Erase(act, Future())
        self._put(item)
        return item.done

    def _put(self, item: _Enrol | _Erase) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            raise UnsavedError(f"the gallery's writer has {WAITING} requests waiting; try again later") from None

    def _run(self) -> None:
        after: _Erase | object | None = _NOTHING
        while True:
            item = self._queue.get() if after is _NOTHING else after
            after = _NOTHING
            if isinstance(item, _Enrol):
                group, after = self._group(item)
                self._enrol(group)
            elif isinstance(item, _Erase):
                self._erase(item)
            else:
                return

    def _group(self, first: _Enrol) -> tuple[list[_Enrol], _Erase | object | None]:
        """Enrolments that wait, and what comes after them, if that is none: an erasure, or None, the end."""
        group = [first]
        while len(group) < GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if not isinstance(item, _Enrol):
                return group, item
            group.append(item)
        return group, _NOTHING

    def _enrol(self, group: list[_Enrol]) -> None:
        group = [item for item in group if item.done.set_running_or_notify_cancel()]  # others were given up
        if not group:
            return
        try:
            new = self._store.enrol([item.enrolment for item in group])
        except Exception as error:  # whoever waits must hear of it, and the thread goes on
            for item in group:
                item.done.set_exception(error)
            return
        for item, is_new in zip(group, new, strict=True):
            item.done.set_result(is_new)
        try:
            self._store.maintain()
        except Exception as error:  # what was acknowledged is on disk; the next one meets the fault, and is told
            _log.warning("the gallery could not be compacted: %s", first_line(error))

    def _erase(self, item: _Erase) -> None:
        if not item.done.set_running_or_notify_cancel():
            return
        try:
            item.done.set_result(item.act())
        except Exception as error:  # as above
            item.done.set_exception(error)
