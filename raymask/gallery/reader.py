"""The searchers' side of a gallery: who is nearest, and who is enrolled. Fresh when asked to be."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from raymask.errors import DataError
from raymask.gallery.index import in_memory, nearest
from raymask.gallery.table import FAILURES, Space, check_space, first_line, is_identity, open_table
from raymask.storage import Folder

if TYPE_CHECKING:
    from lance import LanceDataset

_ROWS_PER_PERSON = 8
"""Rows fetched for each person wanted, at first; more while they are of too few people."""
_PICTURES = 16
"""Kept photos that are read at a time, only to be counted."""
_TRIES = 3
"""Times that a table is read whose files are deleted meanwhile."""


class ChangedError(DataError):
    """A gallery's files were deleted while they were read, because it was compacted or somebody was erased."""


class Candidate(NamedTuple):
    """A person enrolled, and how near."""

    identity: str
    score: float
    """Cosine similarity, -1 to 1, of the person's nearest embedding."""


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


class _InMemory:
    """Rows, and which files they came from."""

    def __init__(self, size: int) -> None:
        self.files: tuple[str, ...] = ()
        self.names: list[str] = []
        self._vectors = np.zeros((0, size), np.float32)

    def extended(self, rows: Iterable[Any], files: tuple[str, ...]) -> _InMemory:
        """With more rows: batches of identity and vector."""
        more = _InMemory(self._vectors.shape[1])
        batches = list(rows)
        names = [name for batch in batches for name in batch["identity"].to_pylist()]
        vectors = [batch["vector"].flatten().to_numpy().reshape(-1, self._vectors.shape[1]) for batch in batches]
        more.files, more.names = files, self.names + names
        more._vectors = np.concatenate([self._vectors, *vectors])
        return more

    def nearest(self, query: np.ndarray, rows: int) -> tuple[list[str], np.ndarray]:
        scores = self._vectors @ query
        if rows < len(scores):
            top = np.argpartition(scores, -rows)[-rows:]
            top = top[np.argsort(-scores[top], kind="stable")]
        else:
            top = np.argsort(-scores, kind="stable")
        return [self.names[place] for place in top], scores[top]


class _View(NamedTuple):
    """The gallery as a search sees it."""

    dataset: LanceDataset
    rows: int
    memory: _InMemory


class GalleryReader:
    """Searches a gallery that another process may be writing. Safe to share between threads."""

    def __init__(self, uri: str, space: Space) -> None:
        """Raises ModelError if the gallery holds another recogniser's embeddings, DataError if there is none."""
        self.folder = Folder(uri)
        self.space = space
        check_space(self.folder, space)
        self._turn = threading.Lock()
        self._view = self._loaded(_InMemory(space.size))

    @property
    def rows(self) -> int:
        """Embeddings."""
        return self._view.rows

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
            self._view = self._loaded(self._view.memory)
            return True

    def search(self, query: np.ndarray, people: int) -> list[Candidate]:
        """The nearest people, nearest first.

        Args:
            query: (D,) float32 of length 1.
            people: how many at most.

        Raises:
            DataError: the table cannot be read.
        """
        if not np.any(query) or not self.rows:
            return []
        rows = people * _ROWS_PER_PERSON
        while True:
            names, scores = self._nearest(query.astype(np.float32), rows)
            best: dict[str, float] = {}
            for name, score in zip(names, scores, strict=True):
                best.setdefault(name, float(score))
            if len(best) >= people or len(names) < rows:
                return [Candidate(*item) for item in list(best.items())[:people]]
            rows *= 4

    def _nearest(self, query: np.ndarray, rows: int) -> tuple[list[str], np.ndarray]:
        """Rows by name and score, nearest first: those in memory, and those in the files."""

        def scan(view: _View) -> tuple[list[str], np.ndarray]:
            names, scores = view.memory.nearest(query, rows)
            if view.rows == len(view.memory.names):
                return names, scores
            asked = nearest(view.dataset, query, rows, waiting=not view.memory.names)
            found = view.dataset.to_table(columns=["identity", "_distance"], **asked)
            names += found["identity"].to_pylist()
            scores = np.concatenate([scores, 1 - found["_distance"].to_numpy()])
            order = np.argsort(-scores, kind="stable")[:rows]
            return [names[place] for place in order], scores[order]

        return self._read(scan)

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

    def count_people(self) -> int:
        """People enrolled. Reads the column of names: 0.1 s a million."""
        return self._read(lambda view: len(view.dataset.to_table(columns=["identity"])["identity"].unique()))

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

        def scan(view: _View) -> Drawn:
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

        def scan(view: _View) -> list[KeptPhoto]:
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

    def _read(self, act: Any) -> Any:
        """Read the table; of its latest version, where files of the known one are gone."""
        for attempt in range(_TRIES):
            try:
                return act(self._view)
            except FAILURES as error:
                if attempt == _TRIES - 1:
                    raise self._unreadable(error) from None
            with self._turn:
                self._view = self._loaded(self._view.memory)
        raise AssertionError("unreachable")

    def _loaded(self, before: _InMemory) -> _View:
        """The latest version; of the files that are in memory none is read again."""
        for attempt in range(_TRIES):
            try:
                dataset = open_table(self.folder)
                return _View(dataset, int(dataset.count_rows()), self._extended(before, dataset))
            except FAILURES as error:
                if attempt == _TRIES - 1:
                    raise self._unreadable(error) from None
        raise AssertionError("unreachable")

    def _unreadable(self, error: Exception) -> DataError:
        if isinstance(error, DataError):
            return error
        return DataError(f"{self.folder.uri} cannot be read ({first_line(error)})")

    def _extended(self, before: _InMemory, dataset: LanceDataset) -> _InMemory:
        fragments = in_memory(dataset)
        files = tuple(_file(fragment) for fragment in fragments)
        known = len(before.files) if files[: len(before.files)] == before.files else 0
        if known == 0:
            before = _InMemory(self.space.size)
        new = fragments[known:]
        scanned = dataset.scanner(columns=["identity", "vector"], fragments=new).to_batches() if new else ()
        return before.extended(scanned, files)


def _file(fragment: Any) -> str:
    """By which a fragment is known: its files, and what was deleted from it."""
    meta = fragment.metadata
    return "|".join([*(file.path for file in meta.files), str(meta.deletion_file)])
