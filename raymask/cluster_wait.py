"""Waiting for a Ray cluster that is joined: its user is told so, it ends in time, and it can be stopped meanwhile."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

from raymask import ray_private
from raymask.cluster_address import Address
from raymask.errors import ClusterError

EVERY, PATIENCE = 5.0, 120.0
"""Seconds between two lines, and until the end."""
_GRACE = 1.0
"""Seconds in which Python itself may hear a signal, before the program ends without it."""
_DONE = b"\0"


class Patience:
    """How long a cluster is waited for, and what is said meanwhile."""

    def __init__(self, address: Address, *, every: float = EVERY, seconds: float = PATIENCE) -> None:
        """`every`: seconds between two lines; `seconds`: until the end, from now on."""
        self.address, self.every, self._seconds = address, every, seconds
        self._end = time.monotonic() + seconds

    @property
    def next(self) -> float:
        """Seconds until the next line or the end, whichever comes first; 0 once it has ended."""
        return max(0.0, min(self.every, self._end - time.monotonic()))

    @property
    def sentence(self) -> str:
        """What its user is told at the end."""
        return (
            f"something listens at {self.address.text}, which {self.address.named_by} names, and has not answered as "
            f"a Ray cluster does in {self._seconds:g} s; look whether the cluster lives, or {self.address.way_out}"
        )

    def tell(self) -> None:
        """Say that the program still waits."""
        print(f"waiting for Ray at {self.address.text}", flush=True)


def wait_for_head(patience: Patience, host: str) -> str:
    """The Ray version of the cluster, once its head answers.

    Raises:
        ClusterError: it does not answer in time, wants a token, or is something else.
    """
    address = patience.address
    while left := patience.next:
        next_line = time.monotonic() + left
        try:
            return ray_private.head_version(host, address.port, seconds=left)
        except TimeoutError:
            time.sleep(max(0.0, next_line - time.monotonic()))  # a server of another kind may hang up at once
            if patience.next:
                patience.tell()
        except PermissionError:
            raise ClusterError(token_wanted(address.text)) from None
        except ConnectionError as error:
            raise ClusterError(
                f"what listens at {address.text} is not the head of a Ray cluster ({error}); its port is 6379 unless "
                f"`ray start` was given another, and a Ray Client's address begins with ray://"
            ) from None
    raise ClusterError(patience.sentence)


def token_wanted(place: str) -> str:
    """The sentence where a cluster does not let a program in."""
    return (
        f"the Ray cluster at {place} wants its token; set RAY_AUTH_MODE=token and put the token into "
        f"~/.ray/auth_token or RAY_AUTH_TOKEN"
    )


@contextlib.contextmanager
def watched(patience: Patience) -> Iterator[None]:
    """Keep the lines, the end and signals working while Ray's C++ code holds the main thread.

    Python hears no signal there. A thread of its own reads them as they come in and ends the program, without what
    Python does at its end, which would wait for the main thread.
    """
    main = threading.current_thread() is threading.main_thread()
    heard, tells = socket.socketpair()
    tells.setblocking(False)
    before = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False) if main else -1
    thread = threading.Thread(target=_watch, args=(patience, heard), daemon=True, name="waiting-for-ray")
    thread.start()
    try:
        yield
    finally:
        if main:
            signal.set_wakeup_fd(before)
        tells.send(_DONE)
        thread.join()
        heard.close()
        tells.close()


def _watch(patience: Patience, heard: socket.socket) -> None:
    """Read what is heard until the wait is over; see `watched`."""
    while left := patience.next:
        readable, _, _ = select.select([heard], [], [], left)
        if not readable:
            if patience.next:
                patience.tell()
            continue
        numbers = heard.recv(64)
        if _DONE in numbers:
            return
        asked = [number for number in numbers if number in (signal.SIGTERM, signal.SIGINT)]
        if asked and not _over(heard):
            print("stopped while Ray was waited for", flush=True)
            os._exit(128 + asked[0])
    if not _over(heard, 0):
        print(f"error: {patience.sentence}", file=sys.stderr, flush=True)
        os._exit(2)


def _over(heard: socket.socket, seconds: float = _GRACE) -> bool:
    """Whether the main thread says within these seconds that it waits no longer."""
    end = time.monotonic() + seconds
    while select.select([heard], [], [], max(0.0, end - time.monotonic()))[0]:
        if _DONE in heard.recv(64):
            return True
    return False
