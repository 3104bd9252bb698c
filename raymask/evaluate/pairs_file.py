"""LFW's pair format: `name i j` for the same person, `name i name j` for different people, tab-separated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from raymask.data.photos import Photo
from raymask.errors import DataError


class Pair(NamedTuple):
    """Two photos."""

    first: Photo
    second: Photo
    fold: int
    line: int
    """Of the file, from 1."""

    @property
    def same(self) -> bool:
        """Whether they show the same person."""
        return self.first.identity == self.second.identity


def read_pairs(text: str, name: str, photos: Sequence[Photo], root: str) -> list[Pair]:
    """Parse a file of pairs.

    A header `folds<TAB>pairs`, or one number of pairs, tells the folds: each has so many same pairs and then so many
    different ones. Without a header a fold is a run of same pairs and the run of different ones after it.

    Args:
        text: the file's content.
        name: what errors call the file.
        photos: those that exist.
        root: what errors call their folder.

    Raises:
        DataError: a line is no pair, a photo is missing, or the header says something else than the lines.
    """
    by_stem = {str(PurePosixPath(photo.image_id).with_suffix("")): photo for photo in photos}
    lines = [(number, line.split("\t")) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    header = _header(lines[0][1]) if lines else None
    pairs: list[Pair] = []
    for number, words in lines[1 if header else 0 :]:
        first, second = (_photo(by_stem, *one, f"{name}:{number}", root) for one in _names(words, f"{name}:{number}"))
        pairs.append(Pair(first, second, 0, number))
    if not pairs:
        raise DataError(f"{name} holds no pair; a line is `name i j` or `name i name j`, tab-separated")
    folds = _folds_of_header(header, pairs, name) if header else _folds_of_runs(pairs)
    return [pair._replace(fold=fold) for pair, fold in zip(pairs, folds, strict=True)]


def _header(words: list[str]) -> tuple[int, int] | None:
    """Folds and pairs of each sort in a fold, or None if the line is none."""
    if len(words) > 2 or not all(word.strip().isdecimal() for word in words):
        return None
    numbers = [int(word) for word in words]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (1, numbers[0])


def _names(words: list[str], place: str) -> list[tuple[str, str]]:
    """The two (person, number) of a line."""
    words = [word.strip() for word in words]
    both = [(words[0], words[1]), (words[-2] if len(words) == 4 else words[0], words[-1])] if len(words) > 2 else []
    if len(words) not in (3, 4) or not all(number.isdecimal() for _, number in both):
        raise DataError(f"{place} is no pair; a line is `name i j` or `name i name j`, tab-separated")
    return both


def _photo(by_stem: dict[str, Photo], person: str, number: str, place: str, root: str) -> Photo:
    stem = f"{person}/{person}_{int(number):04}"
    if stem not in by_stem:
        raise DataError(f"{place}: there is no photo {root}/{stem}.jpg")
    return by_stem[stem]


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
