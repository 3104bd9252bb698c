"""A gallery as a search sees it: rows that are compared in memory, and rows that stay in their files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from raymask.gallery.index import in_memory, nearest
from raymask.gallery.table import is_identity

if TYPE_CHECKING:
    from lance import LanceDataset, LanceFragment

_ROWS_PER_PERSON = 8
"""Rows fetched for each person wanted, at first; more while they are of too few people."""
_NOBODY = np.zeros(0, np.int64)


class Candidate(NamedTuple):
    """A person enrolled, and how near."""

    identity: str
    score: float
    """Cosine similarity, -1 to 1, of the person's nearest embedding."""


class GallerySize(NamedTuple):
    """How much is enrolled."""

    people: int
    embeddings: int


class Found(NamedTuple):
    """Who is nearest to each of F faces, and among how many."""

    candidates: list[list[Candidate]]
    """(F,) the nearest people, nearest first."""
    enrolled: GallerySize


class Likeness(NamedTuple):
    """How near a face is to one person."""

    score: float
    """Cosine similarity, -1 to 1, of the person's nearest embedding."""
    embeddings: int
    """How many the person has."""


class View:
    """A version of the gallery's table."""

    def __init__(self, dataset: LanceDataset, size: int, before: View | None = None) -> None:
        """
        Args:
            dataset: the version.
            size: values of an embedding.
            before: an earlier view, of whose files none is read again.
        """
        self.dataset = dataset
        fragments = in_memory(dataset)
        numbers = {fragment.fragment_id for fragment in fragments}
        others = [one for one in dataset.get_fragments() if one.fragment_id not in numbers]
        self.memory: _InMemory = (before.memory if before else _InMemory(size)).now(dataset, fragments)
        self._filed: _Filed = (before._filed if before else _Filed({})).now(others)
        people = len(self._filed.people) + _count_new(self.memory.people, self._filed.people)
        self.enrolled = GallerySize(people, int(dataset.count_rows()))

    def search(self, query: np.ndarray, people: int) -> list[Candidate]:
        """As `GalleryReader.search`, for one face."""
        if not np.any(query) or not self.enrolled.embeddings:
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
        names, scores = self.memory.nearest(query, rows)
        if self.enrolled.embeddings == len(self.memory.names):
            return names, scores
        asked = nearest(self.dataset, query, rows, waiting=not self.memory.names)
        found = self.dataset.to_table(columns=["identity", "_distance"], **asked)
        names += found["identity"].to_pylist()
        scores = np.concatenate([scores, 1 - found["_distance"].to_numpy()])
        order = np.argsort(-scores, kind="stable")[:rows]
        return [names[place] for place in order], scores[order]

    def compare(self, query: np.ndarray, identity: str) -> Likeness | None:
        """As `GalleryReader.compare`."""
        rows = self.dataset.to_table(columns=["vector"], filter=is_identity(identity))
        if not rows.num_rows:
            return None
        scores = _vectors(rows.to_batches(), len(query)) @ query.astype(np.float32)
        return Likeness(float(scores.max()), rows.num_rows)


class _InMemory:
    """Rows, and which files they came from."""

    def __init__(self, size: int) -> None:
        self.names: list[str] = []
        self.people = _NOBODY
        """(P,) as `_people`."""
        self._files: tuple[str, ...] = ()
        self._vectors = np.zeros((0, size), np.float32)

    def now(self, dataset: LanceDataset, fragments: Sequence[LanceFragment]) -> _InMemory:
        """The rows of these files, of which only those are read that came behind the ones that are here."""
        size, files = self._vectors.shape[1], tuple(map(_file, fragments))
        known = len(self._files) if files[: len(self._files)] == self._files else 0
        before = self if known else _InMemory(size)
        new = list(fragments[known:])
        batches = list(dataset.scanner(columns=["identity", "vector"], fragments=new).to_batches()) if new else []
        names = [name for batch in batches for name in batch["identity"].to_pylist()]
        more = _InMemory(size)
        more._files, more.names = files, before.names + names
        more.people = _distinct(before.people, _people(names))
        more._vectors = np.concatenate([before._vectors, _vectors(batches, size)])
        return more

    def nearest(self, query: np.ndarray, rows: int) -> tuple[list[str], np.ndarray]:
        """Names and scores of the nearest rows, nearest first."""
        scores = self._vectors @ query
        if rows < len(scores):
            top = np.argpartition(scores, -rows)[-rows:]
            top = top[np.argsort(-scores[top], kind="stable")]
        else:
            top = np.argsort(-scores, kind="stable")
        return [self.names[place] for place in top], scores[top]


class _Filed:
    """Who has rows in files that are not in memory. A file is read once for that: a million rows take 0.2 s."""

    def __init__(self, by_file: Mapping[str, np.ndarray]) -> None:
        self._by_file = by_file
        self.people = _distinct(*by_file.values())
        """(P,) as `_people`."""

    def now(self, fragments: Sequence[LanceFragment]) -> _Filed:
        """Who has rows in these files; a file from which rows were deleted is another."""
        files = {_file(fragment): fragment for fragment in fragments}
        if files.keys() == self._by_file.keys():
            return self
        return _Filed(
            {
                file: self._by_file[file] if file in self._by_file else _people(_names(fragment))
                for file, fragment in files.items()
            }
        )


def _file(fragment: LanceFragment) -> str:
    """By which a fragment is known: its files, and what was deleted from it."""
    meta = fragment.metadata
    return "|".join([*(file.path for file in meta.files), str(meta.deletion_file)])


def _names(fragment: LanceFragment) -> list[str]:
    names: list[str] = fragment.to_table(columns=["identity"])["identity"].unique().to_pylist()
    return names


def _people(names: Iterable[str]) -> np.ndarray:
    """(P,) int64, sorted: a hash of each name, 8 bytes where a set of names takes a hundred.

    That two of a million people have one hash happens once in thirty million galleries.
    """
    return _distinct(np.fromiter(map(hash, names), np.int64))


def _distinct(*people: np.ndarray) -> np.ndarray:
    """Sorted, and each once: what `np.unique` gives, which takes half a second for a million."""
    ordered = np.sort(np.concatenate([_NOBODY, *people]))
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) != 0]


def _count_new(people: np.ndarray, known: np.ndarray) -> int:
    """How many of one array of `_people` are not in another."""
    if not len(known):
        return len(people)
    return int((known.take(np.searchsorted(known, people), mode="clip") != people).sum())


def _vectors(batches: Iterable[Any], size: int) -> np.ndarray:
    """(R, `size`) float32 of Arrow batches."""
    rows = [batch["vector"].flatten().to_numpy().reshape(-1, size) for batch in batches]
    return np.concatenate([np.zeros((0, size), np.float32), *rows])
