"""A request's body, whole before anybody works on it: in time, and within its limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from raymask.errors import TooLargeError, TooSlowError

Receive = Callable[[], Awaitable[Any]]


class GoneError(Exception):
    """The client went before its request had arrived."""


async def whole_body(receive: Receive, *, most: int, seconds: float) -> bytes:
    """The body.

    Args:
        receive: ASGI's.
        most: bytes that it may have.
        seconds: after which it must be there.

    Raises:
        TooLargeError: it has more.
        TooSlowError: it is not.
        GoneError: nobody waits for an answer any more.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                more = message.get("more_body", False)
                if size > most:
                    raise TooLargeError(f"the request is over the limit of {most:,} bytes; send a smaller photo")
    except TimeoutError:
        raise TooSlowError(f"the request had not arrived after {seconds:g} seconds; send a smaller photo") from None
    return b"".join(parts)


def again(body: bytes, receive: Receive) -> Receive:
    """`receive` for who comes next: the body, then whatever comes after it."""
    given = False

    async def next_message() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message
