"""Ray Serve around the stages, the gallery and the API: a replica each does what `stages`, `gallery` and `app` say."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from ray.serve import metrics
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from raymask.data.storage import Folder
from raymask.errors import BusyError, ConfigError, DataError, RaymaskError, UnavailableError
from raymask.faces import Face
from raymask.gallery.committer import GroupCommitter
from raymask.gallery.reader import Candidate, EnrolledPhoto, GalleryReader
from raymask.gallery.rows import Enrolment
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space, read_space
from raymask.serve.app import create_app
from raymask.serve.batches import Batches
from raymask.serve.config import Policy, ServiceConfig, StageConfig, from_mapping
from raymask.serve.guard import Guard
from raymask.serve.keys import read_keys
from raymask.serve.measured import SECONDS, Measured
from raymask.serve.pipeline import Photo
from raymask.serve.plan import STRICT, Plan
from raymask.serve.service import Service
from raymask.serve.stages import MaskFound
from raymask.serve.turns import Turns

FRESH = 0.25
"""Seconds after which a search has seen what was written."""
_PATIENCE = 60
"""Seconds that a replica waits for another to let go of the gallery, or to make it."""
_PING = 2.0
"""Seconds in which a stage has to say that it is there."""
_IN_MESSAGE = 1 << 20
"""Bytes of a photo up to which it goes along in the message of a call, over gRPC: with Ray's object store between them
a call takes the two processes three times as much work. Larger photos stay in the store, and go by reference."""


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """The `user_config` of a stage: changed in place, without a restart."""

    __pydantic_config__ = STRICT

    batch: int = 8
    """Requests that a replica takes on together at most; a small network does several in little more time than one."""
    wait: float = 0.0
    """Seconds to wait for others; with 0, those go together that came while the network was at work, or had no core."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.wait < 0:
            raise ConfigError("batch must be 1 or more, wait 0 or more")


class StageReplica:
    """A replica of a stage. Networks run in a thread, so that the replica always hears."""

    def __init__(self, make: Callable[[], Any], stage: StageConfig) -> None:
        """`make` loads the stage: an object that is called for one request, or has `together` for several."""
        import torch

        torch.set_num_threads(stage.threads)
        self._work = make()
        turns = Turns(stage.threads) if stage.device == "cpu" else None
        self._batches = Batches(self._answers, turns, most=BatchConfig.batch, wait=BatchConfig.wait)
        self._measured = Measured()
        self._work_seconds = metrics.Histogram(
            "raymask_stage_work_seconds", description="Time that a network works on a batch.", boundaries=SECONDS
        )
        self._sizes = metrics.Histogram(
            "raymask_stage_batch", description="Requests in a batch.", boundaries=[1, 2, 4, 8, 16, 32]
        )

    def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Set the batches. Raises ConfigError for what it does not know."""
        wanted = from_mapping(BatchConfig, config, "user_config")
        self._batches.most, self._batches.wait = wanted.batch, wanted.wait

    async def __call__(self, *asked: Any) -> Any:
        """What the stage makes of it."""
        with self._measured():
            answer = await self._batches.ask(asked)
            if isinstance(answer, Exception):
                raise answer
            return answer

    async def ping(self) -> bool:
        """Whether it hears."""
        return True

    def _answers(self, asked: list[tuple[Any, ...]]) -> list[Any]:
        begun = time.perf_counter()
        if len(asked) > 1 and hasattr(self._work, "together"):
            try:
                answers = list(self._work.together(asked))
            except Exception:  # one of them is to blame: ask for each by itself
                answers = [self._answer(one) for one in asked]
        else:
            answers = [self._answer(one) for one in asked]
        self._work_seconds.observe(time.perf_counter() - begun)
        self._sizes.observe(len(asked))
        return answers

    def _answer(self, asked: tuple[Any, ...]) -> Any:
        try:
            return self._work(*asked)
        except Exception as error:  # goes to the one who asked
            return error


class GalleryWriterReplica:
    """The gallery's only writer."""

    def __init__(self, uri: str, space: Space) -> None:
        """Raises ModelError if the gallery holds another recogniser's embeddings, DataError if it cannot be written."""
        self._store = _patiently(lambda: GalleryStore(uri, space))
        self._committer = GroupCommitter(self._store)
        self._measured = Measured()

    async def enrol(self, enrolment: Enrolment) -> bool:
        """As `GalleryClient.enrol`."""
        with self._measured():
            return await asyncio.wrap_future(self._committer.enrol(enrolment))

    async def erase(self, identity: str) -> int:
        """As `GalleryClient.erase`."""
        with self._measured():
            return await asyncio.wrap_future(self._committer.erase(identity))

    async def ping(self) -> bool:
        """Whether it hears, and writes."""
        return self._committer.alive

    def check_health(self) -> None:
        """For Serve, which replaces the replica if this raises."""
        if not self._committer.alive:
            raise RuntimeError("the gallery's writer has ended")

    def __del__(self) -> None:
        if hasattr(self, "_committer"):
            self._committer.close()
        if hasattr(self, "_store"):
            self._store.close()


