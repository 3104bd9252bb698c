"""Which Ray cluster a job joins: the one in RAY_ADDRESS, else one that the same user has started on this machine."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from raymask.cluster_start import temporary_folder
from raymask.errors import ClusterError

LISTENS_WITHIN = 4.0
"""Seconds for a TCP connection. With Python's own start, a user knows within 5 s that nothing listens."""


@dataclass(frozen=True)
class Address:
    """A cluster that is to be joined, as `text` for Ray; `named_by` is RAY_ADDRESS or a file."""

    text: str
    host: str
    port: int
    named_by: str

    @property
    def is_client(self) -> bool:
        """Whether Ray is asked through a Ray Client server, as `ray://` says, which is not the head itself."""
        return self.text.startswith("ray://")

    @property
    def way_out(self) -> str:
        """What a user does about a cluster that is not there."""
        if self.named_by == "RAY_ADDRESS":
            return "start one with `ray start --head` or unset RAY_ADDRESS"
        return f"start it again with `ray start --head`, or remove {self.named_by}"


def chosen() -> Address | None:
    """The cluster to join; None where a job starts its own.

    Raises:
        ClusterError: RAY_ADDRESS is not an address, or `auto` and no cluster of this user is known.
    """
    given = os.environ.get("RAY_ADDRESS", "")
    if given == "local":
        return None
    if given not in ("", "auto"):
        return parse(given, named_by="RAY_ADDRESS")
    own = own_session()
    if given == "auto" and own is None:
        raise ClusterError(
            "RAY_ADDRESS is auto and you have no Ray cluster on this machine; start one with `ray start --head`, "
            "or name its HOST:PORT"
        )
    return own


def parse(text: str, *, named_by: str) -> Address:
    """The address in `HOST:PORT` or `ray://HOST:PORT`; an IPv6 host stands in brackets.

    Raises:
        ClusterError: it is written in another way.
    """
    scheme, _, place = text.rpartition("://")
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port
    except ValueError:  # the port is not a number, or a bracket is left open
        host = port = None
    if scheme in ("", "ray") and host and port:
        return Address(text, host, port, named_by)
    hint = "; that is how the dashboard is asked, by `ray job submit`" if scheme.startswith("http") else ""
    raise ClusterError(
        f"{named_by} names {text!r}{hint}; write HOST:PORT of a cluster's head, such as 10.0.0.5:6379 or [::1]:6379"
    )


def own_session() -> Address | None:
    """The cluster that this user's `ray start` has written down on this machine; None if there is none.

    All users share the folder of the file, and Ray itself follows it whoever wrote it: a job would run in the hands of
    another user.
    """
    file = Path(temporary_folder(), "ray", "ray_current_cluster")
    try:
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW)) as opened:
            if os.fstat(opened.fileno()).st_uid != os.geteuid():
                print(f"{file} names another user's Ray cluster, which is left alone; RAY_ADDRESS joins it", flush=True)
                return None
            text = opened.read().strip()
    except OSError:
        return None
    return parse(text, named_by=str(file)) if text else None


def check_listening(address: Address, host: str) -> None:
    """Raise ClusterError where nothing takes a TCP connection in time; Ray itself would try for minutes.

    Args:
        address: the cluster, as the user named it.
        host: where Ray looks for it, which is another address of this machine where the user named localhost.
    """
    try:
        socket.create_connection((host, address.port), timeout=LISTENS_WITHIN).close()
    except socket.gaierror as error:
        raise ClusterError(
            f"{address.named_by} names {address.text}, and its host is not known here ({error.strerror})"
        ) from None
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster listens at {address.text}, which {address.named_by} names "
            f"({error.strerror or f'no answer in {LISTENS_WITHIN:g} s'}); {address.way_out}"
        ) from None
