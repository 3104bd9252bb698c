"""What stands before the service: keys, limits, headers, and a line in the log for each request.

Plain ASGI, so that a request is refused before its body is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from raymask.errors import (
    BusyError,
    ConfigError,
    ForbiddenError,
    RateError,
    TooLargeError,
    TooSlowError,
    UnauthorisedError,
)
from raymask.serve.config import Policy
from raymask.serve.keys import Key, Role, known_key
from raymask.serve.problems import problem_of, status_of

log = logging.getLogger("raymask.serve")

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_ROLES: tuple[tuple[str, str, Role], ...] = (
    ("DELETE", r"/v1/identities/[^/]+", "admin"),
    ("POST", r"/v1/identities/[^/]+/photos", "enrol"),
    ("GET", r"/v1/identities(/[^/]+)?", "enrol"),
    (".*", r"/v1/.*", "identify"),
)
"""Role that a request needs; the first row that fits counts, and what fits none needs no key."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def role_needed(method: str, path: str) -> Role | None:
    """Which role a request needs; None if anybody may ask."""
    for methods, paths, role in _ROLES:
        if re.fullmatch(methods, method) and re.fullmatch(paths, path):
            return role
    return None


class Guard:
    """ASGI middleware around the service."""

    def __init__(
        self,
        app: Any,
        *,
        keys: tuple[Key, ...] | None,
        policy: Callable[[], Policy],
        request_id: Callable[[], str] | None = None,
    ) -> None:
        """`keys`: None where none are asked for, and only this machine is answered. `policy`: the limits now.
        `request_id`: the id under which other processes know the request; None: the client's, or a new one."""
        self._app, self._keys, self._policy = app, keys, policy
        self._request_id = request_id or (lambda: "")
        self._working = 0
        self._asked: dict[str, deque[float]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = self._request_id() or headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        begun = time.perf_counter()
        try:
            await self._guarded(scope, headers, receive, answer)
        except Exception as error:
            status, _ = status_of(error)
            if status == 500:
                log.exception("request %s met a fault", request_id)
            if not answer.begun:
                await problem_of(error)(scope, receive, answer)
        finally:
            self._log(scope, answer, time.perf_counter() - begun)

    async def _guarded(self, scope: Any, headers: dict[str, str], receive: Any, answer: _Answer) -> None:
        path, method = scope["path"], scope["method"]
        if not path.isprintable():  # routes are found by patterns to which a newline at the end is nothing
            raise ConfigError("an address is made of printable characters")
        key = self._key(headers, scope, role_needed(method, path))
        scope["state"]["key"] = key.name if key else "-"
        if not path.startswith("/v1/"):
            await self._app(scope, receive, answer)
            return
        policy = self._policy()
        self._count(key.name if key else "-", policy)
        if int(headers.get("content-length") or 0) > policy.body_bytes:
            raise TooLargeError(f"the request is over the limit of {policy.body_bytes:,} bytes; send a smaller photo")
        if self._working >= policy.in_flight:
            raise BusyError(f"{policy.in_flight} requests are being worked on; ask again in a moment")
        self._working += 1
        try:
            await self._app(scope, _Body(receive, policy), answer)
        finally:
            self._working -= 1

    def _key(self, headers: dict[str, str], scope: Any, role: Role | None) -> Key | None:
        if self._keys is None:
            _check_local(headers, scope)
            return None
        if role is None:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = known_key(self._keys, token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise UnauthorisedError("send a key that is known as `Authorization: Bearer KEY`; jobs/keys.py makes one")
        if not key.may(role):
            raise ForbiddenError(f"the key of {key.name} may {key.role}; this takes one that may {role}")
        return key

    def _count(self, name: str, policy: Policy) -> None:
        """Requests of a key within the last minute."""
        if policy.per_minute is None:
            return
        now = time.monotonic()
        asked = self._asked.setdefault(name, deque())
        while asked and asked[0] <= now - 60:
            asked.popleft()
        if len(asked) >= policy.per_minute:
            error = RateError(f"{policy.per_minute} requests a minute are allowed with this key")
            error.retry_after = max(1, round(asked[0] + 60 - now))
            raise error
        asked.append(now)

    def _log(self, scope: Any, answer: _Answer, seconds: float) -> None:
        """A line without any content: the route, not the path, which may name a person."""
        route = scope.get("route")
        line = {
            "request": scope["state"]["request_id"],
            "key": scope["state"].get("key", "-"),
            "method": scope["method"],
            "route": getattr(route, "path", "-"),
            "status": answer.status,
            "ms": round(seconds * 1e3, 1),
        }
        log.info(json.dumps(line))


class _Answer:
    """`send` that adds headers, and knows what was sent."""

    def __init__(self, send: Any, request_id: str) -> None:
        self._send, self._request_id = send, request_id
        self.status = 0
        self.begun = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            sent = {name.lower() for name, _ in message["headers"]}
            added = {**HEADERS, "X-Request-ID": self._request_id}
            extra = [(name.encode(), value.encode()) for name, value in added.items()]
            message = {
                **message,
                "headers": [*message["headers"], *((name, value) for name, value in extra if name.lower() not in sent)],
            }
        await self._send(message)


class _Body:
    """`receive` that ends a request which is too large, or which does not come."""

    def __init__(self, receive: Any, policy: Policy) -> None:
        self._receive, self._policy = receive, policy
        self._bytes = 0
        self._whole = False
        self._end = time.monotonic() + policy.body_seconds

    async def __call__(self) -> Any:
        if self._whole:
            return await self._receive()  # until the client goes
        try:
            async with asyncio.timeout(self._end - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise TooSlowError(
                f"the request had not arrived after {self._policy.body_seconds:g} seconds; send a smaller photo"
            ) from None
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._bytes > self._policy.body_bytes:
            raise TooLargeError(f"the request is over the limit of {self._policy.body_bytes:,} bytes")
        return message


def _check_local(headers: dict[str, str], scope: Any) -> None:
    """Without keys this machine alone is answered, and no page of another site that a browser here has open.

    Raises:
        ForbiddenError: the request comes from elsewhere.
    """
    client = (scope.get("client") or ("",))[0]
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    origin = headers.get("origin")
    if not _is_loopback(client) or not (host == "localhost" or _is_loopback(host)):
        raise ForbiddenError(
            "no keys are set up, so only this machine is answered, at localhost; make keys with jobs/keys.py and name "
            "their file in serve_configs"
        )
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise ForbiddenError("no keys are set up, so pages of other sites are not answered")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