class GallerySearchReplica:
    """Searches the gallery, and sees within FRESH seconds what was written."""

    def __init__(self, uri: str, space: Space) -> None:
        """Raises as `GalleryReader`."""
        self._reader = _patiently(lambda: _reader(uri, space))
        self._log = logging.getLogger("ray.serve")
        self._measured = Measured()
        threading.Thread(target=self._follow, name="gallery-follow", daemon=True).start()

    def _follow(self) -> None:
        while True:
            time.sleep(FRESH)
            try:
                self._reader.refresh()
            except DataError as error:  # searches go on with what was read before
                self._log.warning("%s", error)

    async def search(self, embeddings: np.ndarray, people: int) -> list[list[Candidate]]:
        """As `GalleryClient.search`."""
        with self._measured():
            return await asyncio.to_thread(lambda: [self._reader.search(row, people) for row in embeddings])

    async def identities(self, after: str, limit: int) -> list[tuple[str, int]]:
        """As `GalleryClient.identities`."""
        return await asyncio.to_thread(lambda: self._reader.identities(after=after, limit=limit))

    async def photos(self, identity: str) -> list[EnrolledPhoto]:
        """As `GalleryClient.photos`."""
        return await asyncio.to_thread(self._reader.photos, identity)

    async def ping(self) -> bool:
        """Whether it hears."""
        return True


def _reader(uri: str, space: Space) -> GalleryReader:
    if read_space(Folder(uri)) is None:
        raise DataError(f"{uri} holds no gallery yet")
    return GalleryReader(uri, space)


def _patiently(make: Callable[[], Any]) -> Any:
    """What `make` makes, once the gallery is there and nobody else writes it."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return make()
        except DataError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


class RayStages:
    """The stages' deployments. Large photos go from one to the other by reference and never through this process."""

    def __init__(self, handles: Mapping[str, DeploymentHandle]) -> None:
        """`handles`: by deployment."""
        self._handles = handles
        self._by_message = {name: by_message(handle) for name, handle in handles.items()}

    def put(self, photo: np.ndarray) -> Photo:
        """As `PhotoStages.put`."""
        return photo if photo.nbytes <= _IN_MESSAGE else ray.put(photo)

    async def get(self, photo: Photo) -> np.ndarray:
        """As `PhotoStages.get`."""
        return photo if isinstance(photo, np.ndarray) else await asked(photo)

    async def detect(self, photo: Photo) -> list[Face]:
        """As `Stages.detect`."""
        return await asked(self._ask("Detector", photo))

    async def segment(self, photo: Photo, boxes: np.ndarray) -> list[MaskFound]:
        """As `Stages.segment`."""
        return await asked(self._ask("Segmenter", photo, boxes))

    async def inpaint(self, photo: Photo, boxes: np.ndarray, mask_maps: Sequence[np.ndarray]) -> Photo:
        """As `Stages.inpaint`."""
        response = self._ask("Inpainter", photo, boxes, mask_maps)
        return await asked(response) if isinstance(photo, np.ndarray) else response

    async def embed_masked(self, photo: Photo, faces: Sequence[Face]) -> list[np.ndarray]:
        """As `Stages.embed_masked`."""
        return await asked(self._ask("MaskedEmbedder", photo, faces))

    async def embed_bare(self, photo: Photo, faces: Sequence[Face]) -> list[np.ndarray]:
        """As `Stages.embed_bare`."""
        return await asked(self._ask("BareEmbedder", photo, faces))

    def _ask(self, stage: str, photo: Photo, *more: Any) -> Any:
        handles = self._by_message if isinstance(photo, np.ndarray) else self._handles
        return handles[stage].remote(photo, *more)

    async def states(self) -> dict[str, str]:
        """As `PhotoStages.states`."""

        async def state(handle: DeploymentHandle) -> str:
            try:
                async with asyncio.timeout(_PING):
                    return "ready" if await asked(handle.ping.remote()) else "stopped"
            except (TimeoutError, RaymaskError):
                return "away"

        states = await asyncio.gather(*(state(handle) for handle in self._by_message.values()))
        return dict(zip(self._handles, states, strict=True))


