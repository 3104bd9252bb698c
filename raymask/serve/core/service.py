"""What the service does with photos and people, apart from how it is asked over HTTP."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from raymask.errors import ConfigError, ImageError, UnavailableError
from raymask.faces.crop import Square
from raymask.faces.images import decode_photo, encode_png
from raymask.gallery.reader import Candidate
from raymask.gallery.rows import check_identity, photo_key
from raymask.serve.core import schemas
from raymask.serve.core.config import Policy, ThresholdPair
from raymask.serve.core.enrolment import enrolment_of, subject_of
from raymask.serve.core.gallery_checks import warning_of
from raymask.serve.core.gallery_client import GalleryClient, nobody
from raymask.serve.core.kept_photos import KeptPhotos
from raymask.serve.core.pipeline import PhotoOrRef, Pipeline, Seen, Stages, side_by_side, timed
from raymask.serve.core.plan import Plan

_LOOKS_AGAIN = 8
"""Times that a photo is looked for which the gallery's writer knows."""


class PhotoStages(Stages, Protocol):
    """Stages, and the way of a photo to them."""

    async def get(self, photo: PhotoOrRef) -> np.ndarray:
        """The photo behind it."""

    async def states(self) -> dict[str, str]:
        """Each stage by name: ready, or what it is instead."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """By state of the face."""

    bare: ThresholdPair
    masked: ThresholdPair

    @classmethod
    def of(cls, plan: Plan, policy: Policy) -> Thresholds:
        """The policy's, or the fusion's. Raises ConfigError if there are none that hold."""
        pairs = {}
        for state in ("bare", "masked"):
            given: ThresholdPair | None = getattr(policy, state)
            names = (f"{state}_{policy.match_at}", f"{state}_{policy.review_at}")
            if given is None and not all(name in plan.thresholds for name in names):
                raise ConfigError(
                    f"{plan.fused.spec} has no thresholds for these embedders on {state} faces; calibrate a fusion of "
                    f"them with jobs/fuse.py, or give {state}: {{match: ..., review: ...}} in Api's user_config"
                )
            match, review = (plan.thresholds.get(name, 0.0) for name in names)
            pairs[state] = given or ThresholdPair(match=match, review=min(review, match))
        return cls(**pairs)

    def decide(self, score: float | None, masked: bool) -> tuple[schemas.Decision, ThresholdPair]:
        """The decision on a face's best score, and the thresholds behind it."""
        pair = self.masked if masked else self.bare
        if score is None or score < pair.review:
            return "unknown", pair
        return ("match" if score >= pair.match else "review"), pair


