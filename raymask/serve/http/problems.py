"""Errors as problem details (RFC 9457): one place that knows which error has which status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raymask import errors

if TYPE_CHECKING:
    from starlette.responses import JSONResponse

STATUS: dict[type[errors.RaymaskError], tuple[int, str]] = {
    errors.ConfigError: (400, "A value cannot be used"),
    errors.ImageError: (400, "Not a photo"),
    errors.UnauthorisedError: (401, "No key that is known"),
    errors.ForbiddenError: (403, "Not allowed"),
    errors.UnknownIdentityError: (404, "Nobody of that name"),
    errors.UnknownPhotoError: (404, "No such photo"),
    errors.TooSlowError: (408, "Too slow"),
    errors.TooLargeError: (413, "Too large"),
    errors.NoFaceError: (422, "No face"),
    errors.RateError: (429, "Too many requests"),
    errors.UnavailableError: (503, "A part is away"),
    errors.BusyError: (503, "Busy"),
    errors.UnsavedError: (507, "Cannot be saved"),
}
"""By type of error; what is in none is a fault of the service."""

WITHHELD = {
    500: "the request met a fault of the service; its log says which",
    507: "the gallery cannot be written; the service's log says why, often because its disk has no free space",
}
"""What clients are told in place of the error's own words, by status."""


def status_of(error: BaseException) -> tuple[int, str]:
    """Status and title of an error, by the nearest of its types."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500, "A fault of the service"


def problem(status: int, title: str, detail: str, **more: Any) -> JSONResponse:
    """The response; `more` stands beside the standard's members."""
    from starlette.responses import JSONResponse

    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, media_type="application/problem+json")


def problem_of(error: BaseException) -> JSONResponse:
    """The response to an error. What a fault is about is for the log, not for the client; nor are this machine's
    folders."""
    status, title = status_of(error)
    detail = WITHHELD.get(status, str(error))
    response = problem(status, title, detail)
    if isinstance(error, errors.BusyError):
        response.headers["Retry-After"] = str(error.retry_after)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
