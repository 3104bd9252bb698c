"""SIGTERM, as `ray job stop` sends it: work is asked to end well before it is ended."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from raymask.errors import DataError, StoppedError


@contextlib.contextmanager
def asked_by_sigterm(ask: Callable[[], bool], *, at_once: str) -> Iterator[None]:
    """Call `ask` at a first SIGTERM; end at once if there is nobody to ask, and at a second.

    To be entered after `connect`, since Ray puts a handler of its own there. Only main threads can hear signals.

    Args:
        ask: asks the work to end, without waiting for it; False if none has begun.
        at_once: the sentence of an end at once.

    Raises:
        StoppedError: it ended at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def hear(*_: object) -> None:
        nonlocal asked
        again, asked = asked, True
        try:
            waits = not again and ask()
        except DataError as error:  # Ray would lose it on its way out of the handler
            print(f"the work cannot be asked to stop: {error}", flush=True)
            waits = True
        if not waits:
            sys.exit(143)

    before = signal.signal(signal.SIGTERM, hear)
    try:
        yield
    except SystemExit:
        if asked:
            raise StoppedError(at_once) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
