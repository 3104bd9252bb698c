"""The gallery's folder: a Lance table, what is known of its versions, and whose embeddings it holds."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from raymask.errors import DataError, ModelError
from raymask.storage import Folder

if TYPE_CHECKING:
    from lance import LanceDataset

TABLE = "faces.lance"
FAILURES = (OSError, ValueError, RuntimeError, DataError)
"""What Lance and the disk fail with."""
ABOUT = "gallery.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Space:
    """Where embeddings live that can be compared: those that one recogniser makes."""

    digest: str
    """SHA-256 of the networks, and of what fuses them."""
    size: int
    """Values of an embedding."""
    recogniser: str
    """How the recogniser was named, for messages."""


def table_uri(folder: Folder) -> str:
    """Where Lance finds the table."""
    return folder / TABLE


def open_table(folder: Folder) -> LanceDataset:
    """The table's latest version. Raises DataError if there is none that can be read."""
    import lance

    try:
        return lance.dataset(table_uri(folder))
    except (ValueError, OSError) as error:
        raise DataError(f"{folder.uri} holds no gallery that can be read ({first_line(error)})") from None


def is_identity(identity: str) -> str:
    """Lance's filter for a person's rows."""
    quoted = identity.replace("'", "''")
    return f"identity = '{quoted}'"


def first_line(error: Exception) -> str:
    """What Lance says, without its source's lines."""
    lines = str(error).splitlines() or [type(error).__name__]
    return re.sub(r", /\S+\.rs:\d+:\d+", "", lines[0])[:300]


def read_space(folder: Folder) -> Space | None:
    """Whose embeddings the folder's gallery holds; None if there is no gallery. Raises DataError if that is damaged."""
    if not folder.exists(ABOUT):
        return None
    try:
        about = json.loads(folder.read(ABOUT))
        known = about["format"] == FORMAT
        space = Space(digest=about["digest"], size=int(about["size"]), recogniser=about["recogniser"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / ABOUT} is damaged ({error!r}); restore the gallery from a backup") from None
    if not known:
        raise DataError(f"{folder.uri} is a gallery of another version of raymask")
    return space


def write_space(folder: Folder, space: Space) -> None:
    """Make the folder one for these embeddings."""
    about = {"format": FORMAT, **asdict(space)}
    folder.write(ABOUT, (json.dumps(about, indent=1) + "\n").encode())


def check_space(folder: Folder, space: Space) -> None:
    """Raise ModelError if the gallery holds another recogniser's embeddings."""
    held = read_space(folder)
    if held is not None and (held.digest, held.size) != (space.digest, space.size):
        raise ModelError(
            f"{folder.uri} holds embeddings of {held.recogniser} ({held.digest[:12]}), which cannot be compared with "
            f"those of {space.recogniser} ({space.digest[:12]}); enrol again into another folder with jobs/enroll.py, "
            "or go on with the previous models by naming their fusion (models: {fused: DIR}, --fused DIR), such as "
            "COPY/fused in a copy of the previous raymask/bundles"
        )
