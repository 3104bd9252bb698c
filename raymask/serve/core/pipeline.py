"""The way of a photo through the stages: one composition, whether the stages are deployments or plain objects.

    detector -> segmenter -> inpainter -> detector -> bare-face embedder  \\
             \\-> masked-face embedder -------------------------------------> fusion -> gallery

Only masked faces go through the inpainter, after which the photo is searched for faces once more, as the recogniser
`mrii:` does. A face that is not found again is embedded as it came. A fusion without an MRII part has no bare-face
embedder, and nothing is painted for it. One whose part is `routed:` asks, after the segmenter, the masked-face embedder
about masked faces and the bare-face embedder about the others, all as they came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from raymask.errors import NoFaceError
from raymask.faces import Face
from raymask.plugins import allow
from raymask.serve.core.plan import Plan
from raymask.serve.core.stages import Fuser, MaskFound, same_face

PhotoOrRef = Any
"""Whatever the stages take for a photo: an array, or a reference to one that lies elsewhere."""
Embed = Callable[[PhotoOrRef, Sequence[Face]], Coroutine[Any, Any, list[np.ndarray]]]
"""A stage that embeds faces."""


class Stages(Protocol):
    """What the pipeline asks; each returns when the stage has answered."""

    async def put(self, photo: np.ndarray) -> PhotoOrRef:
        """The photo as stages take it."""

    async def detect(self, photo: PhotoOrRef) -> list[Face]:
        """All faces of a photo."""

    async def segment(self, photo: PhotoOrRef, boxes: np.ndarray) -> list[MaskFound]:
        """The mask on each of (F, 4) boxes."""

    async def inpaint(self, photo: PhotoOrRef, boxes: np.ndarray, mask_maps: Sequence[np.ndarray]) -> PhotoOrRef:
        """The photo without these masks, or a reference to what it will be."""

    async def embed_masked(self, photo: PhotoOrRef, faces: Sequence[Face]) -> list[np.ndarray]:
        """(F, D) of each network for faces as they come."""

    async def embed_bare(self, photo: PhotoOrRef, faces: Sequence[Face]) -> list[np.ndarray]:
        """(F, D) of each network for faces without masks."""


@dataclass(kw_only=True)
class Seen:
    """What the stages have found in a photo."""

    faces: list[Face]
    masks: list[MaskFound]
    unmasked: PhotoOrRef | None = None
    """The photo without masks; None if nobody wears one."""
    embeddings: np.ndarray | None = None
    """(F, D) float32, fused."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time until each stage had answered, by name; stages that run side by side overlap."""

    @property
    def boxes(self) -> np.ndarray:
        """(F, 4) float32."""
        return np.stack([face.box for face in self.faces])


