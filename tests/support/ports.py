"""Ports for servers that start in a moment."""

import contextlib
import random
import socket

_CANDIDATES = random.SystemRandom().sample(range(20_000, 32_768), k=1000)


def free_port() -> int:
    """Another one at each call, that nobody listens at.

    All are below the range from which Linux takes one for whoever names none: a connection of another lane's, or a
    socket of Ray's own, may take a port from there before the server that is to have it has started.
    """
    while True:
        port = _CANDIDATES.pop()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
