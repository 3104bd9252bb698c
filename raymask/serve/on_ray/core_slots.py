"""As many networks at work on a machine as it has cores, though each is in a process of its own.

More of them would share the cores' caches, and every one of them would take longer. Requests that come while a stage
waits for its turn go into its next batch, so that batches grow with the load and nobody waits for them without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from raymask.errors import ConfigError

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of processor that a container is given in each period, and the period's."""
_AGAIN = 0.002
"""Seconds after which a process that waits looks again: far less than a turn, and no work to speak of."""


class CoreSlots:
    """Shares the cores with all other processes of this user that hold one; who is killed holds none any more.

    One turn at a time of each object.
    """

    def __init__(self, threads: int, *, cores: int | None = None, folder: Path | None = None) -> None:
        """
        Args:
            threads: cores that a turn takes, at most all.
            cores: of the machine; None: as many as this process may use.
            folder: for the locks; the same in all processes.

        Raises:
            ConfigError: the folder is another user's.
        """
        cores = cores or _cores()
        folder = folder or Path(tempfile.gettempdir()) / f"raymask-cores-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise ConfigError(f"{folder} is another user's, who could hold up all work; remove it, or set TMPDIR")
        self._locks = [os.open(folder / str(core), os.O_RDWR | os.O_CREAT, 0o600) for core in range(cores)]
        self._threads = min(threads, cores)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Holds cores, once there are enough."""
        while not (held := self._take()):
            await asyncio.sleep(_AGAIN)
        try:
            yield
        finally:
            _let_go(held)

    def close(self) -> None:
        """No more turns are wanted."""
        for lock in self._locks:
            os.close(lock)

    def _take(self) -> list[int]:
        """Locks of free cores, if there are enough of them; otherwise none."""
        free: list[int] = []
        for lock in self._locks:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free.append(lock)
            if len(free) == self._threads:
                return free
        _let_go(free)
        return []


def _cores() -> int:
    """Cores that this process may use: those that it may run on, and no more than its container is given."""
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # no such limit, or none that is a number
        quota, period = _CPU_MAX.read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def _let_go(locks: list[int]) -> None:
    for lock in locks:
        fcntl.flock(lock, fcntl.LOCK_UN)
