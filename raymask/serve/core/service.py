"""What the service does with photos and people, apart from how it is asked over HTTP."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from raymask.calibration.table import State
from raymask.errors import UnavailableError
from raymask.faces.crop import Square
from raymask.faces.images import encode_png
from raymask.gallery.rows import check_identity, photo_key
from raymask.gallery.view import Candidate
from raymask.serve.core import schemas
from raymask.serve.core.config import Policy
from raymask.serve.core.decisions import Bounds, Decisions, rounded
from raymask.serve.core.decoding import Decoding
from raymask.serve.core.enrolment import enrolment_of, subject_of
from raymask.serve.core.gallery_checks import warning_of
from raymask.serve.core.gallery_client import GalleryClient, nobody
from raymask.serve.core.kept_photos import KeptPhotos
from raymask.serve.core.pipeline import PhotoOrRef, Pipeline, Seen, Stages, side_by_side, timed
from raymask.serve.core.plan import Plan

_LOOKS_AGAIN = 8
"""Times that a photo is looked for which the gallery's writer knows."""
_LOOKED_FOR = 2
"""People at least, however few are named: whether the first two are equally near decides, too."""


class PhotoStages(Stages, Protocol):
    """Stages, and the way of a photo to them."""

    async def get(self, photo: PhotoOrRef) -> np.ndarray:
        """The photo behind it."""

    async def states(self) -> dict[str, str]:
        """Each stage by name: ready, or what it is instead."""


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
        self.kept_photos, self.decoding = KeptPhotos(gallery), Decoding()
        self._pipeline = Pipeline(plan, stages)
        self.policy = policy

    @property
    def decisions(self) -> Decisions:
        """The thresholds that decide now. Raises ConfigError as `Decisions.of`."""
        return Decisions.of(self.plan, self.policy)

    def set_policy(self, policy: Policy) -> None:
        """Change thresholds and limits; requests under way are not broken off. Raises ConfigError as `Decisions.of`."""
        Decisions.of(self.plan, policy)
        self.policy = policy

    async def states(self) -> dict[str, str]:
        """Each stage by name: ready, or what it is instead; and the decoding of photos, if it is stuck."""
        return await self.stages.states() | ({"Decoding": "stuck"} if self.decoding.stuck else {})

    async def identify(self, data: bytes, *, below_review: bool) -> schemas.Identified:
        """Who is in a photo; `below_review`: whether to show scores and people too far away to count, too."""
        seen = await self._pipeline.see(await self._decoded(data), self.policy.faces)
        assert seen.embeddings is not None
        with timed(seen.seconds, "gallery"):
            found = await self.gallery.search(seen.embeddings, max(_LOOKED_FOR, self.policy.candidates))
        faces = []
        for place, people in enumerate(found.candidates):
            bounds = self.decisions.identifying(_state(seen, place), found.enrolled.embeddings)
            faces.append(self._identified(seen, place, people, bounds, below_review))
        enrolled = schemas.GallerySize(**found.enrolled._asdict())
        return schemas.Identified(faces=faces, enrolled=enrolled, seconds=seen.seconds)

    async def verify(self, first: bytes, second: bytes) -> schemas.Verified:
        """Whether the subjects of two photos are one person."""
        one, other = await side_by_side(self._subject(first), self._subject(second))
        assert one.embeddings is not None
        assert other.embeddings is not None
        score = rounded(one.embeddings[0] @ other.embeddings[0])
        state: State = "masked" if "masked" in (_state(one, 0), _state(other, 0)) else "bare"
        return schemas.Verified(
            **self._compared(score, state, embeddings=1),
            score=score,
            first=schemas.FaceSegmented(**_segmented(one, 0)),
            second=schemas.FaceSegmented(**_segmented(other, 0)),
            seconds={
                name: max(one.seconds.get(name, 0), other.seconds.get(name, 0)) for name in one.seconds | other.seconds
            },
        )

    async def verify_identity(self, identity: str, data: bytes, *, below_review: bool) -> schemas.IdentityVerified:
        """Whether the subject of a photo is somebody enrolled; `below_review`: as for `identify`."""
        identity = check_identity(identity)
        seen = await self._subject(data)
        assert seen.embeddings is not None
        with timed(seen.seconds, "gallery"):
            likeness = await self.gallery.compare(seen.embeddings[0], identity)
        if likeness is None:
            raise nobody(identity)
        score = rounded(likeness.score)
        compared = self._compared(score, _state(seen, 0), embeddings=likeness.embeddings)
        return schemas.IdentityVerified(
            **compared,
            identity=identity,
            score=score if below_review or compared["decision"] != "unknown" else None,
            embeddings=likeness.embeddings,
            face=schemas.FaceSegmented(**_segmented(seen, 0)),
            seconds=seen.seconds,
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
        return await self.decoding.photo(data, max_pixels=self.policy.pixels)

    async def _subject(self, data: bytes) -> Seen:
        seen, _ = await subject_of(self._pipeline, await self._decoded(data))
        return seen

    def _decided(self, scores: Sequence[float], bounds: Bounds, state: State) -> tuple[schemas.Decision, bool]:
        decision, tied = bounds.decide(scores)
        self._count(decision, state == "masked")
        return decision, tied

    def _compared(self, score: float, state: State, *, embeddings: int) -> dict[str, Any]:
        """What `schemas.Compared` holds of a comparison with one person, who has so many embeddings."""
        bounds = self.decisions.verifying(state, embeddings)
        decision, _ = self._decided([score], bounds, state)
        return {
            "decision": decision,
            "threshold": bounds.match.score,
            "review_threshold": bounds.review.score,
            "expected_fmr": bounds.match.fpir,
            "extrapolated": bounds.extrapolated,
        }

    def _identified(
        self, seen: Seen, place: int, people: Sequence[Candidate], bounds: Bounds, below_review: bool
    ) -> schemas.FaceIdentified:
        scores = [rounded(one.score) for one in people]
        decision, tied = self._decided(scores, bounds, _state(seen, place))
        shown = [
            schemas.Candidate(identity=one.identity, score=score)
            for one, score in zip(people, scores, strict=True)
            if below_review or score >= bounds.review.score
        ]
        return schemas.FaceIdentified(
            **_segmented(seen, place),
            decision=decision,
            score=scores[0] if scores and (below_review or decision != "unknown") else None,
            threshold=bounds.match.score,
            review_threshold=bounds.review.score,
            expected_fpir=bounds.match.fpir,
            review_expected_fpir=bounds.review.fpir,
            extrapolated=bounds.extrapolated,
            tied=tied,
            candidates=shown[: self.policy.candidates],
        )


def _state(seen: Seen, place: int) -> State:
    return "masked" if seen.masks[place].masked else "bare"


def _segmented(seen: Seen, place: int) -> dict[str, Any]:
    face, mask = seen.faces[place], seen.masks[place]
    return {
        "box": [round(float(value), 2) for value in face.box],
        "detection_score": rounded(face.score),
        "masked": mask.masked,
        "coverage": mask.coverage,
    }


def _map(seen: Seen, place: int) -> dict[str, Any]:
    square = Square.around(seen.faces[place].box)
    png = encode_png(seen.masks[place].mask_map)
    return {"square": [square.left, square.top, square.side], "mask_png": base64.b64encode(png).decode()}
