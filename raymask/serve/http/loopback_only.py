"""Whom a service without keys answers: this machine alone.

A proxy on this machine asks from it, too, for whomever it lets in. One that says so is refused; one that does not
cannot be told from a person here, so that a service behind a proxy needs keys.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from raymask.errors import ForbiddenError

_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers of requests that a proxy passes on."""


def check_local(headers: Mapping[str, str], client: str) -> None:
    """Refuse requests from elsewhere, and those of another site's page that a browser here has open.

    Args:
        headers: of the request, by name in lower case.
        client: address that it comes from.

    Raises:
        ForbiddenError: it is one of those.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    name = _part(f"//{host}", "hostname")
    if any(header in headers for header in _FORWARDED):
        raise ForbiddenError(
            "no keys are set up, so what a proxy passes on is not answered; make keys with jobs/keys.py"
        )
    if not _is_loopback(client) or not (name == "localhost" or _is_loopback(name)):
        raise ForbiddenError(
            "no keys are set up, so only this machine is answered, at localhost; make keys with jobs/keys.py and name "
            "their file in serve_configs"
        )
    if origin is not None and _part(origin, "netloc") != host:
        raise ForbiddenError("no keys are set up, so pages of other sites are not answered")


def _part(address: str, name: str) -> str:
    """Nothing, if it is no address."""
    try:
        return getattr(urlsplit(address), name) or ""
    except ValueError:
        return ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
