"""What a gallery holds: a row an embedding, one or several of each enrolled photo."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from raymask.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_IDENTITY = 128
"""Characters of a person's name."""
KEY_BYTES = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Enrolment:
    """A photo of a person, embedded."""

    identity: str
    """Who it shows; see `check_identity`."""
    key: bytes
    """Which photo it is, by `photo_key`: enrolled again under the same key, it changes nothing."""
    embeddings: np.ndarray
    """(V, D) float32, rows of length 1: of the photo as it came, then of it with masks drawn on."""
    looks: tuple[str, ...]
    """(V,) the masks drawn, as `parse_look` takes them; none ("") for the photo as it came."""
    picture: bytes | None = None
    """The photo's file, where it is to be kept."""


def check_identity(identity: str) -> str:
    """The name, if a person can have it: 1 to MAX_IDENTITY printable characters without a slash, normalised (NFC).

    The character that stands for bytes which were no UTF-8 is none: it would make one person of two.

    Raises:
        ConfigError: it is another.
    """
    name = unicodedata.normalize("NFC", identity)
    if (
        not 0 < len(name) <= MAX_IDENTITY
        or not name.isprintable()
        or set("/\ufffd") & set(name)
        or name != name.strip()
    ):
        raise ConfigError(
            f"a person's name has 1 to {MAX_IDENTITY} printable characters (UTF-8), no slash and no space at its "
            f"ends; {identity[:MAX_IDENTITY]!r} has not"
        )
    return name


def photo_key(identity: str, photo: bytes | str) -> bytes:
    """The key of a person's photo: a digest of its bytes, or of the key that the client has given it."""
    digest = hashlib.blake2b(identity.encode() + b"\0", digest_size=KEY_BYTES)
    digest.update(b"given:" + photo.encode() if isinstance(photo, str) else b"photo:" + photo)
    return digest.digest()


def gallery_schema(size: int) -> pa.Schema:
    """Columns of the table; `size` is that of an embedding."""
    import pyarrow as pa

    return pa.schema(
        [
            ("identity", pa.string()),
            ("photo", pa.binary(KEY_BYTES)),
            ("look", pa.string()),
            ("vector", pa.list_(pa.float32(), size)),
            ("picture", pa.binary()),
            ("added", pa.timestamp("ms", tz="UTC")),
        ]
    )


def as_table(enrolments: Sequence[Enrolment], size: int) -> pa.Table:
    """The enrolments' rows, added now.

    Raises:
        ConfigError: an embedding is of another size, or is no direction.
    """
    import pyarrow as pa

    for one in enrolments:
        check_embeddings(one, size)
    versions = [len(one.looks) for one in enrolments]
    vectors = np.concatenate([one.embeddings for one in enrolments]).astype(np.float32)
    pictures = [one.picture if look == "" else None for one in enrolments for look in one.looks]
    columns = {
        "identity": np.repeat([one.identity for one in enrolments], versions).tolist(),
        "photo": [one.key for one in enrolments for _ in one.looks],
        "look": [look for one in enrolments for look in one.looks],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), size),
        "picture": pictures,
        "added": [datetime.now(UTC)] * len(pictures),
    }
    schema = gallery_schema(size)
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def check_embeddings(one: Enrolment, size: int) -> None:
    """Raise ConfigError if an enrolment's embeddings are not directions of `size` values, one a look."""
    if one.embeddings.shape != (len(one.looks), size):
        raise ConfigError(f"{len(one.looks)} embeddings of {size} values are needed, not {one.embeddings.shape}")
    lengths = np.linalg.norm(one.embeddings, axis=1)
    if not (np.abs(lengths - 1) < 1e-3).all():
        raise ConfigError("an embedding to enrol has length 1; one has not, as if no face had been found")
