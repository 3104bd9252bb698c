"""How many small, dark, tilted, blurred and tightly cut faces are found, bare and masked; JSON on standard output.

    python benchmarks/hard_faces.py [--images PHOTOS] [--people SPLITS:test] [--photos 200] [--detector yunet]

Each photo's subject is found in the photo as it is; then the photo is made harder, and the subject counts as found if
its box still lies there (IoU 0.4 or more): by the first look alone, and with the second, which follows where the first
finds nothing. What is found in photos whose heads were cut away is counted too. Without a folder of photos, on invented
people.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from raymask.cli import parse, run
from raymask.data.prepare.photos import list_photos
from raymask.demo_faces import write_demo_faces
from raymask.evaluate.people import people_of_split
from raymask.faces.detection.detector import MIN_FACE, FaceDetector
from raymask.faces.detection.mtcnn import Mtcnn
from raymask.faces.detection.names import DEFAULT_DETECTOR, check_detector
from raymask.faces.detection.yunet import Yunet
from raymask.faces.face import subject_weights
from raymask.faces.images import decode_photo
from raymask.faces.masks import draw_mask, pick_look
from raymask.faces.masks.looks import TEST_LOOKS
from raymask.progress import Progress
from raymask.storage import Folder

Found = Callable[[np.ndarray], np.ndarray | None]
"""The box of a photo's subject."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What to measure."""

    images: str | None = None
    """Whole photos as ROOT/IDENTITY/photo.jpg; null: 200 of invented people."""
    people: str | None = None
    """Whose photos, as SPLITS.json[:test]; null: everybody's."""
    photos: int = 200
    """Photos at most, drawn by seed 0."""
    detector: str = DEFAULT_DETECTOR
    """What finds faces: yunet[:FILE] or mtcnn."""

    def __post_init__(self) -> None:
        check_detector(self.detector)


def turned(photo: np.ndarray, box: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """About the middle of the face, with reflected borders."""
    middle = tuple(float(value) for value in (box[:2] + box[2:]) / 2)
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1)
    return cv2.warpAffine(photo, matrix, photo.shape[1::-1], borderMode=cv2.BORDER_REFLECT_101), box


