"""All stages in one process, one photo after another on each thread: what the graph is compared with, and tested by."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from raymask.calibration.table import SearchTable
from raymask.faces import Face
from raymask.gallery.committer import GroupCommitter
from raymask.gallery.reader import EnrolledPhoto, GalleryReader, KeptPhoto
from raymask.gallery.rows import Enrolment
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space
from raymask.gallery.view import Found, Likeness
from raymask.serve.core.gallery_checks import GalleryChecks, GalleryState
from raymask.serve.core.plan import Plan
from raymask.serve.core.stages import Detector, Embedder, Inpainter, MaskFound, Segmenter


class LocalStages:
    """Loads every model of a plan."""

    def __init__(self, plan: Plan, *, threads: int = 1) -> None:
        """`threads`: pieces of work done at a time. Raises ModelError if a model is missing or damaged."""
        self._detector = Detector(plan.detector)
        self._segmenter, self._inpainter = Segmenter(plan.segmenter), Inpainter(plan.inpainter)
        self._masked_embedder = Embedder(plan.masked_networks, own=plan.own)
        self._bare_embedder = Embedder(plan.bare_networks, own=plan.own)
        self._idle = plan.idle
        self._threads = ThreadPoolExecutor(threads)

    async def detect(self, photo: np.ndarray) -> list[Face]:
        """As `Stages.detect`."""
        return await self._run(self._detector, photo)

    async def segment(self, photo: np.ndarray, boxes: np.ndarray) -> list[MaskFound]:
        """As `Stages.segment`."""
        return await self._run(self._segmenter, photo, boxes)

    async def inpaint(self, photo: np.ndarray, boxes: np.ndarray, mask_maps: Sequence[np.ndarray]) -> np.ndarray:
        """As `Stages.inpaint`."""
        return await self._run(self._inpainter, photo, boxes, mask_maps)

    async def embed_masked(self, photo: np.ndarray, faces: Sequence[Face]) -> list[np.ndarray]:
        """As `Stages.embed_masked`."""
        return await self._run(self._masked_embedder, photo, faces)

    async def embed_bare(self, photo: np.ndarray, faces: Sequence[Face]) -> list[np.ndarray]:
        """As `Stages.embed_bare`."""
        return await self._run(self._bare_embedder, photo, faces)

    async def put(self, photo: np.ndarray) -> np.ndarray:
        """As `PhotoStages.put`."""
        return photo

    async def get(self, photo: np.ndarray) -> np.ndarray:
        """As `PhotoStages.get`."""
        return photo

    async def states(self) -> dict[str, str]:
        """As `PhotoStages.states`."""
        names = ("Detector", "Segmenter", "Inpainter", "MaskedEmbedder", "BareEmbedder")
        return {name: "ready" for name in names if name not in self._idle}

    async def _run(self, act, *arguments):  # type: ignore[no-untyped-def]  # whatever the stage takes and gives
        return await asyncio.get_running_loop().run_in_executor(self._threads, act, *arguments)


class LocalGallery:
    """A gallery that this process writes and searches; what is enrolled is found at once."""

    def __init__(self, uri: str, space: Space, searches: SearchTable | None = None) -> None:
        """`searches`: what the thresholds promise. Raises as `GalleryStore`."""
        self._store = GalleryStore(uri, space)
        self._committer = GroupCommitter(self._store)
        self._reader = GalleryReader(uri, space)
        self._checks = GalleryChecks(self._reader, searches)

    async def search(self, embeddings: np.ndarray, people: int) -> Found:
        """As `GalleryClient.search`."""

        def find() -> Found:
            self._reader.refresh()
            return self._reader.search(embeddings, people)

        return await asyncio.to_thread(find)

    async def compare(self, embedding: np.ndarray, identity: str) -> Likeness | None:
        """As `GalleryClient.compare`."""
        self._reader.refresh()
        return await asyncio.to_thread(self._reader.compare, embedding, identity)

    async def enrol(self, enrolment: Enrolment) -> bool:
        """As `GalleryClient.enrol`."""
        return await asyncio.wrap_future(self._committer.enrol(enrolment))

    async def erase(self, identity: str) -> int | None:
        """As `GalleryClient.erase`."""
        return await asyncio.wrap_future(self._committer.erase(identity))

    async def identities(self, after: str, limit: int) -> list[tuple[str, int]]:
        """As `GalleryClient.identities`."""
        self._reader.refresh()
        return await asyncio.to_thread(lambda: self._reader.identities(after=after, limit=limit))

    async def state(self) -> GalleryState:
        """As `GalleryClient.state`; the gallery is checked first, if it has changed."""

        def look() -> GalleryState:
            self._reader.refresh()
            self._checks.update()
            return self._checks.state()

        return await asyncio.to_thread(look)

    async def photos(self, identity: str) -> list[EnrolledPhoto]:
        """As `GalleryClient.photos`."""
        self._reader.refresh()
        return await asyncio.to_thread(self._reader.photos, identity)

    async def pictures(self, identity: str) -> list[KeptPhoto]:
        """As `GalleryClient.pictures`."""
        self._reader.refresh()
        return await asyncio.to_thread(self._reader.pictures, identity)

    async def picture(self, identity: str, key: bytes) -> bytes | None:
        """As `GalleryClient.picture`."""
        self._reader.refresh()
        return await asyncio.to_thread(self._reader.picture, identity, key)

    async def delete_pictures(self, identity: str, key: bytes | None) -> int | None:
        """As `GalleryClient.delete_pictures`."""
        return await asyncio.wrap_future(self._committer.delete_pictures(identity, key))

    def close(self) -> None:
        """Write what waits, and let another process write."""
        self._committer.close()
        self._store.close()
