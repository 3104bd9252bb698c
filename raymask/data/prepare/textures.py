"""Reading a user's own pictures, which masks of the look `cloth:own` are made of."""

from __future__ import annotations

import hashlib

from raymask.data.prepare.photos import SUFFIXES
from raymask.errors import DataError, ImageError
from raymask.faces.images import MIN_SIDE, decode_photo
from raymask.faces.masks.own import Picture, Textures
from raymask.progress import Progress
from raymask.storage import Folder, UnreadableError

_NAMED = 5
"""Files that a warning names."""


def load_textures(folder: str | None, *, quiet: bool = False) -> Textures | None:
    """The pictures in a folder, local or a URI, without those in folders below it; None if no folder is given.

    Prints how many files could not be used and the first of their names, unless `quiet`.

    Raises:
        DataError: there is no picture in the folder, or storage fails.
    """
    if folder is None:
        return None
    place = Folder(folder)
    names = [name for name in place.names() if "/" not in name]
    named = [name for name in names if name.lower().endswith(SUFFIXES)]
    pictures: dict[str, Picture] = {}
    digest = hashlib.sha256()
    silent = (lambda line: None) if quiet else None
    with Progress("textures", total=len(named), unit="pictures", closing=False, write=silent) as progress:
        for name in named:
            try:
                data = place.read_patiently(name)
                pictures[name] = Picture.of(name, decode_photo(data, name))
                digest.update(f"{name}\n{hashlib.sha256(data).hexdigest()}\n".encode())
            except (ImageError, UnreadableError):
                continue  # named below
            finally:
                progress.add(1)
    unusable = [name for name in names if name not in pictures]
    if not pictures:
        found = f"; {_listed(unusable)} cannot be used" if unusable else ""
        raise DataError(
            f"textures {place.uri} holds no picture: it takes JPEG, PNG or WebP files of at least {MIN_SIDE} pixels a "
            f"side, not in folders below it{found}"
        )
    if unusable and not quiet:
        print(
            f"textures: {len(unusable):,} of {len(names):,} files in {place.uri} cannot be used as pictures: "
            f"{_listed(unusable)}",
            flush=True,
        )
    return Textures(pictures.values(), digest=digest.hexdigest())


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
