"""The HTTP API: routes, their documentation, and nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.staticfiles import StaticFiles

from raymask import __version__
from raymask.errors import ConfigError, ImageError, RaymaskError
from raymask.faces.images import encode_jpeg, encode_png, media_type
from raymask.gallery.erasures import Erasures
from raymask.gallery.rows import MAX_IDENTITY, check_identity
from raymask.serve.core import schemas
from raymask.serve.core.service import Service
from raymask.serve.http.keys import Key
from raymask.serve.http.middleware import Guard, log
from raymask.serve.http.problems import WITHHELD, problem, problem_of, status_of

PAGE = Path(__file__).parent / "page"
audit = logging.getLogger("raymask.audit")

MultiPartParser.spool_max_size = 1 << 30  # photos stay in memory, whose size Guard limits, and go to no file

_PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp")
_BINARY = {"type": "string", "format": "binary"}


def _takes(*fields: str) -> dict[str, Any]:
    """OpenAPI's description of a body: the photos as form fields, or a single one by itself."""
    form = {"type": "object", "properties": dict.fromkeys(fields, _BINARY), "required": list(fields)}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if len(fields) == 1:
        content |= {kind: {"schema": _BINARY} for kind in _PHOTO_TYPES}
    return {"requestBody": {"required": True, "content": content}}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": schemas.Problem, "content": {"application/problem+json": {}}}
        for status in (400, 401, 403, *statuses)
    }


_WITH_MASKS = (
    "Enrol it with masks drawn on it, too. Masked strangers resemble these, so that the fusion's thresholds for masked "
    "faces do not hold; give others (README, Masks drawn on enrolled photos)."
)
_SEES = _problems(408, 413, 422, 429, 500, 503)


async def one_photo(request: Request) -> bytes:
    """The bytes of the one photo of a request: its form field `photo`, or its whole body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return (await _form_photos(request, "photo"))[0]
    if kind in _PHOTO_TYPES or kind == "application/octet-stream":
        return await request.body()
    raise ImageError(
        f"a photo comes as form field `photo` (multipart/form-data), or as a body of type {', '.join(_PHOTO_TYPES)}"
    )


async def two_photos(request: Request) -> tuple[bytes, bytes]:
    """The bytes of the form fields `first` and `second`."""
    first, second = await _form_photos(request, "first", "second")
    return first, second


async def _form_photos(request: Request, *fields: str) -> list[bytes]:
    _, options = parse_options_header(request.headers["content-type"])
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"us-ascii"):
        raise ImageError("the form's text must be UTF-8")  # others decode for minutes (punycode), or not at all
    try:
        async with request.form(max_files=len(fields), max_fields=8) as form:
            files = {field: form[field] for field in fields if isinstance(form.get(field), UploadFile)}
            missing = [field for field in fields if field not in files]
            if missing:
                raise ImageError(f"the form has no file {' and no file '.join(missing)}; put a photo there")
            return [await file.read() for file in files.values() if isinstance(file, UploadFile)]
    except (MultiPartException, HTTPException, UnicodeError) as error:
        detail = getattr(error, "message", None) or getattr(error, "detail", None) or "its text is none"
        raise ImageError(f"the form cannot be read ({detail})") from None


OnePhoto = Annotated[bytes, Depends(one_photo)]
TwoPhotos = Annotated[tuple[bytes, bytes], Depends(two_photos)]


def create_app(
    service: Service, keys: Callable[[], tuple[Key, ...]] | None, *, request_id: Callable[[], str] | None = None
) -> Guard:
    """The ASGI application; see `Guard` for keys and request_id."""
    app = FastAPI(
        title="raymask",
        version=__version__,
        summary="Recognises people in photos, masked or not.",
        description="Faces are biometric data. Photos are neither logged nor kept, unless an enrolment asks for it; no "
        "address is ever fetched.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(RaymaskError, _problem_handler)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _problem_handler)
    _photo_routes(app, service)
    _people_routes(app, service)
    _kept_photo_routes(app, service)
    _gallery_route(app, service)
    _other_routes(app, service)
    documented = app.openapi
    app.openapi = lambda: _as_answered(documented())  # type: ignore[method-assign]  # FastAPI's own way to change it
    return Guard(app, keys=keys, policy=lambda: service.policy, request_id=request_id)


def _as_answered(document: dict[str, Any]) -> dict[str, Any]:
    """Without FastAPI's own answer to a value that cannot be used: ours is a problem with status 400."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document


