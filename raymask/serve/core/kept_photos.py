"""What the service does with the photos that enrolments asked it to keep: it lists, returns and deletes them."""

from __future__ import annotations

import re

from raymask.errors import RaymaskError, UnknownPhotoError
from raymask.gallery.rows import KEY_BYTES, check_identity
from raymask.serve.core import schemas
from raymask.serve.core.gallery_client import GalleryClient, nobody


class KeptPhotos:
    """Answers as `Service` does; a person or photo that is not there is UnknownIdentityError or UnknownPhotoError."""

    def __init__(self, gallery: GalleryClient) -> None:
        self._gallery = gallery

    async def listed(self, identity: str) -> schemas.KeptPhotos:
        """A person's kept photos; none where the person is enrolled without."""
        identity = check_identity(identity)
        kept = await self._gallery.pictures(identity)
        if not kept and not await self._gallery.photos(identity):
            raise nobody(identity)
        shown = [schemas.KeptPhoto(photo=one.key.hex(), added=one.added, bytes=one.size) for one in kept]
        return schemas.KeptPhotos(identity=identity, photos=shown)

    async def file(self, identity: str, photo: str) -> bytes:
        """The file of a kept photo, as it was sent."""
        identity, key = check_identity(identity), _key(photo)
        data = None if key is None else await self._gallery.picture(identity, key)
        if data is None:
            raise await self._missing(identity)
        return data

    async def delete(self, identity: str, photo: str | None = None) -> schemas.KeptPhotosDeleted:
        """Delete a kept photo, or all; answered when no file holds them any more. The person stays enrolled."""
        identity = check_identity(identity)
        key = None if photo is None else _key(photo)
        known = photo is None or key is not None
        deleted = await self._gallery.delete_pictures(identity, key) if known else None
        if deleted is None:
            raise await self._missing(identity)
        return schemas.KeptPhotosDeleted(identity=identity, photos=deleted)

    async def _missing(self, identity: str) -> RaymaskError:
        """Whether it is the person, or only the photo, that is not there."""
        if await self._gallery.photos(identity):
            return UnknownPhotoError(f"no such photo of {identity} is kept; list those that are")
        return nobody(identity)


def _key(photo: str) -> bytes | None:
    """The key that a photo's id stands for; None if it is no id."""
    return bytes.fromhex(photo) if re.fullmatch(f"[0-9a-f]{{{2 * KEY_BYTES}}}", photo) else None