class Pipeline:
    """Asks the stages in order, side by side where nothing hangs on the order."""

    def __init__(self, plan: Plan, stages: Stages) -> None:
        allow(plan.own)  # the fusion is asked for its digest, that of code of others among its parts
        self._plan, self._stages, self._fuse = plan, stages, Fuser(plan.fused)

    async def see(self, pixels: np.ndarray, most: int) -> Seen:
        """The faces of a photo, (H, W, 3) uint8 RGB, embedded; `most` and errors as `find`."""
        photo = await self.put(pixels)
        seen = await self.find(photo, most)
        await self.embed(photo, seen)
        return seen

    async def put(self, pixels: np.ndarray) -> PhotoOrRef:
        """The photo, (H, W, 3) uint8 RGB, as all else here takes it."""
        return await self._stages.put(pixels)

    async def see_face(self, photo: PhotoOrRef, face: Face) -> Seen:
        """One face of a photo, embedded, and no other."""
        seen = Seen(faces=[face], masks=[])
        await self.embed(photo, seen)
        return seen

    async def see_again(self, photo: PhotoOrRef, box: np.ndarray) -> Seen | None:
        """The face in a photo that is in `box`, (4,); None if there is none now."""
        face = same_face(box, await self._stages.detect(photo))
        return None if face is None else await self.see_face(photo, face)

    async def find(self, photo: PhotoOrRef, most: int) -> Seen:
        """Faces, the largest first.

        Args:
            photo: what the stages take.
            most: faces to look at.

        Raises:
            NoFaceError: there is none.
        """
        seen = Seen(faces=[], masks=[])
        with timed(seen.seconds, "detector"):
            found = await self.faces(photo)
        seen.faces = sorted(found, key=lambda face: face.area, reverse=True)[:most]
        return seen

    async def faces(self, photo: PhotoOrRef) -> list[Face]:
        """All faces of a photo, surest first. Raises NoFaceError if there is none."""
        found = await self._stages.detect(photo)
        if not found:
            raise NoFaceError("no face was found; use a larger, sharper or more frontal photo")
        return found

    async def segment(self, photo: PhotoOrRef, seen: Seen) -> None:
        """Adds the masks."""
        with timed(seen.seconds, "segmenter"):
            seen.masks = await self._stages.segment(photo, seen.boxes)

    async def unmask(self, photo: PhotoOrRef, seen: Seen) -> None:
        """Adds the photo without the masks, if somebody wears one."""
        masked = [place for place, mask in enumerate(seen.masks) if mask.masked]
        if masked:
            maps = [seen.masks[place].mask_map for place in masked]
            with timed(seen.seconds, "inpainter"):
                seen.unmasked = await self._stages.inpaint(photo, seen.boxes[masked], maps)

    async def embed(self, photo: PhotoOrRef, seen: Seen) -> np.ndarray:
        """Adds masks, the photo without them where a part needs it, and embeddings (F, D)."""
        if self._plan.routed:
            seen.embeddings = self._fuse(await self._routed(photo, seen))
            return seen.embeddings
        as_they_come, bare = await side_by_side(self._masked_parts(photo, seen), self._bare_parts(photo, seen))
        parts: dict[int, np.ndarray] = {
            **dict(zip(self._plan.masked_parts, as_they_come, strict=True)),
            **dict(zip(self._plan.bare_parts, bare, strict=True)),
        }
        seen.embeddings = self._fuse([parts[place] for place in sorted(parts)])
        return seen.embeddings

    async def _routed(self, photo: PhotoOrRef, seen: Seen) -> list[np.ndarray]:
        """The one part, (F, D): masked faces by the one network, bare ones by the other."""
        await self.segment(photo, seen)

        async def embed(stage: str, ask: Embed, places: list[int]) -> list[np.ndarray]:
            with timed(seen.seconds, stage):
                return await ask(photo, [seen.faces[place] for place in places])

        asked = []
        for is_masked, stage, ask in (
            (True, "masked_embedder", self._stages.embed_masked),
            (False, "bare_embedder", self._stages.embed_bare),
        ):
            places = [place for place, mask in enumerate(seen.masks) if mask.masked == is_masked]
            if places:
                asked.append((places, embed(stage, ask, places)))
        return await _in_order(asked)

    async def _masked_parts(self, photo: PhotoOrRef, seen: Seen) -> list[np.ndarray]:
        if not self._plan.masked_parts:
            return []
        with timed(seen.seconds, "masked_embedder"):
            return await self._stages.embed_masked(photo, seen.faces)

    async def _bare_parts(self, photo: PhotoOrRef, seen: Seen) -> list[np.ndarray]:
        await self.segment(photo, seen)
        if not self._plan.bare_parts:
            return []
        await self.unmask(photo, seen)
        again: dict[int, Face] = {}
        if seen.unmasked is not None:
            with timed(seen.seconds, "inpainter"):  # and the search of what it has painted
                found = await self._stages.detect(seen.unmasked)
            masked = [place for place, mask in enumerate(seen.masks) if mask.masked]
            refound = {place: same_face(seen.faces[place].box, found) for place in masked}
            again = {place: face for place, face in refound.items() if face is not None}
        with timed(seen.seconds, "bare_embedder"):
            return await self._embed_bare(photo, seen, again)

    async def _embed_bare(self, photo: PhotoOrRef, seen: Seen, again: Mapping[int, Face]) -> list[np.ndarray]:
        """Faces found again from the photo without masks, all others from the photo as it came."""
        others = [place for place in range(len(seen.faces)) if place not in again]
        asked = []
        if again:
            asked.append((list(again), self._stages.embed_bare(seen.unmasked, list(again.values()))))
        if others:
            asked.append((others, self._stages.embed_bare(photo, [seen.faces[place] for place in others])))
        return await _in_order(asked)


async def _in_order(asked: Sequence[tuple[list[int], Coroutine[Any, Any, list[np.ndarray]]]]) -> list[np.ndarray]:
    """(F, D) of each network, from answers about some faces each, and the places of those faces."""
    answers = await side_by_side(*(answer for _, answer in asked))
    order = np.argsort([place for places, _ in asked for place in places])
    return [np.concatenate(rows)[order] for rows in zip(*answers, strict=True)]


async def side_by_side(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """The results of all; where one fails, the others are given up and it alone is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time of a block to a stage's."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - begun