def _photo_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/identify", tags=["photos"], responses=_SEES, openapi_extra=_takes("photo"))
    async def identify(request: Request, photo: OnePhoto) -> schemas.Identified:
        """Who is this? For every face, the people enrolled who are nearest to it, and a decision."""
        return await service.identify(photo, below_review=_sees_below_review(request))

    @app.post("/v1/verify", tags=["photos"], responses=_SEES, openapi_extra=_takes("first", "second"))
    async def verify(photos: TwoPhotos) -> schemas.Verified:
        """Do two photos show the same person? Of each its subject is taken: the largest face near the middle."""
        return await service.verify(*photos)

    @app.post(
        "/v1/identities/{identity}/verify",
        tags=["photos"],
        responses=_problems(404, 408, 413, 422, 429, 500, 503),
        openapi_extra=_takes("photo"),
    )
    async def verify_identity(request: Request, identity: str, photo: OnePhoto) -> schemas.IdentityVerified:
        """Does a photo show this person, who is enrolled? Of the photo its subject is taken, as by `verify`."""
        return await service.verify_identity(identity, photo, below_review=_sees_below_review(request))

    @app.post("/v1/segment", tags=["stages"], responses=_SEES, openapi_extra=_takes("photo"))
    async def segment(photo: OnePhoto) -> schemas.Segmented:
        """Which faces wear masks, and where."""
        return await service.segment(photo)

    @app.post(
        "/v1/unmask",
        tags=["stages"],
        responses={**_SEES, 200: {"content": {"image/png": {}, "image/jpeg": {}}}},
        response_class=Response,
        openapi_extra=_takes("photo"),
    )
    async def unmask(photo: OnePhoto, picture: Literal["png", "jpeg"] = "png") -> Response:
        """The photo with all masks taken off. As PNG, what was not painted is unchanged, bit by bit."""
        pixels, masks = await service.unmask(photo)
        data = await asyncio.to_thread(encode_png if picture == "png" else encode_jpeg, pixels)
        return Response(data, media_type=f"image/{picture}", headers={"X-Masks": str(masks)})

    @app.post("/v1/embed", tags=["stages"], responses=_SEES, openapi_extra=_takes("photo"))
    async def embed(photo: OnePhoto) -> schemas.Embedded:
        """The faces of a photo as numbers, the cosine of which is the score of `identify`."""
        return await service.embed(photo)