class RayGallery:
    """The gallery's deployments."""

    def __init__(self, search: DeploymentHandle, writer: DeploymentHandle) -> None:
        self._search, self._writer = by_message(search), by_message(writer)

    async def search(self, embeddings: np.ndarray, people: int) -> list[list[Candidate]]:
        """As `GalleryClient.search`."""
        return await asked(self._search.search.remote(embeddings, people))

    async def enrol(self, enrolment: Enrolment) -> bool:
        """As `GalleryClient.enrol`."""
        return await asked(self._writer.enrol.remote(enrolment))

    async def erase(self, identity: str) -> int:
        """As `GalleryClient.erase`."""
        return await asked(self._writer.erase.remote(identity))

    async def identities(self, after: str, limit: int) -> list[tuple[str, int]]:
        """As `GalleryClient.identities`."""
        return await asked(self._search.identities.remote(after, limit))

    async def photos(self, identity: str) -> list[EnrolledPhoto]:
        """As `GalleryClient.photos`."""
        return await asked(self._search.photos.remote(identity))


def by_message(handle: DeploymentHandle) -> DeploymentHandle:
    """The handle with arguments and answers in gRPC messages."""
    return handle.options(_by_reference=False)


async def asked(response: Any) -> Any:
    """What a deployment answers. Raises the stage's own error, BusyError or UnavailableError."""
    try:
        return await response
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RaymaskError):
            raise error.cause from None
        if isinstance(error.cause, (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError)):
            raise _away(error) from None
        raise
    except BackPressureError:
        raise BusyError("a stage has more requests waiting than it takes; ask again in a moment") from None
    except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, DeploymentUnavailableError) as error:
        raise _away(error) from None


def _away(error: Exception) -> UnavailableError:
    logging.getLogger("ray.serve").warning("a stage is away: %s", type(error).__name__)
    return UnavailableError("a stage is being started again; ask again in a few seconds")


class ApiReplica:
    """The HTTP API."""

    def __init__(self, config: ServiceConfig, plan: Plan, handles: Mapping[str, DeploymentHandle]) -> None:
        """Raises DataError if the keys cannot be read."""
        _log_with_serve()
        self._keys = None if config.keys is None else read_keys(config.keys)
        gallery = RayGallery(handles["GallerySearch"], handles["GalleryWriter"])
        decisions = metrics.Counter(
            "raymask_decisions", description="Decisions on faces, and on pairs.", tag_keys=("decision", "face")
        )

        def count(decision: str, masked: bool) -> None:
            decisions.inc(tags={"decision": decision, "face": "masked" if masked else "bare"})

        self._service = Service(plan, RayStages(handles), gallery, Policy(), count)

    def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Set thresholds and limits. Raises ConfigError for what it does not know."""
        self._service.set_policy(from_mapping(Policy, config, "user_config of Api"))

    def check_health(self) -> None:
        """For Serve: raises ConfigError if the fusion's thresholds do not hold and no others are given."""
        _ = self._service.thresholds

    def __serve_build_asgi_app__(self) -> Guard:
        """For `serve.ingress`."""
        return create_app(self._service, self._keys, request_id=_request_id)


def _request_id() -> str:
    """Serve's, which every log line of every stage carries."""
    from ray.serve.context import _get_serve_request_context

    return str(_get_serve_request_context().request_id)


def _log_with_serve() -> None:
    """Our lines go where Serve's go."""
    ours, serves = logging.getLogger("raymask"), logging.getLogger("ray.serve")
    ours.setLevel(logging.INFO)
    ours.handlers, ours.propagate = serves.handlers, False