class Service:
    """Answers with the models of `raymask.serve.core.schemas`; raises the errors of `raymask.errors`."""

    def __init__(
        self,
        plan: Plan,
        stages: PhotoStages,
        gallery: GalleryClient,
        policy: Policy,
        count: Callable[[schemas.Decision, bool], None] = lambda decision, masked: None,
    ) -> None:
        """`count`: told of each decision, and whether the face was masked."""
        self.plan, self.stages, self.gallery, self._count = plan, stages, gallery, count
        self.kept_photos = KeptPhotos(gallery)
        self._pipeline = Pipeline(plan, stages)
        self.policy = policy

    @property
    def thresholds(self) -> Thresholds:
        """Those that decide now. Raises ConfigError if none hold."""
        return Thresholds.of(self.plan, self.policy)

    def set_policy(self, policy: Policy) -> None:
        """Change thresholds and limits; requests under way go on. Raises ConfigError if no thresholds hold."""
        Thresholds.of(self.plan, policy)
        self.policy = policy

    async def identify(self, data: bytes) -> schemas.Identified:
        """Who is in a photo."""
        seen = await self._pipeline.see(await self._decoded(data), self.policy.faces)
        assert seen.embeddings is not None
        with timed(seen.seconds, "gallery"):
            found = await self.gallery.search(seen.embeddings, self.policy.candidates)
        return schemas.Identified(
            faces=[self._identified(seen, place, people) for place, people in enumerate(found)], seconds=seen.seconds
        )

    async def verify(self, first: bytes, second: bytes) -> schemas.Verified:
        """Whether the subjects of two photos are one person."""
        one, other = await side_by_side(self._subject(first), self._subject(second))
        assert one.embeddings is not None
        assert other.embeddings is not None
        score = float(one.embeddings[0] @ other.embeddings[0])
        masked = one.masks[0].masked or other.masks[0].masked
        decision, pair = self._decided(score, masked)
        return schemas.Verified(
            decision=decision,
            score=score,
            threshold=pair.match,
            review_threshold=pair.review,
            first=schemas.FaceSegmented(**_segmented(one, 0)),
            second=schemas.FaceSegmented(**_segmented(other, 0)),
            seconds={
                name: max(one.seconds.get(name, 0), other.seconds.get(name, 0)) for name in one.seconds | other.seconds
            },
        )

    async def segment(self, data: bytes) -> schemas.Segmented:
        """Which faces wear masks, and where."""
        photo = await self._pipeline.put(await self._decoded(data))
        seen = await self._pipeline.find(photo, self.policy.faces)
        await self._pipeline.segment(photo, seen)
        return schemas.Segmented(
            faces=[schemas.FaceMap(**_segmented(seen, place), **_map(seen, place)) for place in range(len(seen.faces))],
            seconds=seen.seconds,
        )

    async def unmask(self, data: bytes) -> tuple[np.ndarray, int]:
        """The photo, (H, W, 3) uint8 RGB, with all masks taken off, and how many masks were found."""
        pixels = await self._decoded(data)
        photo = await self._pipeline.put(pixels)
        seen = await self._pipeline.find(photo, self.policy.faces)
        await self._pipeline.segment(photo, seen)
        await self._pipeline.unmask(photo, seen)
        masks = sum(mask.masked for mask in seen.masks)
        return (pixels if seen.unmasked is None else await self.stages.get(seen.unmasked)), masks

    async def embed(self, data: bytes) -> schemas.Embedded:
        """The faces of a photo as numbers."""
        seen = await self._pipeline.see(await self._decoded(data), self.policy.faces)
        assert seen.embeddings is not None
        return schemas.Embedded(
            faces=[
                schemas.FaceEmbedded(**_segmented(seen, place), embedding=row.tolist())
                for place, row in enumerate(seen.embeddings)
            ],
            model=self.plan.space.digest[:12],
            seconds=seen.seconds,
        )

    async def enrol(
        self, identity: str, data: bytes, *, key: str | None, with_masks: bool, keep: bool
    ) -> schemas.Enrolled:
        """Enrol the subject of a photo; answered when it is on disk."""
        identity = check_identity(identity)
        pixels = await self._decoded(data)
        seen, others = await subject_of(self._pipeline, pixels)
        digest = photo_key(identity, data if key is None else key)
        enrolment = await enrolment_of(
            self._pipeline, pixels, seen, identity=identity, key=digest, with_masks=with_masks
        )
        new = await self.gallery.enrol(replace(enrolment, picture=data if keep else None))
        looks, kept = (enrolment.looks[1:], keep) if new else await self._enrolled_before(identity, digest)
        return schemas.Enrolled(
            identity=identity,
            photo=enrolment.key.hex(),
            new=new,
            looks=list(looks),
            kept=kept,
            face=schemas.FaceSegmented(**_segmented(seen, 0)),
            other_faces=others,
        )

    async def people(self, after: str, limit: int) -> schemas.People:
        """Who is enrolled."""
        found = await self.gallery.identities(after, limit + 1)
        page = [schemas.Person(identity=name, photos=count) for name, count in found[:limit]]
        return schemas.People(people=page, next=page[-1].identity if len(found) > limit else None)

    async def gallery_state(self, *, admin: bool) -> schemas.Gallery:
        """How many are enrolled, and whether the thresholds hold; who is nearest to whom, an admin alone is told."""
        people, embeddings, check = await self.gallery.state()
        alike = (
            [schemas.PeopleAlike(identities=[*pair[:2]], score=pair.score) for pair in check.nearest] if check else []
        )
        return schemas.Gallery(
            people=people,
            embeddings=embeddings,
            checked=check.checked if check else None,
            searched=check.searched if check else 0,
            shares=[schemas.SearchShare(**share._asdict()) for share in check.shares] if check else [],
            warning=warning_of(check),
            nearest=alike if admin else None,
        )

    async def person(self, identity: str) -> schemas.PersonPhotos:
        """Somebody enrolled."""
        identity = check_identity(identity)
        photos = await self.gallery.photos(identity)
        if not photos:
            raise nobody(identity)
        shown = [
            schemas.PhotoEnrolled(photo=one.key.hex(), added=one.added, looks=list(one.looks), kept=one.kept)
            for one in photos
        ]
        return schemas.PersonPhotos(identity=identity, photos=shown)

    async def erase(self, identity: str) -> schemas.Erased:
        """Erase somebody; answered when no file holds them any more."""
        identity = check_identity(identity)
        photos = await self.gallery.erase(identity)
        if photos is None:
            raise nobody(identity)
        return schemas.Erased(identity=identity, photos=photos)

    async def _enrolled_before(self, identity: str, key: bytes) -> tuple[tuple[str, ...], bool]:
        """Looks of a photo that is enrolled, and whether it was kept; searches may see it a moment after the writer."""
        for _ in range(_LOOKS_AGAIN):
            for photo in await self.gallery.photos(identity):
                if photo.key == key:
                    return photo.looks, photo.kept
            await asyncio.sleep(0.25)
        raise UnavailableError("the photo was enrolled before, but cannot be looked up now; ask again in a moment")

    async def _decoded(self, data: bytes) -> np.ndarray:
        if not data:
            raise ImageError("the photo is empty; send a JPEG, PNG or WebP file")
        return await asyncio.to_thread(decode_photo, data, "the photo", max_pixels=self.policy.pixels)

    async def _subject(self, data: bytes) -> Seen:
        seen, _ = await subject_of(self._pipeline, await self._decoded(data))
        return seen

    def _decided(self, score: float | None, masked: bool) -> tuple[schemas.Decision, ThresholdPair]:
        decision, pair = self.thresholds.decide(score, masked)
        self._count(decision, masked)
        return decision, pair

    def _identified(self, seen: Seen, place: int, people: Sequence[Candidate]) -> schemas.FaceIdentified:
        score = people[0].score if people else None
        decision, pair = self._decided(score, seen.masks[place].masked)
        return schemas.FaceIdentified(
            **_segmented(seen, place),
            decision=decision,
            score=score,
            threshold=pair.match,
            review_threshold=pair.review,
            candidates=[schemas.Candidate(identity=name, score=near) for name, near in people],
        )


def _segmented(seen: Seen, place: int) -> dict[str, Any]:
    face, mask = seen.faces[place], seen.masks[place]
    return {
        "box": [round(float(value), 2) for value in face.box],
        "detection_score": face.score,
        "masked": mask.masked,
        "coverage": mask.coverage,
    }


def _map(seen: Seen, place: int) -> dict[str, Any]:
    square = Square.around(seen.faces[place].box)
    png = encode_png(seen.masks[place].mask_map)
    return {"square": [square.left, square.top, square.side], "mask_png": base64.b64encode(png).decode()}
