"""The tree that every face dataset has: ROOT/IDENTITY/anything.jpg|jpeg|png|webp."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from raymask.data.storage import Folder
from raymask.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Photo(NamedTuple):
    """A photo of a person; `image_id` is its path under ROOT."""

    identity: str
    image_id: str


class Dropped(NamedTuple):
    """A file that is not used, and why."""

    image_id: str
    reason: str


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
        elif not name.lower().endswith(SUFFIXES):
            dropped.append(Dropped(name, f"not a photo by its name; photos end in {', '.join(SUFFIXES)}"))
        else:
            photos.append(Photo(identity, name))
    if not photos:
        raise DataError(
            f"{root.uri} holds no photo; it takes a tree ROOT/IDENTITY/photo.jpg (or .jpeg, .png, .webp), one folder a "
            f"person"
        )
    return photos, dropped


def choose_people(
    photos: list[Photo], *, min_photos: int, limit_identities: int | None
) -> tuple[list[Photo], list[Dropped]]:
    """The photos of people with at least `min_photos`, of the first `limit_identities` by name; the rest as dropped.

    Raises:
        DataError: nobody is left.
    """
    counts = Counter(photo.identity for photo in photos)
    enough = sorted(identity for identity, count in counts.items() if count >= min_photos)
    chosen = set(enough[:limit_identities])
    if not chosen:
        raise DataError(
            f"no person has {min_photos} photos (the most anyone has is {max(counts.values())}); lower --min-photos"
        )
    kept, dropped = [], []
    for photo in photos:
        if photo.identity in chosen:
            kept.append(photo)
        elif counts[photo.identity] < min_photos:
            dropped.append(
                Dropped(
                    photo.image_id, f"its person has {counts[photo.identity]} photos, under --min-photos {min_photos}"
                )
            )
        else:
            dropped.append(Dropped(photo.image_id, f"its person is over --limit-identities {limit_identities}"))
    return kept, dropped
