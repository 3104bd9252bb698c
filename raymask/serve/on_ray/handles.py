"""What pipeline and service ask, answered by deployments: how calls travel, and what becomes of their errors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import ray
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from raymask.errors import BusyError, RaymaskError, UnavailableError
from raymask.faces import Face
from raymask.gallery.reader import EnrolledPhoto, KeptPhoto
from raymask.gallery.rows import Enrolment
from raymask.gallery.view import Found, Likeness
from raymask.ray_private import by_message
from raymask.serve.core.gallery_checks import GalleryState
from raymask.serve.core.pipeline import PhotoOrRef
from raymask.serve.core.plan import Network, Plan
from raymask.serve.core.stages import MaskFound
from raymask.serve.on_ray.gallery_replicas import GalleryName

_PING = 2.0
"""Seconds in which a stage has to say that it is there."""
_STATES = 0.5
"""Seconds for which what the stages say of themselves holds."""
_IN_MESSAGE = 1 << 20
"""Bytes of a photo up to which it goes along in the message of a call, over gRPC: with Ray's object store between them
a call takes the two processes three times as much work. Larger photos stay in the store, and go by reference."""


class RayStages:
    """The stages' deployments. Large photos go from one to the other by reference and never through this process."""

    def __init__(self, handles: Mapping[str, DeploymentHandle], plan: Plan) -> None:
        """`handles`: by deployment; `plan`: whose networks have to embed. Nobody asks a deployment that is idle."""
        handles = {name: handle for name, handle in handles.items() if name not in plan.idle}
        self._handles, self._plan = handles, plan
        self._by_message = {name: by_message(handle) for name, handle in handles.items()}
        self._asking: asyncio.Task[dict[str, str]] | None = None
        self._asked_at = 0.0

    async def put(self, photo: np.ndarray) -> PhotoOrRef:
        """As `PhotoStages.put`."""
        return photo if photo.nbytes <= _IN_MESSAGE else await asyncio.to_thread(ray.put, photo)

    async def get(self, photo: PhotoOrRef) -> np.ndarray:
        """As `PhotoStages.get`."""
        return photo if isinstance(photo, np.ndarray) else await asked(photo)

    async def detect(self, photo: PhotoOrRef) -> list[Face]:
        """As `Stages.detect`."""
        return await asked(self._ask("Detector", photo))

    async def segment(self, photo: PhotoOrRef, boxes: np.ndarray) -> list[MaskFound]:
        """As `Stages.segment`."""
        return await asked(self._ask("Segmenter", photo, boxes))

    async def inpaint(self, photo: PhotoOrRef, boxes: np.ndarray, mask_maps: Sequence[np.ndarray]) -> PhotoOrRef:
        """As `Stages.inpaint`."""
        response = self._ask("Inpainter", photo, boxes, mask_maps)
        return await asked(response) if isinstance(photo, np.ndarray) else response

    async def embed_masked(self, photo: PhotoOrRef, faces: Sequence[Face]) -> list[np.ndarray]:
        """As `Stages.embed_masked`."""
        return await self._embed("MaskedEmbedder", self._plan.masked_networks, photo, faces)

    async def embed_bare(self, photo: PhotoOrRef, faces: Sequence[Face]) -> list[np.ndarray]:
        """As `Stages.embed_bare`."""
        return await self._embed("BareEmbedder", self._plan.bare_networks, photo, faces)

    async def _embed(
        self, stage: str, networks: Sequence[Network], photo: PhotoOrRef, faces: Sequence[Face]
    ) -> list[np.ndarray]:
        """Of these networks alone: embeddings of others must not meet those of the gallery."""
        digests = tuple(network.digest for network in networks)
        return await asked(self._ask(stage, photo, faces, networks=digests))

    def _ask(self, stage: str, photo: PhotoOrRef, *more: Any, **options: Any) -> Any:
        handles = self._by_message if isinstance(photo, np.ndarray) else self._handles
        return handles[stage].remote(photo, *more, **options)

    async def states(self) -> dict[str, str]:
        """As `PhotoStages.states`; all who ask within _STATES seconds have one answer, so that asking costs little."""
        now = time.monotonic()
        if self._asking is None or now > self._asked_at + _STATES:
            self._asking, self._asked_at = asyncio.create_task(self._ask_states()), now
        return await asyncio.shield(self._asking)

    async def _ask_states(self) -> dict[str, str]:
        async def state(handle: DeploymentHandle) -> str:
            try:
                async with asyncio.timeout(_PING):
                    return "ready" if await asked(handle.ping.remote()) else "stopped"
            except Exception:  # whatever it is, it does not answer
                return "away"

        states = await asyncio.gather(*(state(handle) for handle in self._by_message.values()))
        return dict(zip(self._handles, states, strict=True))


