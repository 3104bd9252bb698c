"""What is enrolled of a photo: its subject's embedding as it came, and, where asked for, with masks drawn on it."""

from __future__ import annotations

import asyncio

import numpy as np

from raymask.faces import Face, draw_mask, subject
from raymask.gallery.rows import Enrolment
from raymask.serve.core.pipeline import Pipeline, Seen, side_by_side, timed

ENROLLED_LOOKS = ("surgical", "kn95", "cloth:plain")
"""Masks drawn on a photo that is enrolled with masks."""
_SEED = 0
"""Of their drawings; each look draws another one by it."""
_DRAWN_ON = 512
"""Pixels of the longer side of a face that a mask is drawn on, at most: twice what networks see, where a mask on a
close-up of 25 megapixels would take gigabytes."""


async def subject_of(pipeline: Pipeline, pixels: np.ndarray) -> tuple[Seen, int]:
    """The subject of a photo, embedded, and how many other faces there are.

    Args:
        pipeline: what sees.
        pixels: (H, W, 3) uint8 RGB.

    Raises:
        NoFaceError: there is none.
    """
    seconds: dict[str, float] = {}
    with timed(seconds, "detector"):
        photo = await pipeline.put(pixels)
        faces = await pipeline.faces(photo)
    chosen = subject(faces, pixels.shape)
    assert chosen is not None
    seen = await pipeline.see_face(photo, chosen)
    seen.seconds |= seconds
    return seen, len(faces) - 1


async def enrolment_of(
    pipeline: Pipeline, pixels: np.ndarray, seen: Seen, *, identity: str, key: bytes, with_masks: bool
) -> Enrolment:
    """The enrolment of the one face that was seen in a photo, without the photo itself."""
    assert seen.embeddings is not None
    rows, looks = [seen.embeddings[0]], [""]
    if with_masks:
        for look, row in await _with_masks(pipeline, pixels, seen.faces[0]):
            rows.append(row)
            looks.append(look)
    return Enrolment(identity=identity, key=key, embeddings=np.stack(rows), looks=tuple(looks))


async def _with_masks(pipeline: Pipeline, pixels: np.ndarray, face: Face) -> list[tuple[str, np.ndarray]]:
    """The photo's embedding with each look drawn on it; without those under which no face is found."""
    scale = min(1.0, _DRAWN_ON / float((face.box[2:] - face.box[:2]).max()))
    photo = await asyncio.to_thread(_scaled, pixels, scale)
    box, landmarks = face.box * scale, face.landmarks * scale

    async def one(look: str) -> tuple[str, np.ndarray] | None:
        masked, drawn = await asyncio.to_thread(draw_mask, photo, landmarks, look, _SEED)
        seen = await pipeline.see_again(await pipeline.put(masked), box) if drawn.any() else None
        if seen is None:
            return None
        assert seen.embeddings is not None
        return look, seen.embeddings[0]

    made = await side_by_side(*map(one, ENROLLED_LOOKS))
    return [pair for pair in made if pair is not None]


def _scaled(pixels: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return pixels
    import cv2

    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
