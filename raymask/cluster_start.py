"""What a Ray cluster of one's own needs of the machine, looked at before Ray starts and fails in many lines."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from raymask.errors import ClusterError

LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes that the path of a Unix socket may have."""


def temporary_folder() -> str:
    """The folder in which Ray makes its own, `ray`, in the way Ray finds it."""
    return os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"


def check_temporary_folder() -> None:
    """Raise ClusterError if Ray can put neither its files nor its sockets into its temporary folder."""
    folder = temporary_folder()
    set_by = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), None)
    place = f"{folder}, which {set_by} names" if set_by else folder
    session = f"session_YYYY-MM-DD_hh-mm-ss_microS_{os.getpid()}"
    most = LONGEST_SOCKET - len(f"/ray/{session}/sockets/plasma_store")
    if len(os.fsencode(folder)) > most:
        raise ClusterError(
            f"Ray's sockets cannot lie in {place}: its path is too long; set RAY_TMPDIR to a folder "
            f"whose path has at most {most} bytes, such as /tmp"
        )
    reason = unwritable(Path(folder, "ray"))
    if reason:
        raise ClusterError(
            f"Ray cannot write into {place} ({reason}); set RAY_TMPDIR to a folder that can be written and "
            f"has a short path"
        )


def check_home() -> None:
    """Raise ClusterError if Ray cannot keep a new token, the secret of a cluster, in the user's home."""
    try:
        folder = Path.home() / ".ray"
    except RuntimeError:  # a user without a name, and HOME is not set
        folder, reason = Path("~/.ray"), "there is no home"
    else:
        reason = unwritable(folder)
    if reason:
        raise ClusterError(
            f"Ray cannot write its token into {folder} ({reason}); set HOME to a folder that can be written, "
            f"RAY_AUTH_TOKEN to a secret of yours, or RAY_AUTH_MODE=disabled"
        )


def unwritable(folder: Path) -> str:
    """Why nothing can be written into a folder, or where it would be made; empty if it can.

    Tried instead of asked: a read-only disk or a full quota does not show in a folder's rights.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)
