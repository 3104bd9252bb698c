"""What stands before the service: keys, limits, headers, and a line in the log for each request.

Plain ASGI, so that a request is refused before its body is read.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from raymask.errors import BusyError, ConfigError, ForbiddenError, RateError, TooLargeError, UnauthorisedError
from raymask.serve.core.config import Policy
from raymask.serve.http.keys import Key, Role, known_key
from raymask.serve.http.loopback_only import check_local
from raymask.serve.http.problems import problem_of, status_of
from raymask.serve.http.request_body import GoneError, again, whole_body

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
_ROLES: tuple[tuple[str, str, Role | None], ...] = (
    ("GET|HEAD", r"/|/docs|/openapi\.json|/healthz|/readyz|/page/.*", None),
    ("DELETE", r"/v1/identities/[^/]+", "admin"),
    ("POST", r"/v1/identities/[^/]+/photos", "enrol"),
    (".*", r"/v1/identities/[^/]+/photos(/.*)?", "admin"),
    ("GET", r"/v1/gallery|/v1/identities(/[^/]+)?", "enrol"),
    (".*", ".*", "identify"),
)
"""Role that a request needs, None for none; the first row that fits counts."""
_ARRIVING = 4
"""Requests whose bodies are on their way at most, times those that may be worked on."""
_ARRIVING_OF_KEY = 2
"""The same of one key: who uploads slowly keeps nobody else from being answered."""
_GONE = 499
"""Status in the log where there is nobody left to answer."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def role_needed(method: str, path: str) -> Role | None:
    """Which role a request needs; None if anybody may ask."""
    fitting = (role for methods, paths, role in _ROLES if re.fullmatch(methods, method) and re.fullmatch(paths, path))
    return next(fitting, "identify")  # a newline fits no row


class Guard:
    """ASGI middleware around the service."""

    def __init__(
        self,
        app: Any,
        *,
        keys: Callable[[], tuple[Key, ...]] | None,
        policy: Callable[[], Policy],
        request_id: Callable[[], str] | None = None,
    ) -> None:
        """
        Args:
            keys: those that are known now; None: none are asked for, and only this machine is answered.
            policy: the limits now.
            request_id: the id under which other processes know the request; None: the client's, or a new one.
        """
        self._app, self._keys, self._policy = app, keys, policy
        self._request_id = request_id or (lambda: "")
        self._arriving: Counter[str] = Counter()
        """Bodies on their way, by key."""
        self._working = 0
        self._asked: dict[str, deque[float]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "websocket":  # there are none
            await send({"type": "websocket.close", "code": 1008})
            return
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
        except GoneError:
            answer.status = _GONE
        except Exception as error:
            status, _ = status_of(error)
            if status == 500:
                log.exception("request %s met a fault", request_id)
            if not answer.begun:
                await problem_of(error)(scope, receive, answer)
        finally:
            self._log(scope, answer, time.perf_counter() - begun)

    async def _guarded(self, scope: Any, headers: dict[str, str], receive: Any, answer: _Answer) -> None:
        path, method = _route_path(scope), scope["method"]
        if not path.isprintable():  # routes are found by patterns to which a newline at the end is nothing
            raise ConfigError("an address is made of printable characters")
        role = role_needed(method, path)
        key = self._key(headers, scope, role)
        scope["state"] |= {"key": key.name if key else "-", "role": key.role if key else None}
        if role is None:
            await self._app(scope, receive, answer)
            return
        policy = self._policy()
        self._count(key.name if key else "-", policy)
        self._check_capacity(policy)
        body = await self._arrived(key, headers, receive, policy) if method in ("POST", "PUT", "PATCH") else b""
        self._check_capacity(policy)
        self._working += 1
        try:
            await self._app(scope, again(body, receive), answer)
        finally:
            self._working -= 1

    def _check_capacity(self, policy: Policy) -> None:
        if self._working >= policy.in_flight:
            raise BusyError(f"{policy.in_flight} requests are being worked on; ask again in a moment")

    async def _arrived(self, key: Key | None, headers: dict[str, str], receive: Any, policy: Policy) -> bytes:
        """The body of a request, which is not worked on until it is whole."""
        if int(headers.get("content-length") or 0) > policy.body_bytes:
            raise TooLargeError(f"the request is over the limit of {policy.body_bytes:,} bytes; send a smaller photo")
        all_of_them, name = self._arriving.total(), key.name if key else "-"
        if all_of_them >= _ARRIVING * policy.in_flight:
            raise BusyError(f"{all_of_them} requests are on their way; ask again in a moment")
        if key and self._arriving[name] >= _ARRIVING_OF_KEY * policy.in_flight:
            raise BusyError(f"{self._arriving[name]} requests with this key are on their way; ask again in a moment")
        self._arriving[name] += 1
        try:
            return await whole_body(receive, most=policy.body_bytes, seconds=policy.body_seconds)
        finally:
            self._arriving[name] -= 1

    def _key(self, headers: dict[str, str], scope: Any, role: Role | None) -> Key | None:
        if self._keys is None:
            check_local(headers, (scope.get("client") or ("",))[0])
            return None
        if role is None:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = known_key(self._keys(), token.strip()) if scheme.lower() == "bearer" else None
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


def _route_path(scope: Any) -> str:
    """The path by which routes are found: without the prefix under which the application is served."""
    path, prefix = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(prefix) or "/" if f"{path}/".startswith(f"{prefix}/") else path


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
