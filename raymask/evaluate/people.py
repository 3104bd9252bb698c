"""Who takes part in an evaluation, and with which photos."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from raymask.data.format.splits import read_splits
from raymask.data.prepare.photos import Photo
from raymask.errors import DataError
from raymask.evaluate.config import EvaluateConfig, people_split


def people_of_split(people: str) -> set[str]:
    """The people of `FILE[:split]`. Raises DataError if there are none."""
    address, split = people_split(people)
    chosen = {identity for identity, given in read_splits(address).items() if given == split}
    if not chosen:
        raise DataError(f"{address} has nobody in split {split}; name another as {address}:train, :val or :test")
    return chosen


def choose_photos(
    photos: Sequence[Photo], config: EvaluateConfig, *, least: int, masked: Sequence[Photo] = ()
) -> tuple[list[Photo], int]:
    """The photos of the people to be judged, sorted by path.

    Args:
        photos: all under ROOT.
        config: says whose, and how many at most.
        least: photos that a person needs to take part, at least one of them of `photos`.
        masked: others that count towards `least`.

    Returns:
        The photos, and how many people of the split have too few.

    Raises:
        DataError: a person of the split has no photo at all, or nobody has enough.
    """
    assert config.people is not None  # the configuration refuses these protocols without
    people = people_of_split(config.people)
    photos_of: dict[str, list[Photo]] = {}
    for photo in photos:
        if photo.identity in people:
            photos_of.setdefault(photo.identity, []).append(photo)
    besides = Counter(photo.identity for photo in masked)
    absent = sorted(people - set(photos_of) - set(besides))
    if absent:
        raise DataError(
            f"{len(absent):,} of {len(people):,} people of {config.people} have no photo under {config.images}, "
            f"such as {', '.join(absent[:3])}; is --images the folder the splits were made of?"
        )
    enough = {identity: group for identity, group in photos_of.items() if len(group) + besides[identity] >= least}
    if len(enough) < 2:
        raise DataError(
            f"protocol {config.protocol} needs two people with {least} photos; {len(enough)} of {len(people):,} people "
            f"of {config.people} have so many"
        )
    chosen = _drawn(enough, config.limit_people, config.seed)
    kept = [photo for identity in chosen for photo in _photos(enough[identity], config.max_photos, config.seed)]
    return sorted(kept), len(photos_of) - len(enough)


def without_bare(photos: Sequence[Photo], masked: Sequence[Photo], config: EvaluateConfig) -> list[str]:
    """People under `masked_images` who have no photo under `images`, sorted.

    Raises:
        DataError: these are all.
    """
    there = {photo.identity for photo in masked}
    lost = sorted(there - {photo.identity for photo in photos})
    if len(lost) == len(there):
        raise DataError(
            f"none of the {len(there):,} people under {config.masked_images}, such as {', '.join(lost[:3])}, has a "
            f"photo under {config.images}; a person's folder must have the same name in both"
        )
    return lost


def choose_masked(masked: Sequence[Photo], chosen: Sequence[Photo], config: EvaluateConfig) -> list[Photo]:
    """The photos in real masks of those who take part, sorted by path.

    Args:
        masked: all under `masked_images`.
        chosen: bare photos of those who take part.
        config: says how many of a person at most.

    Raises:
        DataError: there is none.
    """
    photos_of: dict[str, list[Photo]] = {photo.identity: [] for photo in chosen}
    for photo in masked:
        if photo.identity in photos_of:
            photos_of[photo.identity].append(photo)
    if not any(photos_of.values()):
        raise DataError(
            f"none of the {len(photos_of):,} people of {config.people} has a photo under {config.masked_images}; name "
            f"others by --people, or another folder"
        )
    return sorted(photo for group in photos_of.values() for photo in _photos(group, config.max_photos, config.seed))


def clean_photos(masked: Iterable[Photo], pattern: str) -> set[Photo]:
    """Those whose file name matches a pattern, such as `*c.*`.

    Raises:
        DataError: there is none.
    """
    names = {photo: photo.image_id.rpartition("/")[2] for photo in masked}
    clean = {photo for photo, name in names.items() if fnmatchcase(name, pattern)}
    if not clean:
        raise DataError(
            f"clean {pattern!r} matches none of the {len(names):,} masked photos that are asked about; it is compared "
            f"with file names, such as {', '.join(sorted(names.values())[:3])}"
        )
    return clean


def choose_crowd(photos: Sequence[Photo], config: EvaluateConfig) -> list[Photo]:
    """A photo of each of `config.crowd` people whom nobody is asked about, sorted by path.

    Args:
        photos: all under the folder that the crowd comes from.
        config: says how many, and who is asked about.

    Raises:
        DataError: there are fewer whom the splits name train or not at all, without those to be judged.
    """
    if not config.crowd:
        return []
    assert config.people is not None  # the configuration refuses protocols without
    splits, judged = read_splits(people_split(config.people)[0]), people_of_split(config.people)
    photos_of: dict[str, list[Photo]] = {}
    for photo in photos:
        if splits.get(photo.identity, "train") == "train" and photo.identity not in judged:
            photos_of.setdefault(photo.identity, []).append(photo)
    if len(photos_of) < config.crowd:
        root = config.crowd_images or config.images
        raise DataError(f"crowd: only {len(photos_of):,} others under {root} are in split train or in none")
    chosen = _drawn(photos_of, config.crowd, config.seed)
    return sorted(photo for identity in chosen for photo in _photos(photos_of[identity], 1, config.seed))


def _photos(photos: list[Photo], most: int | None, seed: int) -> list[Photo]:
    chosen = set(_drawn((photo.image_id for photo in photos), most, seed))
    return [photo for photo in photos if photo.image_id in chosen]


def _drawn(names: Iterable[str], most: int | None, seed: int) -> list[str]:
    """`most` of the names by a seeded hash, so that who is drawn does not hang on who else there is."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())[:most]
