"""One photo of each stranger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from raymask.data.prepare.photos import Photo, is_photo_name, list_photos
from raymask.errors import ConfigError, DataError
from raymask.evaluate.strangers.config import StrangersConfig
from raymask.storage import Folder, folder_and_name

MOST = 4000
"""Strangers that are looked at, and as many in real masks: all their scores are held at a time."""
LEAST = 20
"""Strangers without whom nothing can be said."""


class Stranger(NamedTuple):
    """Somebody, by one photo."""

    root: str
    photo: Photo
    in_real_mask: bool = False
    searched: bool = True
    """False: only enrolled, for others to be searched among."""


def choose_strangers(config: StrangersConfig, seed: int) -> list[Stranger]:
    """Those whose bare photos are known first, then those only enrolled, then those in real masks; each by name.

    Of somebody with several photos one is drawn by seed, and of too many people MOST.

    Raises:
        DataError: a folder or a file cannot be read, or there are fewer than LEAST strangers.
        ConfigError: the file of people is given without a heading.
    """
    named = None if config.strangers_people is None else people_under(config.strangers_people)
    bare = [Stranger(root, photo) for root in config.strangers for photo in list_photos(Folder(root))[0]]
    worn: list[Stranger] = []
    if config.strangers_masked is not None:
        root = config.strangers_masked
        worn = [Stranger(root, photo, in_real_mask=True) for photo in _with_loose(Folder(root))]
    found = [_drawn(group, named, seed) for group in (bare, worn)]
    enrolled: list[Stranger] = []
    if config.strangers_enrolled is not None:
        others = people_under(config.strangers_enrolled) - {one.photo.identity for one in found[0]}
        enrolled = [one._replace(searched=False) for one in _drawn(bare, others, seed)]
    if len(found[0]) < LEAST:
        whom = "" if named is None else f" whom {config.strangers_people} names"
        raise DataError(
            f"{len(found[0])} strangers{whom} are under {', '.join(config.strangers)}; name a folder with photos of "
            f"{LEAST} people or more, the more the better"
        )
    if worn and not found[1]:
        raise DataError(
            f"{config.strangers_people} names nobody under {config.strangers_masked}, such as "
            f"{', '.join(one.photo.identity for one in worn[:3])}"
        )
    return [*found[0], *enrolled, *found[1]]


def _with_loose(folder: Folder) -> list[Photo]:
    """Photos in folders of people, and photos beside them, each of somebody named as its file."""
    loose = [Photo(name.rpartition(".")[0], name) for name in folder.names() if "/" not in name and is_photo_name(name)]
    return loose or list_photos(folder)[0]


def _drawn(strangers: Sequence[Stranger], named: frozenset[str] | None, seed: int) -> list[Stranger]:
    """One photo of each person, of MOST people at most."""
    of_person: dict[tuple[str, str], Stranger] = {}
    for one in sorted(strangers, key=lambda one: _hash(seed, one.photo.image_id)):
        if named is None or one.photo.identity in named:
            of_person.setdefault((one.root, one.photo.identity), one)
    chosen = sorted(of_person.values(), key=lambda one: _hash(seed, one.photo.identity))[:MOST]
    return sorted(chosen)


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def people_under(address: str) -> frozenset[str]:
    """The people of `FILE:HEADING`, such as `strangers.json:check`: names in all lists under that heading.

    Raises:
        ConfigError: no heading is given.
        DataError: the file cannot be read, or has nobody under it.
    """
    file, _, heading = address.rpartition(":")
    if not file or "/" in heading or "." in heading:
        raise ConfigError(f"strangers_people {address!r} names no heading; give FILE:HEADING, as strangers.json:check")
    people = frozenset(_names_under(_json(file), heading, within=False))
    if not people:
        raise DataError(f"{file} has no list of people under {heading!r}")
    return people


def _names_under(value: Any, heading: str, *, within: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _names_under(item, heading, within=within or key == heading)
    elif isinstance(value, list) and within:
        yield from (item for item in value if isinstance(item, str))


def repeated_people(address: str | None) -> list[tuple[str, str]]:
    """Pairs of names from a JSON file's lists of two, wherever they stand. Raises DataError if it cannot be read."""
    return [] if address is None else list(_pairs_in(_json(address)))


def _pairs_in(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(item, str) for item in value):
        yield value[0], value[1]
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _pairs_in(item)


def _json(address: str) -> Any:
    folder, name = folder_and_name(address)
    try:
        return json.loads(folder.read(name).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # of the text and of JSON alike; lists nested too deep
        raise DataError(f"{address} is not JSON ({error})") from None