class RayGallery:
    """The gallery's deployments."""

    def __init__(self, search: DeploymentHandle, writer: DeploymentHandle, gallery: GalleryName) -> None:
        """`gallery`: the one that is meant, for a deployment may be changing to another."""
        self._search, self._writer = by_message(search), by_message(writer)
        self._search_by_reference, self._writer_by_reference = search, writer
        self._gallery = gallery

    async def search(self, embeddings: np.ndarray, people: int) -> Found:
        """As `GalleryClient.search`."""
        return await asked(self._search.search.remote(self._gallery, embeddings, people))

    async def compare(self, embedding: np.ndarray, identity: str) -> Likeness | None:
        """As `GalleryClient.compare`."""
        return await asked(self._search.compare.remote(self._gallery, embedding, identity))

    async def enrol(self, enrolment: Enrolment) -> bool:
        """As `GalleryClient.enrol`."""
        large = enrolment.picture is not None and len(enrolment.picture) > _IN_MESSAGE
        writer = self._writer_by_reference if large else self._writer
        return await asked(writer.enrol.remote(self._gallery, enrolment))

    async def erase(self, identity: str) -> int | None:
        """As `GalleryClient.erase`."""
        return await asked(self._writer.erase.remote(self._gallery, identity))

    async def identities(self, after: str, limit: int) -> list[tuple[str, int]]:
        """As `GalleryClient.identities`."""
        return await asked(self._search.identities.remote(self._gallery, after, limit))

    async def state(self) -> GalleryState:
        """As `GalleryClient.state`."""
        return await asked(self._search.state.remote(self._gallery))

    async def photos(self, identity: str) -> list[EnrolledPhoto]:
        """As `GalleryClient.photos`."""
        return await asked(self._search.photos.remote(self._gallery, identity))

    async def pictures(self, identity: str) -> list[KeptPhoto]:
        """As `GalleryClient.pictures`."""
        return await asked(self._search.pictures.remote(self._gallery, identity))

    async def picture(self, identity: str, key: bytes) -> bytes | None:
        """As `GalleryClient.picture`; by reference, for nobody knows beforehand how large it is."""
        return await asked(self._search_by_reference.picture.remote(self._gallery, identity, key))

    async def delete_pictures(self, identity: str, key: bytes | None) -> int | None:
        """As `GalleryClient.delete_pictures`."""
        return await asked(self._writer.delete_pictures.remote(self._gallery, identity, key))


_LOST = (
    ray.exceptions.RayActorError,
    ray.exceptions.ObjectLostError,
    DeploymentUnavailableError,
    RequestCancelledError,
)
"""Errors of a call whose replica went away."""


def _code(error: grpc.RpcError) -> Any:
    return error.code() if hasattr(error, "code") else None


async def asked(response: Any) -> Any:
    """What a deployment answers. Raises the stage's own error, BusyError or UnavailableError."""
    try:
        return await response
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RaymaskError):
            raise error.cause from None
        if isinstance(error.cause, _LOST):
            raise _away(error) from None
        raise
    except BackPressureError:
        raise BusyError("a stage has more requests waiting than it takes; ask again in a moment") from None
    except _LOST as error:
        raise _away(error) from None
    except grpc.RpcError as error:
        if _code(error) == grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise  # a message that is too large is a fault of ours
        raise _away(error) from None


def _away(error: Exception) -> UnavailableError:
    logging.getLogger("ray.serve").warning("a stage is away: %s", type(error).__name__)
    return UnavailableError("a stage is being started again; ask again in a few seconds")
