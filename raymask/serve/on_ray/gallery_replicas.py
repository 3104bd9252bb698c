"""The gallery on Ray Serve: one process that writes, and those that search. Neither has to load torch."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from raymask.calibration.table import SearchTable
from raymask.errors import ChangingError, DataError
from raymask.gallery.committer import GroupCommitter
from raymask.gallery.reader import EnrolledPhoto, GalleryReader, KeptPhoto
from raymask.gallery.rows import Enrolment
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space, first_line, read_space
from raymask.gallery.view import Found, Likeness
from raymask.serve.core.gallery_checks import GalleryChecks, GalleryState, warning_of
from raymask.serve.on_ray.metrics import GalleryMetrics, ReplicaMetrics
from raymask.storage import Folder

FRESH = 0.25
"""Seconds after which a search has seen what was written."""
_STALE = 60
"""Seconds for which a search goes on with what it has read, while the gallery cannot be read again."""
_PATIENCE = 60
"""Seconds that a replica waits for another to let go of the gallery, or to make it."""
_CHECKS = 600
"""Seconds between two checks of the gallery, at least."""


class GalleryName(NamedTuple):
    """Which gallery is meant."""

    uri: str
    digest: str
    """Of the space of its embeddings."""

    def check(self, asked: GalleryName) -> None:
        """Raises ChangingError for a call that means another."""
        if asked != self:
            raise ChangingError("the service is changing to another gallery; ask again in a few seconds")


class GalleryWriterReplica:
    """The gallery's only writer."""

    def __init__(self, uri: str, space: Space) -> None:
        """Raises ModelError if the gallery holds another recogniser's embeddings, DataError if it cannot be written."""
        self._store = _patiently(lambda: GalleryStore(uri, space))
        self._committer = GroupCommitter(self._store)
        self._name = GalleryName(uri, space.digest)
        self._metrics = ReplicaMetrics()

    async def enrol(self, gallery: GalleryName, enrolment: Enrolment) -> bool:
        """As `GalleryClient.enrol`; here and below, ChangingError if `gallery` is another."""
        with self._metrics():
            self._name.check(gallery)
            return await asyncio.wrap_future(self._committer.enrol(enrolment))

    async def erase(self, gallery: GalleryName, identity: str) -> int | None:
        """As `GalleryClient.erase`."""
        with self._metrics():
            self._name.check(gallery)
            return await asyncio.wrap_future(self._committer.erase(identity))

    async def delete_pictures(self, gallery: GalleryName, identity: str, key: bytes | None) -> int | None:
        """As `GalleryClient.delete_pictures`."""
        with self._metrics():
            self._name.check(gallery)
            return await asyncio.wrap_future(self._committer.delete_pictures(identity, key))

    async def ping(self) -> bool:
        """Whether it hears, and writes."""
        return self._committer.alive

    def check_health(self) -> None:
        """For Serve, which replaces the replica if this raises."""
        if not self._committer.alive:
            raise RuntimeError("the gallery's writer has ended")

    def __del__(self) -> None:
        if hasattr(self, "_committer"):
            self._committer.close()
        if hasattr(self, "_store"):
            self._store.close()


class GallerySearchReplica:
    """Searches the gallery, and sees within FRESH seconds what was written.

    Beside that a thread checks what the thresholds promise; see `self_check`, which leaves searches most of a core.
    """

    def __init__(self, uri: str, space: Space, searches: SearchTable | None = None) -> None:
        """`searches`: what the thresholds promise; None: nothing to check. Raises as `GalleryReader`."""
        self._reader = _patiently(lambda: _reader(uri, space))
        self._name = GalleryName(uri, space.digest)
        self._log = logging.getLogger("ray.serve")
        self._metrics = ReplicaMetrics()
        self._read_at = time.monotonic()
        self._following = threading.Thread(target=self._follow, name="gallery-follow", daemon=True)
        self._following.start()
        self._checks = GalleryChecks(self._reader, searches)
        if searches is not None:
            threading.Thread(target=self._check, name="gallery-check", daemon=True).start()

    def _follow(self) -> None:
        while True:
            time.sleep(FRESH)
            try:
                self._reader.refresh()
                self._read_at = time.monotonic()
            except Exception as error:  # searches go on with what was read before, for a while
                self._log.warning("the gallery could not be read again: %s", first_line(error))

    def _check(self) -> None:
        tell = GalleryMetrics()
        while True:
            try:
                checked = self._checks.update()
                tell(self._checks.last)
                if checked and (warning := warning_of(self._checks.last)):
                    self._log.warning(warning)
            except Exception as error:  # it is tried again, and searches are answered meanwhile
                self._log.warning("the gallery could not be checked: %s", first_line(error))
            time.sleep(_CHECKS)

    async def search(self, gallery: GalleryName, embeddings: np.ndarray, people: int) -> Found:
        """As `GalleryClient.search`; here and below, ChangingError if `gallery` is another."""
        with self._metrics():
            self._name.check(gallery)
            return await asyncio.to_thread(self._reader.search, embeddings, people)

    async def compare(self, gallery: GalleryName, embedding: np.ndarray, identity: str) -> Likeness | None:
        """As `GalleryClient.compare`."""
        with self._metrics():
            self._name.check(gallery)
            return await asyncio.to_thread(self._reader.compare, embedding, identity)

    async def identities(self, gallery: GalleryName, after: str, limit: int) -> list[tuple[str, int]]:
        """As `GalleryClient.identities`."""
        self._name.check(gallery)
        return await asyncio.to_thread(lambda: self._reader.identities(after=after, limit=limit))

    async def state(self, gallery: GalleryName) -> GalleryState:
        """As `GalleryClient.state`."""
        self._name.check(gallery)
        return await asyncio.to_thread(self._checks.state)

    async def photos(self, gallery: GalleryName, identity: str) -> list[EnrolledPhoto]:
        """As `GalleryClient.photos`."""
        self._name.check(gallery)
        return await asyncio.to_thread(self._reader.photos, identity)

    async def pictures(self, gallery: GalleryName, identity: str) -> list[KeptPhoto]:
        """As `GalleryClient.pictures`."""
        self._name.check(gallery)
        return await asyncio.to_thread(lambda: self._fresh().pictures(identity))

    async def picture(self, gallery: GalleryName, identity: str, key: bytes) -> bytes | None:
        """As `GalleryClient.picture`."""
        self._name.check(gallery)
        return await asyncio.to_thread(lambda: self._fresh().picture(identity, key))

    def _fresh(self) -> GalleryReader:
        """The reader, which sees all that was acknowledged: no photo is shown that was deleted."""
        self._reader.refresh()
        return self._reader

    async def ping(self) -> bool:
        """Whether it hears, and follows what is written."""
        return self._follows()

    def check_health(self) -> None:
        """For Serve, which replaces the replica if this raises."""
        if not self._follows():
            raise RuntimeError("the gallery is not followed any more")

    def _follows(self) -> bool:
        """A replica that cannot read the gallery again does not know who was erased meanwhile."""
        return self._following.is_alive() and time.monotonic() - self._read_at < _STALE


def _reader(uri: str, space: Space) -> GalleryReader:
    if read_space(Folder(uri)) is None:
        raise DataError(f"{uri} holds no gallery yet")
    return GalleryReader(uri, space)


def _patiently(make: Callable[[], Any]) -> Any:
    """What `make` makes, once the gallery is there and nobody else writes it."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return make()
        except DataError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
