"""Files of pairs, tab-separated: LFW's lines, and lines of two paths.

LFW writes `name i j` for the same person and `name i name j` for different people; photo i of NAME is
NAME/NAME_000i under `--images`. A line of two paths names any photos: `bare/IDENTITY/photo.jpg` lies under `--images`,
`masked/IDENTITY/photo.jpg` under `--masked-images`. They are of the same person if IDENTITY is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from raymask.data.prepare.photos import Photo
from raymask.errors import DataError


class Pair(NamedTuple):
    """Two photos."""

    first: Photo
    second: Photo
    fold: int
    line: int
    """Of the file, from 1."""
    in_truth: tuple[bool, bool] = (False, False)
    """Whether each photo lies under `--masked-images`, where it wears a real mask."""

    @property
    def same(self) -> bool:
        """Whether they show the same person."""
        return self.first.identity == self.second.identity


FORMS = "a line is `name i j`, `name i name j` or two paths, bare/... or masked/..., tab-separated"


class Tree(NamedTuple):
    """Photos that exist, and what errors call their folder."""

    photos: Sequence[Photo]
    root: str


def read_pairs(text: str, name: str, bare: Tree, masked: Tree | None = None) -> list[Pair]:
    """Parse a file of pairs.

    A header `folds<TAB>pairs`, or one number of pairs, tells the folds: each has so many same pairs and then so many
    different ones. Without a header a fold is a run of same pairs and the run of different ones after it.

    Args:
        text: the file's content.
        name: what errors call the file.
        bare: photos under `--images`.
        masked: photos under `--masked-images`; None: a line that names one is an error.

    Raises:
        DataError: a line is no pair, a photo is missing, or the header says something else than the lines.
    """
    finder = _Finder(bare, masked)
    lines = [(number, line.split("\t")) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    header = _header(lines[0][1]) if lines else None
    pairs: list[Pair] = []
    for number, words in lines[1 if header else 0 :]:
        first, second = finder([word.strip() for word in words], f"{name}:{number}")
        pairs.append(Pair(first.photo, second.photo, 0, number, (first.in_truth, second.in_truth)))
    if not pairs:
        raise DataError(f"{name} holds no pair; {FORMS}")
    folds = _folds_of_header(header, pairs, name) if header else _folds_of_runs(pairs)
    return [pair._replace(fold=fold) for pair, fold in zip(pairs, folds, strict=True)]


def _header(words: list[str]) -> tuple[int, int] | None:
    """Folds and pairs of each sort in a fold, or None if the line is none."""
    if len(words) > 2 or not all(word.strip().isdecimal() for word in words):
        return None
    numbers = [int(word) for word in words]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (1, numbers[0])


class _Found(NamedTuple):
    photo: Photo
    in_truth: bool


class _Finder:
    """Finds the two photos of a line."""

    def __init__(self, bare: Tree, masked: Tree | None) -> None:
        self._root = bare.root
        self._by_stem = {str(PurePosixPath(photo.image_id).with_suffix("")): photo for photo in bare.photos}
        trees = {"bare": bare, "masked": masked}
        self._trees = {word: tree for word, tree in trees.items() if tree is not None}
        self._by_path = {
            f"{word}/{photo.image_id}": _Found(photo, word == "masked")
            for word, tree in self._trees.items()
            for photo in tree.photos
        }

    def __call__(self, words: list[str], place: str) -> tuple[_Found, _Found]:
        if len(words) == 2 and all(word.startswith(("bare/", "masked/")) for word in words):
            return self._named(words[0], place), self._named(words[1], place)
        if len(words) in (3, 4) and words[1].isdecimal() and words[-1].isdecimal():
            second = words[2] if len(words) == 4 else words[0]
            return self._numbered(words[0], words[1], place), self._numbered(second, words[-1], place)
        raise DataError(f"{place} is no pair; {FORMS}")

    def _named(self, path: str, place: str) -> _Found:
        if path in self._by_path:
            return self._by_path[path]
        word, _, name = path.partition("/")
        if word not in self._trees:
            raise DataError(f"{place} names {path}; say where masked photos are by --masked-images ROOT")
        raise DataError(f"{place}: there is no photo {self._trees[word].root}/{name}, which it calls {path}")

    def _numbered(self, person: str, number: str, place: str) -> _Found:
        stem = f"{person}/{person}_{int(number):04}"
        if stem not in self._by_stem:
            raise DataError(f"{place}: there is no photo {self._root}/{stem}.jpg")
        return _Found(self._by_stem[stem], False)


def _folds_of_runs(pairs: Sequence[Pair]) -> list[int]:
    folds, fold = [], 0
    for earlier, pair in zip([pairs[0], *pairs], pairs, strict=False):
        fold += pair.same and not earlier.same
        folds.append(fold)
    return folds


def _folds_of_header(header: tuple[int, int], pairs: Sequence[Pair], name: str) -> list[int]:
    count, size = header
    said = f"{name}: its header says {count} folds of {size} same and {size} different pairs"
    if len(pairs) != 2 * count * size:
        raise DataError(f"{said}, {2 * count * size} in all, but it holds {len(pairs)}")
    for place, pair in enumerate(pairs):
        if pair.same != (place % (2 * size) < size):
            raise DataError(f"{said}, but line {pair.line} is a pair of the {'same' if pair.same else 'other'} sort")
    return [place // (2 * size) for place in range(len(pairs))]
