"""The tree that every face dataset has: ROOT/IDENTITY/anything.jpg|jpeg|png|webp."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from raymask.errors import DataError
from raymask.storage import Folder, folder_and_name

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Photo(NamedTuple):
    """A photo of a person; `image_id` is its path under ROOT."""

    identity: str
    image_id: str


class Dropped(NamedTuple):
    """A file that is not used, and why."""

    image_id: str
    reason: str


def is_photo_name(name: str) -> bool:
    """Whether a file is a photo by its name."""
    return name.lower().endswith(SUFFIXES)


def list_photos(root: Folder) -> tuple[list[Photo], list[Dropped]]:
    """All photos under ROOT, sorted by path, and the files that are none by their place or name.

    Raises:
        DataError: ROOT is missing, or no file in it is a photo of a person.
    """
    photos: list[Photo] = []
    dropped: list[Dropped] = []
    for name in root.names():
        identity, slash, _ = name.partition("/")
        if not slash:
            dropped.append(Dropped(name, "not in a person's folder; the tree is ROOT/IDENTITY/photo.jpg"))
        elif not is_photo_name(name):
            dropped.append(Dropped(name, f"not a photo by its name; photos end in {', '.join(SUFFIXES)}"))
        else:
            photos.append(Photo(identity, name))
    if not photos:
        raise DataError(
            f"{root.uri} holds no photo; it takes a tree ROOT/IDENTITY/photo.jpg (or .jpeg, .png, .webp), one folder a "
            f"person"
        )
    return photos, dropped


def read_identities(address: str) -> list[str]:
    """The names in a text file, one a line. Raises DataError if it cannot be read, is no text or names nobody."""
    folder, name = folder_and_name(address)
    try:
        lines = folder.read(name).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{address} is not UTF-8 text; it takes one person a line") from None
    named = [line.strip() for line in lines if line.strip()]
    if not named:
        raise DataError(f"{address} names nobody; it takes one person a line")
    return named


class LeftOut(NamedTuple):
    """People who are not prepared, whatever else names them."""

    people: frozenset[str]
    file: str
    """Address of the file that names them, for messages."""


def read_left_out(address: str) -> LeftOut:
    """The people that a JSON file names, as `--leave-out` takes it.

    Names are all strings in lists, and the keys of mappings whose values are neither a list nor a mapping. The keys of
    other values are headings, below which more names are looked for. So a list of names, a mapping of person to
    anything (`splits.json`) and lists under headings (`benchmarks/strangers.json`) all serve.

    Raises:
        DataError: the file cannot be read, is not JSON, holds something that is no name, or names nobody.
    """
    folder, name = folder_and_name(address)
    try:
        found = json.loads(folder.read(name).decode("utf-8-sig"))
    except ValueError as error:  # of the text and of JSON alike
        raise DataError(f"{address} is not JSON ({error})") from None
    try:
        people = frozenset(_names_in(found))
    except ValueError as error:
        raise DataError(
            f"{address} holds {error} where a name should be; it takes a list of names, a mapping of them, or lists "
            f"under headings"
        ) from None
    if not people:
        raise DataError(f"{address} names nobody; it takes a list of names, a mapping of them, or lists under headings")
    return LeftOut(people, address)


def _names_in(value: Any) -> Iterator[str]:
    """Names below a list or a mapping. Raises ValueError, whose text is a thing that is no name."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, str):
                yield item
            else:
                yield from _names_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (list, dict)):
                yield from _names_in(item)
            else:
                yield key
    else:
        raise ValueError(json.dumps(value))


def leave_people_out(photos: list[Photo], left_out: LeftOut) -> tuple[list[Photo], list[Dropped]]:
    """The photos of everybody else, and those of the people left out as dropped.

    Raises:
        DataError: none of the people left out has photos, so that the file must be another's; or nobody else has.
    """
    kept = [photo for photo in photos if photo.identity not in left_out.people]
    if len(kept) == len(photos):
        raise DataError(
            f"{left_out.file} names nobody who has photos under --images ({min(left_out.people)!r}, ...); check the "
            f"spelling, or prepare without --leave-out"
        )
    if not kept:
        raise DataError(f"{left_out.file} names everybody who has photos under --images; name fewer people")
    reason = f"its person is left out by {left_out.file}"
    return kept, [Dropped(photo.image_id, reason) for photo in photos if photo.identity in left_out.people]


def choose_people(
    photos: list[Photo], *, min_photos: int, limit_identities: int | None, named: Collection[str] | None = None
) -> tuple[list[Photo], list[Dropped]]:
    """The photos of people with at least `min_photos`, of the first `limit_identities` by name; the rest as dropped.

    `named`: the only people to take; None: all.

    Raises:
        DataError: nobody is left, or somebody named has no photos.
    """
    counts = Counter(photo.identity for photo in photos)
    missing = sorted(set(named or ()) - counts.keys())
    if missing:
        raise DataError(f"{len(missing):,} of the people named have no folder with photos, {missing[0]!r} first")
    wanted = counts.keys() if named is None else set(named)
    enough = sorted(identity for identity in wanted if counts[identity] >= min_photos)
    chosen = set(enough[:limit_identities])
    if not chosen:
        most = max(counts[identity] for identity in wanted)
        raise DataError(f"no person has {min_photos} photos (the most anyone has is {most}); lower --min-photos")

    def reason(identity: str) -> str:
        if identity not in wanted:
            return "its person is not named in --identities"
        if counts[identity] < min_photos:
            return f"its person has {counts[identity]} photos, under --min-photos {min_photos}"
        return f"its person is over --limit-identities {limit_identities}"

    kept = [photo for photo in photos if photo.identity in chosen]
    dropped = [Dropped(photo.image_id, reason(photo.identity)) for photo in photos if photo.identity not in chosen]
    return kept, dropped