def shrunk(photo: np.ndarray, box: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Until the longer side of the box has `side` pixels."""
    scale = min(1.0, side / float((box[2:] - box[:2]).max()))
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), box * np.float32(scale)


def darkened(photo: np.ndarray, box: np.ndarray, light: float) -> tuple[np.ndarray, np.ndarray]:
    """To a share of the light, with a sensor's noise."""
    seen = (photo / 255) ** 2.2 * light
    seen += np.random.default_rng(0).normal(size=seen.shape) * np.sqrt(0.0015 * seen + 1e-6)
    return (255 * np.clip(seen, 0, 1) ** (1 / 2.2)).astype(np.uint8), box


def blurred(photo: np.ndarray, box: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    return cv2.GaussianBlur(photo, (0, 0), sigma), box


def grey(photo: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), box


def cut(photo: np.ndarray, box: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """To a square of `share` times the box's longer side."""
    middle, half = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) * share / 2
    left, top = np.maximum(np.round(middle - half), 0).astype(int)
    right, bottom = np.round(middle + half).astype(int)
    return np.ascontiguousarray(photo[top:bottom, left:right]), box - np.array([left, top, left, top], np.float32)


HARDER: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "as it is": lambda photo, box: (photo, box),
    "grey": grey,
    **{f"tilted {degrees}": partial(turned, degrees=degrees) for degrees in (20, 35, 50, 70, 90, 180)},
    **{f"{side} px": partial(shrunk, side=side) for side in (40, 30, 24)},
    **{f"{light:.0%} of the light": partial(darkened, light=light) for light in (0.1, 0.03, 0.01)},
    "blurred by 4 px": partial(blurred, sigma=4),
    **{f"cut to {share} of the box": partial(cut, share=share) for share in (1.0, 0.85, 0.7)},
}


def without_heads(photo: np.ndarray, box: np.ndarray) -> list[np.ndarray]:
    """What is left and right of a head, twice as large."""
    width = box[2] - box[0]
    sides = photo[:, : max(0, int(box[0] - width / 2))], photo[:, int(box[2] + width / 2) :]
    return [cv2.resize(side, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for side in sides if side.shape[1] >= 40]


def subject_at(found: Found, photo: np.ndarray, box: np.ndarray) -> bool:
    """Whether the subject is found where it is."""
    seen = found(photo)
    if seen is None:
        return False
    common = np.prod(np.maximum(np.minimum(seen[2:], box[2:]) - np.maximum(seen[:2], box[:2]), 0))
    return bool(common >= 0.4 * (np.prod(seen[2:] - seen[:2]) + np.prod(box[2:] - box[:2]) - common))


def looks(name: str) -> dict[str, Found]:
    detector = FaceDetector(name)
    first_look = partial(Mtcnn(), least=MIN_FACE) if name == "mtcnn" else Yunet(name.partition(":")[2])

    def first(photo: np.ndarray) -> np.ndarray | None:
        boxes = first_look(photo).boxes
        return boxes[int(np.argmax(subject_weights(boxes, photo.shape)))] if len(boxes) else None

    def both(photo: np.ndarray) -> np.ndarray | None:
        face = detector.subject(photo)
        return None if face is None else face.box

    return {"first": first, "both": both}


def photos_of(config: BenchmarkConfig) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        root = config.images or str(write_demo_faces(Path(folder), people=20, photos=10, seed=0))
        images = Folder(root)
        people = None if config.people is None else people_of_split(config.people)
        listed = [photo for photo in list_photos(images)[0] if people is None or photo.identity in people]
        chosen = random.Random(0).sample(listed, min(config.photos, len(listed)))
        return [decode_photo(images.read(photo.image_id), photo.image_id) for photo in chosen]


def measure(config: BenchmarkConfig) -> dict[str, object]:
    torch.set_num_threads(1)
    detector, found = FaceDetector(), looks(config.detector)
    faces = [(photo, face) for photo in photos_of(config) if (face := detector.subject(photo)) is not None]
    worn = [draw_mask(one, face.landmarks, pick_look(TEST_LOOKS, n), n)[0] for n, (one, face) in enumerate(faces)]
    recall: dict[str, dict[str, float]] = {}
    with Progress("hard faces", total=len(HARDER) * len(faces), unit="photos", write=to_stderr) as progress:
        for name, harder in HARDER.items():
            counts = {f"{kind}, {look}": 0 for kind in ("bare", "masked") for look in found}
            for (bare, face), masked in zip(faces, worn, strict=True):
                for kind, photo in (("bare", bare), ("masked", masked)):
                    hard, box = harder(photo, face.box)
                    for look, find in found.items():
                        counts[f"{kind}, {look}"] += subject_at(find, hard, box)
                progress.add(1)
            recall[name] = {what: round(count / len(faces), 3) for what, count in counts.items()}
    empty = [side for photo, face in faces for side in without_heads(photo, face.box)]
    spent = {look: timed(find, empty) for look, find in found.items()}
    return {
        "detector": config.detector,
        "photos": len(faces),
        "recall": recall,
        "photos_without_heads": len(empty),
        "faces_in_them": {look: count for look, (count, _) in spent.items()},
        "milliseconds_a_photo_without_heads": {look: round(took, 1) for look, (_, took) in spent.items()},
    }


def timed(find: Found, photos: list[np.ndarray]) -> tuple[int, float]:
    """In how many photos something is found, and milliseconds a photo."""
    begun = time.perf_counter()
    count = sum(find(photo) is not None for photo in photos)
    return count, 1e3 * (time.perf_counter() - begun) / max(len(photos), 1)


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    print(json.dumps(measure(parse(BenchmarkConfig, __doc__ or "")), indent=1))


if __name__ == "__main__":
    run(main)
