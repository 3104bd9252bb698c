"""The work on one photo: decode, detect, landmark, mask, crop. No Ray: arrays and bytes in, a row out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from raymask.data.prepare.photos import Photo
from raymask.errors import NoFaceError
from raymask.faces.crop import Square
from raymask.faces.detection.detector import FaceDetector
from raymask.faces.detection.names import DEFAULT_DETECTOR
from raymask.faces.face import Face, subject
from raymask.faces.images import decode_photo, encode_jpeg, encode_png
from raymask.faces.landmarks.engines import Landmarks
from raymask.faces.masks import Textures, draw_mask
from raymask.faces.masks.pick import pick

Repaint = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A photo, (H, W, 3) uint8 RGB, and the box of a face in it, (4,), to the photo with the mask taken off that face."""


def mask_choice(image_id: str, masks: Sequence[str], seed: int) -> tuple[str, int]:
    """Which of `masks` the photo wears, and the seed of its drawing: by hashes, so that no other photo matters.

    One more look in `masks` changes only the photos that wear it.
    """
    key = f"{seed}/{image_id}"
    return pick(key, masks), int.from_bytes(hashlib.sha256(key.encode()).digest()[4:8], "little")


class PhotoWorker:
    """Turns photos into rows of `prepared_schema`; holds the models, so make one a process."""

    def __init__(
        self,
        *,
        masks: Sequence[str],
        seed: int,
        everybody: bool = False,
        detector: str = DEFAULT_DETECTOR,
        landmarks: Landmarks = "dlib68",
        repaint: Repaint | None = None,
        textures: Textures | None = None,
    ) -> None:
        """Load the detector's models.

        Args:
            masks: looks, one of which each photo's subject wears, with `everybody` all others in it too.
            seed: decides who wears which.
            detector: what finds faces.
            landmarks: what finds the 68 landmarks.
            repaint: takes the subject's mask off again; None: it stays.
            textures: the pictures that the look cloth:own is made of.
        """
        self._detector = FaceDetector(detector, landmarks=landmarks)
        self._masks, self._seed, self._everybody, self._repaint = masks, seed, everybody, repaint
        self._textures = textures

    def __call__(self, photo: Photo, split: str, data: bytes) -> dict[str, Any]:
        """The row of one photo.

        Raises:
            ImageError: `data` is no readable photo.
            NoFaceError: it shows no face, or only a part that no mask would cover.
        """
        pixels = decode_photo(data, photo.image_id)
        faces = self._detector(pixels) if self._everybody else []
        face = subject(faces, pixels.shape) if self._everybody else self._detector.subject(pixels)
        if face is None:
            raise NoFaceError(f"{photo.image_id}: no face found; use a larger, sharper or more frontal photo")
        before, others = self._others_masked(photo, pixels, [one for one in faces if one is not face])
        kind, mask_seed = mask_choice(photo.image_id, self._masks, self._seed)
        masked, mask_map = draw_mask(before, face.landmarks, kind, mask_seed, textures=self._textures)
        if np.array_equal(masked, before):
            raise NoFaceError(f"{photo.image_id}: the mask would lie outside the photo; use one with the whole face")
        mask_map |= others
        if self._repaint is not None:
            masked = self._repaint(masked, face.box)
        square = Square.around(face.box)
        return {
            "identity": photo.identity,
            "image_id": photo.image_id,
            "split": split,
            "image": encode_jpeg(square.cut(pixels)),
            "masked_image": encode_jpeg(square.cut(masked)),
            "mask_map": encode_png(square.cut_map(mask_map)),
            "mask_kind": kind,
            "mask_seed": mask_seed,
            "box": face.box.astype(np.float32).tolist(),
            "det_score": face.score,
            "points": square.to_crop(face.points).tolist(),
            "landmarks": square.to_crop(face.landmarks).tolist(),
        }

    def _others_masked(self, photo: Photo, pixels: np.ndarray, others: Sequence[Face]) -> tuple[np.ndarray, np.ndarray]:
        """The photo with masks on all but its subject, and their map."""
        covered = np.zeros(pixels.shape[:2], np.uint8)
        for number, other in enumerate(others):
            look, seed = mask_choice(f"{photo.image_id}/{number}", self._masks, self._seed)
            pixels, more = draw_mask(pixels, other.landmarks, look, seed, textures=self._textures)
            covered |= more
        return pixels, covered