def _people_routes(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/identities/{identity}/photos",
        tags=["people"],
        status_code=201,
        responses={
            **_problems(408, 413, 422, 429, 500, 503, 507),
            200: {"model": schemas.Enrolled, "description": "Enrolled before; nothing has changed."},
        },
        openapi_extra=_takes("photo"),
    )
    async def enrol(
        request: Request,
        response: Response,
        identity: str,
        photo: OnePhoto,
        with_masks: Annotated[bool, Query(description=_WITH_MASKS)] = False,
        keep: Annotated[
            bool, Query(description="Keep the photo itself, too, which an admin can then read and delete.")
        ] = False,
        idempotency_key: Annotated[
            str | None,
            Header(min_length=1, max_length=200, description="By which the photo is known; by default its bytes."),
        ] = None,
    ) -> schemas.Enrolled:
        """Enrol a photo of a person, who need not be known before. Once it is answered, it is on disk."""
        identity = check_identity(identity)
        with _audited(request, "enrol", identity) as line:
            done = await service.enrol(identity, photo, key=idempotency_key, with_masks=with_masks, keep=keep)
            line |= {"photo": done.photo, "new": done.new}
        response.status_code = 201 if done.new else 200
        return done

    @app.get("/v1/identities", tags=["people"], responses=_problems(429, 503))
    async def identities(
        after: Annotated[str, Query(max_length=MAX_IDENTITY, description="Names after this one.")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> schemas.People:
        """Who is enrolled, by name."""
        return await service.people(after, limit)

    @app.get("/v1/identities/{identity}", tags=["people"], responses=_problems(404, 429, 503))
    async def person(identity: str) -> schemas.PersonPhotos:
        """A person's photos."""
        return await service.person(identity)

    @app.delete("/v1/identities/{identity}", tags=["people"], responses=_problems(404, 429, 503, 507))
    async def erase(request: Request, identity: str) -> schemas.Erased:
        """Erase a person. Once it is answered, no file of the gallery holds them, old versions included."""
        identity = check_identity(identity)
        with _audited(request, "erase", identity) as line:
            done = await service.erase(identity)
            line |= {"photos": done.photos}
        return done


def _kept_photo_routes(app: FastAPI, service: Service) -> None:
    kept = service.kept_photos
    path = "/v1/identities/{identity}/photos"

    @app.get(path, tags=["kept photos"], responses=_problems(404, 429, 503))
    async def kept_photos(identity: str) -> schemas.KeptPhotos:
        """A person's photos that were kept (`keep=true`). Takes a key of an admin, as all calls of kept photos do."""
        return await kept.listed(identity)

    @app.get(
        f"{path}/{{photo}}",
        tags=["kept photos"],
        responses={**_problems(404, 429, 503), 200: {"content": {kind: {"schema": _BINARY} for kind in _PHOTO_TYPES}}},
        response_class=Response,
    )
    async def kept_photo(request: Request, identity: str, photo: str) -> Response:
        """A kept photo, as it was sent."""
        with _audited(request, "read kept photo", check_identity(identity)) as line:
            data = await kept.file(identity, photo)
            line |= {"photo": photo}
        return Response(data, media_type=media_type(data))

    @app.delete(f"{path}/{{photo}}", tags=["kept photos"], responses=_problems(404, 429, 503, 507))
    async def delete_kept_photo(request: Request, identity: str, photo: str) -> schemas.KeptPhotosDeleted:
        """Delete a kept photo. Once it is answered, no file of the gallery holds it; the person stays enrolled."""
        with _audited(request, "delete kept photo", check_identity(identity)) as line:
            done = await kept.delete(identity, photo)
            line |= {"photo": photo, "photos": done.photos}
        return done

    @app.delete(path, tags=["kept photos"], responses=_problems(404, 429, 503, 507))
    async def delete_kept_photos(request: Request, identity: str) -> schemas.KeptPhotosDeleted:
        """Delete all kept photos of a person, who stays enrolled."""
        with _audited(request, "delete kept photos", check_identity(identity)) as line:
            done = await kept.delete(identity)
            line |= {"photos": done.photos}
        return done


def _gallery_route(app: FastAPI, service: Service) -> None:
    @app.get("/v1/gallery", tags=["people"], responses=_problems(429, 503))
    async def gallery(request: Request) -> schemas.Gallery:
        """How many are enrolled, and whether the thresholds hold for them: each is searched among all others. An admin
        also sees who is nearest to whom, to find people who are enrolled twice."""
        return await service.gallery_state(admin=request.state.role in (None, "admin"))


def _other_routes(app: FastAPI, service: Service) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(PAGE / "docs.html")

    app.mount("/page", StaticFiles(directory=PAGE))

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """Whether this process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], responses={503: {"model": schemas.Ready}})
    async def readyz(response: Response) -> schemas.Ready:
        """Whether every stage can answer."""
        states = await service.states()
        ready = all(state == "ready" for state in states.values())
        response.status_code = 200 if ready else 503
        return schemas.Ready(ready=ready, stages=states)


def _sees_below_review(request: Request) -> bool:
    """Whether answers name people and scores that are too far away to count.

    Not with a key that may only identify: who may not list people is not told whom a stranger resembles.
    """
    return bool(request.state.role != "identify")


@contextmanager
def _audited(request: Request, event: str, identity: str) -> Iterator[dict[str, object]]:
    """A line for who may ask later, also of what failed or was given up: that may have been done nevertheless.

    The person is in it as a digest, which outlives an erasure; who guesses a name can find it."""
    state = request.state
    line = {"event": event, "person": Erasures.digest(identity), "key": state.key, "request": state.request_id}
    try:
        yield line
        line["outcome"] = "done"
    except BaseException as error:
        line["outcome"] = type(error).__name__
        raise
    finally:
        audit.info(json.dumps(line))


async def _problem_handler(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, RaymaskError) and status_of(error)[0] in WITHHELD:  # others come to Guard
        log.error("request %s met a fault: %s", request.state.request_id, error)
    return problem_of(error)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return problem_of(ConfigError(f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}"))


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    titles = {404: "No such page", 405: "Not this method"}
    return problem(error.status_code, titles.get(error.status_code, "Refused"), str(error.detail))
