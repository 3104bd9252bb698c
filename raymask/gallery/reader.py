"""The searchers' side of a gallery: who is nearest, and who is enrolled. Fresh when asked to be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import numpy as np

from raymask.errors import DataError
from raymask.gallery.table import FAILURES, Space, check_space, first_line, is_identity, open_table
from raymask.gallery.view import Found, Likeness, View
from raymask.storage import Folder

T = TypeVar("T")

_PICTURES = 16
"""Kept photos that are read at a time, only to be counted."""
_TRIES = 3
"""Times that a table is read whose files are deleted meanwhile."""


class ChangedError(DataError):
    """A gallery's files were deleted while they were read, because it was compacted or somebody was erased."""


@dataclass(frozen=True, kw_only=True)
class EnrolledPhoto:
    """A photo of a person."""

    key: bytes
    added: datetime
    looks: tuple[str, ...]
    """Masks that were drawn on it to enrol it once more each, as `parse_look` takes them."""
    kept: bool
    """Whether the photo itself lies in the gallery."""


@dataclass(frozen=True, kw_only=True)
class KeptPhoto:
    """A photo of a person whose file lies in the gallery."""

    key: bytes
    added: datetime
    size: int
    """Bytes of the file."""


class Drawn(NamedTuple):
    """Some of the people enrolled, drawn by chance, in no order; of each a bare photo, drawn likewise. P people."""

    people: int
    """Enrolled in all."""
    names: list[str]
    """(P,) who was drawn."""
    vectors: np.ndarray
    """(P, D) float32, rows of length 1."""


