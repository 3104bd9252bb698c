"""Progress as whole lines, so that it reads the same on a terminal, in a log file and through `ray job logs`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType


def duration(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Prints what is done, the rate and the time left every few seconds, from a thread of its own.

    The thread keeps the lines coming while one step takes long, so that a person never wonders whether it hangs.

        with Progress("prepare", total=6296, unit="photos") as progress:
            progress.add(100)
    """

    def __init__(
        self,
        task: str,
        *,
        total: int,
        unit: str,
        every: float = 5.0,
        closing: bool = True,
        write: Callable[[str], object] | None = None,
    ) -> None:
        """`total` in units; `every` in seconds; `write` takes each line (default: print, flushed).

        `closing`: whether a last line sums up, however short the work was.
        """
        self.task, self.total, self.unit = task, total, unit
        self._every = every
        self._closing = closing
        self._write = write or (lambda line: print(line, flush=True))
        self._done = 0
        self._skipped = 0
        self._note = ""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True, name=f"progress-{task}")

    def __enter__(self) -> Progress:
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None and self._closing:
            self._write(self.line(final=True))

    def add(self, units: int, note: str = "") -> None:
        """Count `units` as done now; `note` stands at the end of the next lines."""
        with self._lock:
            self._done += units
            self._note = note or self._note

    def skip(self, units: int) -> None:
        """Count `units` as done in an earlier run, so that they do not flatter the rate."""
        with self._lock:
            self._done += units
            self._skipped += units

    def line(self, *, final: bool = False) -> str:
        """The current state as one line."""
        elapsed = max(time.monotonic() - self._start, 1e-9)
        rate = (self._done - self._skipped) / elapsed
        parts = [f"{self.task}: {self._done:,}/{self.total:,} {self.unit}", f"{rate:.1f}/s"]
        if final:
            parts.append(f"took {duration(elapsed)}")
        elif rate > 0:
            parts.append(f"{duration((self.total - self._done) / rate)} left")
        else:
            parts.append(f"{duration(elapsed)} so far")
        return ", ".join([*parts, self._note] if self._note else parts)

    def _tick(self) -> None:
        while not self._stop.wait(self._every):
            with self._lock:
                line = self.line()
            with contextlib.suppress(BrokenPipeError):  # the main thread meets it too, and ends the job
                self._write(line)


class Waiting:
    """Says every few seconds that something is being waited for, until it is there.

    with Waiting("train: starting 2 workers", until=started):
        ...
    """

    def __init__(self, task: str, *, until: Callable[[], bool], every: float = 5.0) -> None:
        """`until` is asked before each line; `every` in seconds."""
        self._task, self._until, self._every = task, until, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True, name=f"waiting-{task}")

    def __enter__(self) -> Waiting:
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _tick(self) -> None:
        there = False
        while not there and not self._stop.wait(self._every):
            there = self._until()
            waited = duration(time.monotonic() - self._start)
            with contextlib.suppress(BrokenPipeError):
                print(f"{self._task}, {f'there after {waited}' if there else f'{waited} so far'}", flush=True)
