"""Whether a network still works, which nobody would see from outside: its replica answers as long as it lives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from raymask.errors import RaymaskError

FAILURES = 5
"""Batches in a row without an answer after which a network is given up: one of them may be the photos' fault, but a
GPU that has failed fails for all that come."""
PATIENCE = 120.0
"""Seconds of one batch after which a network is given up: far more than it takes for all faces of all its photos."""


class ReplicaHealth:
    """Hears of each batch, and tells when something is wrong for good."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: float | None = None
        self._failed = 0
        self._last: Exception | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Around a batch, or what is left of it, in whichever thread."""
        self._begun = self._clock()
        try:
            yield
        finally:
            self._begun = None

    def heard(self, answers: Sequence[Any]) -> None:
        """Of a batch's answers: exceptions, but for what is said to a user, are failures."""
        failures = [one for one in answers if isinstance(one, Exception) and not isinstance(one, RaymaskError)]
        failed = len(failures) == len(answers) > 0
        self._failed, self._last = (self._failed + 1, failures[-1]) if failed else (0, None)

    def check(self) -> None:
        """Raises RuntimeError if the network fails for whatever is asked of it, or does not come back."""
        begun = self._begun
        if begun is not None and self._clock() - begun > PATIENCE:
            raise RuntimeError(f"the network has worked on one batch for more than {PATIENCE:g} seconds")
        if self._failed >= FAILURES:
            raise RuntimeError(f"the network has failed {self._failed} times in a row, last with {self._last!r}")