class GalleryReader:
    """Searches a gallery that another process may be writing. Safe to share between threads."""

    def __init__(self, uri: str, space: Space) -> None:
        """Raises ModelError if the gallery holds another recogniser's embeddings, DataError if there is none."""
        self.folder = Folder(uri)
        self.space = space
        check_space(self.folder, space)
        self._turn = threading.Lock()
        self._view = self._loaded(None)

    @property
    def rows(self) -> int:
        """Embeddings."""
        return self._view.enrolled.embeddings

    @property
    def people(self) -> int:
        """Who has embeddings."""
        return self._view.enrolled.people

    @property
    def version(self) -> int:
        """Of the table, as far as it is known."""
        return int(self._view.dataset.version)

    def refresh(self) -> bool:
        """See what has been written since; returns whether there was something. Raises DataError."""
        with self._turn:
            try:
                if self._view.dataset.latest_version == self._view.dataset.version:
                    return False
            except FAILURES as error:
                raise self._unreadable(error) from None
            self._view = self._loaded(self._view)
            return True

    def search(self, queries: np.ndarray, people: int) -> Found:
        """The nearest people to each face, and how many are enrolled, of one version of the gallery.

        Args:
            queries: (F, D) float32, rows of length 1.
            people: how many for each face at most, 1 or more.

        Raises:
            DataError: the table cannot be read.
        """
        return self._read(lambda view: Found([view.search(query, people) for query in queries], view.enrolled))

    def compare(self, query: np.ndarray, identity: str) -> Likeness | None:
        """How near a face is to one person, whose embeddings are all compared; None if nobody has that name.

        Args:
            query: (D,) float32 of length 1.
            identity: the person's name.

        Raises:
            DataError: the table cannot be read.
        """
        return self._read(lambda view: view.compare(query, identity))

    def identities(self, *, after: str = "", limit: int = 100) -> list[tuple[str, int]]:
        """People by name and how many photos of each, those that come after a name."""
        quoted = after.replace("'", "''")
        found = self._read(
            lambda view: view.dataset.to_table(
                columns=["identity"], filter=f"identity > '{quoted}' AND look = ''" if after else "look = ''"
            )
        )
        counted = found["identity"].value_counts().to_pylist()
        people = sorted((item["values"], item["counts"]) for item in counted)
        return people[:limit]

    def enrolled_of(self, names: Collection[str]) -> set[str]:
        """Those of the names that are enrolled."""
        if not names:
            return set()
        chosen = " OR ".join(map(is_identity, names))
        found = self._read(lambda view: view.dataset.to_table(columns=["identity"], filter=chosen))
        return set(found["identity"].to_pylist())

    def draw(self, most: int, seed: int) -> Drawn:
        """People drawn by chance, all with the same chance, however many photos they have.

        Reads names and looks of all rows, but vectors only of those drawn.

        Args:
            most: people to draw; all, where fewer are enrolled.
            seed: of the draw.
        """

        def scan(view: View) -> Drawn:
            chance = np.random.default_rng(seed)
            bare = view.dataset.to_table(columns=["identity"], filter="look = ''", with_row_id=True)
            names = bare["identity"].combine_chunks().dictionary_encode().indices.to_numpy()
            mixed = chance.permutation(len(names))
            _, photos = np.unique(names[mixed], return_index=True)  # of each person the first in the mixed order
            drawn = bare["_rowid"].to_numpy()[mixed[chance.permutation(photos)[:most]]]
            if not len(drawn):
                return Drawn(0, [], np.zeros((0, self.space.size), np.float32))
            chosen = f"_rowid IN ({', '.join(map(str, drawn))})"
            rows = view.dataset.to_table(columns=["identity", "vector"], filter=chosen)
            rows = rows.take(chance.permutation(len(rows)))  # who takes only the first is not led to the oldest
            vectors = np.concatenate([chunk.flatten().to_numpy() for chunk in rows["vector"].chunks])
            return Drawn(len(photos), rows["identity"].to_pylist(), vectors.reshape(-1, self.space.size))

        return self._read(scan)

    def photos(self, identity: str) -> list[EnrolledPhoto]:
        """A person's photos in the order in which they came; none if the person is unknown."""
        found = self._read(
            lambda view: view.dataset.to_table(
                columns={"photo": "photo", "look": "look", "added": "added", "kept": "picture IS NOT NULL"},
                filter=is_identity(identity),
            )
        )
        photos: dict[bytes, EnrolledPhoto] = {}
        for row in sorted(found.to_pylist(), key=lambda row: (row["added"], row["photo"], row["look"])):
            known = photos.get(row["photo"])
            if known is None:
                photos[row["photo"]] = EnrolledPhoto(key=row["photo"], added=row["added"], looks=(), kept=row["kept"])
            else:
                looks = (*known.looks, row["look"])
                photos[row["photo"]] = EnrolledPhoto(key=known.key, added=known.added, looks=looks, kept=known.kept)
        return list(photos.values())

    def pictures(self, identity: str) -> list[KeptPhoto]:
        """A person's photos that were kept, in the order in which they came."""
        columns = ["photo", "added", "picture"]
        chosen = f"{is_identity(identity)} AND picture IS NOT NULL"

        def scan(view: View) -> list[KeptPhoto]:
            batches = view.dataset.to_batches(columns=columns, filter=chosen, batch_size=_PICTURES)
            return [
                KeptPhoto(key=row["photo"], added=row["added"], size=len(row["picture"]))
                for batch in batches
                for row in batch.to_pylist()
            ]

        return sorted(self._read(scan), key=lambda photo: (photo.added, photo.key))

    def picture(self, identity: str, key: bytes) -> bytes | None:
        """A photo's file, if it was kept."""
        found = self._read(
            lambda view: view.dataset.to_table(
                columns=["picture"], filter=f"{is_identity(identity)} AND photo = X'{key.hex()}' AND look = ''"
            )
        )
        pictures = found["picture"].to_pylist()
        return pictures[0] if pictures else None

    def batches(self) -> Iterator[Any]:
        """All rows of the version that is known, as Arrow batches.

        Raises:
            ChangedError: files of this version were deleted meanwhile; those of the next may be read.
        """
        try:
            yield from self._view.dataset.to_batches(batch_size=4096)
        except FAILURES as error:
            raise ChangedError(f"{self.folder.uri} changed while it was read ({first_line(error)})") from None

    def _read(self, act: Callable[[View], T]) -> T:
        """Read the table; of its latest version, where files of the known one are gone."""
        for attempt in range(_TRIES):
            try:
                return act(self._view)
            except FAILURES as error:
                if attempt == _TRIES - 1:
                    raise self._unreadable(error) from None
            with self._turn:
                self._view = self._loaded(self._view)
        raise AssertionError("unreachable")

    def _loaded(self, before: View | None) -> View:
        """The latest version; of the files that an earlier view has read none is read again."""
        for attempt in range(_TRIES):
            try:
                return View(open_table(self.folder), self.space.size, before)
            except FAILURES as error:
                if attempt == _TRIES - 1:
                    raise self._unreadable(error) from None
        raise AssertionError("unreachable")

    def _unreadable(self, error: Exception) -> DataError:
        if isinstance(error, DataError):
            return error
        return DataError(f"{self.folder.uri} cannot be read ({first_line(error)})")
