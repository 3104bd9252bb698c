"""YuNet beside MTCNN, each by its first look alone and as FaceDetector uses it; JSON on standard output.

    python benchmarks/detectors.py [--images PHOTOS] [--people SPLITS:val] [--masks FACES] [--photos 400]

PHOTOS is a folder such as that of Labeled Faces in the Wild, ROOT/IDENTITY/photo.jpg. FACES is a folder of pictures
that each show one face in a real mask. Without PHOTOS the photos are of invented people; without FACES the masks are
drawn on PHOTOS. Measured are, on one thread:

- recall: how many of FACES are found, as they are, and shrunk and pasted into larger photos, plain or with PHOTOS
  (painted out) behind them;
- false finds: in how many of PHOTOS something is found after their faces were painted out. Some of it are people of the
  background who are half hidden: look at `--sheets`;
- points: how far both detectors' points are from each other on bare faces;
- milliseconds by size, where the first look finds a face and where neither look does.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from raymask.cli import parse, run
from raymask.data.prepare.photos import list_photos
from raymask.demo_faces import write_demo_faces
from raymask.errors import DataError
from raymask.evaluate.people import people_of_split
from raymask.faces import draw_mask
from raymask.faces.crop import Square
from raymask.faces.detection.detector import MIN_FACE, FaceDetector
from raymask.faces.detection.mtcnn import Detections, Mtcnn
from raymask.faces.detection.yunet import Yunet
from raymask.faces.face import subject_weights
from raymask.faces.images import decode_photo
from raymask.faces.masks import pick_look
from raymask.faces.masks.looks import TEST_LOOKS
from raymask.progress import Progress
from raymask.storage import Folder

PASTED = (40, 60, 80)
"""Pixels on the longer side of the pictures that are pasted into larger photos."""
BEHIND = 250
"""Pixels on each side of those photos."""
SIZES = (250, 640, 1024)
"""Pixels on the longer side of the photos that are timed."""
TIMED = 6
"""Photos of each size that are timed, and large ones."""
SHARP = 0.4
"""The middling change from a pixel to the next over the mean one, from which a picture counts as a photo with detail:
drawings and what was enlarged from few pixels change little at most places and much at some."""

LARGE, FACE_IN_LARGE = (2000, 3000), 100
"""Height and width of large photos, and pixels of the face in them."""

Find = Callable[[np.ndarray], Detections]
Scene = tuple[np.ndarray, np.ndarray]
"""A photo, and the box of the picture with a face in it."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What to measure."""

    images: str | None = None
    """Whole photos as ROOT/IDENTITY/photo.jpg; null: 40 of invented people."""
    people: str | None = None
    """Whose photos, as SPLITS.json[:val]; null: everybody's."""
    masks: str | None = None
    """Folder with pictures of one face in a real mask each; null: masks are drawn on the photos."""
    photos: int = 400
    """Photos, and pictures of masks, at most; drawn by seed 0."""
    sheets: str | None = None
    """Folder for contact sheets of what was found, missed and found in error; null: none."""


def finders() -> dict[str, Find]:
    """Each detector's first look alone, and with its second."""
    yunet, mtcnn = Yunet(), Mtcnn()
    both = {name: FaceDetector(name) for name in ("yunet", "mtcnn")}

    def faces(name: str, photo: np.ndarray) -> Detections:
        found = both[name](photo)
        values = [(face.box, face.score, face.points) for face in found]
        boxes, scores, points = zip(*values, strict=True) if values else ([], [], [])
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4), np.array(scores), np.array(points, np.float32).reshape(-1, 5, 2)
        )

    return {
        "yunet, first look": lambda photo: yunet(photo),
        "mtcnn, first look": lambda photo: mtcnn(photo, least=MIN_FACE),
        "yunet": partial(faces, "yunet"),
        "mtcnn": partial(faces, "mtcnn"),
    }


def photos_of(config: BenchmarkConfig) -> list[np.ndarray]:
    """Whole photos of faces."""
    with tempfile.TemporaryDirectory() as folder:
        root = config.images or str(write_demo_faces(Path(folder), people=20, photos=2, seed=0))
        images = Folder(root)
        people = None if config.people is None else people_of_split(config.people)
        listed = [photo for photo in list_photos(images)[0] if people is None or photo.identity in people]
        chosen = random.Random(0).sample(listed, min(config.photos, len(listed)))
        return [decode_photo(images.read(photo.image_id), photo.image_id) for photo in chosen]


def masks_of(config: BenchmarkConfig, photos: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pictures that each show one face in a mask and little else."""
    if config.masks is None:
        return list(drawn(photos))
    files = sorted(path for path in Path(config.masks).glob("*") if path.is_file())
    if not files:
        raise DataError(f"{config.masks}: there are no pictures of faces in masks; name another --masks")
    chosen = random.Random(0).sample(files, min(config.photos, len(files)))
    return [decode_photo(path.read_bytes(), path.name) for path in chosen]


def drawn(photos: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The subjects of photos in drawn masks, cut out."""
    detector = FaceDetector()
    for number, photo in enumerate(photos):
        face = detector.subject(photo)
        if face is not None:
            masked = draw_mask(photo, face.landmarks, pick_look(TEST_LOOKS, number), number)[0]
            yield Square.around(face.box).cut(masked, 192)


def painted_out(photo: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The photo with boxes, a half larger, in its median colour."""
    made = photo.copy()
    for box in boxes:
        grown = box + (box[2:] - box[:2])[[0, 1, 0, 1]] * np.array([-0.25, -0.25, 0.25, 0.25])
        left, top, right, bottom = np.maximum(np.round(grown), 0).astype(int)
        made[top:bottom, left:right] = np.median(photo.reshape(-1, 3), axis=0)
    return made


def without_faces(photos: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Photos without what YuNet or MTCNN finds in them at first, small faces too."""
    yunet, mtcnn = Yunet(), Mtcnn()
    return [
        painted_out(photo, np.concatenate([yunet(photo, least=0, threshold=0.6).boxes, mtcnn(photo, least=20).boxes]))
        for photo in photos
    ]


def sharp(picture: np.ndarray) -> bool:
    """Whether a picture is a photo with detail; see SHARP."""
    height, width = picture.shape[:2]
    middle = picture[height // 6 : -height // 6, width // 6 : -width // 6].mean(axis=2)
    changes = np.concatenate([np.abs(np.diff(middle, axis=axis)).ravel() for axis in (0, 1)])
    return bool(np.median(changes) >= SHARP * max(changes.mean(), 1e-6))


def pasted(picture: np.ndarray, side: int, behind: np.ndarray) -> Scene:
    """A picture shrunk to `side` pixels, in the middle of what is behind it."""
    scale = side / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    photo = cv2.resize(behind, (BEHIND, BEHIND))
    top, left = (BEHIND - small.shape[0]) // 2, (BEHIND - small.shape[1]) // 2
    photo[top : top + small.shape[0], left : left + small.shape[1]] = small
    return photo, np.array([left, top, left + small.shape[1], top + small.shape[0]])


def enlarged(photo: np.ndarray, box: np.ndarray, behind: np.ndarray) -> Scene:
    """A photo whose face is made FACE_IN_LARGE pixels large, in a corner of a large photo."""
    scale = FACE_IN_LARGE / float((box[2:] - box[:2]).max())
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[: LARGE[0], : LARGE[1]]
    large = cv2.resize(behind, LARGE[::-1])
    large[: small.shape[0], : small.shape[1]] = small
    return large, box * scale


def seen_at(boxes: np.ndarray, place: np.ndarray) -> bool:
    """Whether one of (N, 4) boxes lies in the middle of a place and is not much smaller or larger."""
    middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    length = place[2:] - place[:2]
    near = (np.abs(middles - (place[:2] + place[2:]) / 2) < 0.35 * length).all(axis=1)
    return bool((near & (sides > 0.25 * length.max()) & (sides < 1.6 * length.max())).any())


def scenes_of(pictures: Sequence[np.ndarray], empty: Sequence[np.ndarray]) -> dict[str, Callable[[int], Scene]]:
    """Ways to show the picture of a number."""
    plain = np.full((BEHIND, BEHIND, 3), 90, np.uint8)

    def alone(number: int) -> Scene:
        return pictures[number], np.array([0, 0, *pictures[number].shape[1::-1]])

    def within(side: int, behind: Sequence[np.ndarray], number: int) -> Scene:
        return pasted(pictures[number], side, behind[number % len(behind)])

    ways: dict[str, Callable[[int], Scene]] = {"as they are": alone}
    for side in PASTED:
        ways[f"{side} px, plain behind"] = partial(within, side, [plain])
        ways[f"{side} px, a photo behind"] = partial(within, side, empty)
    return ways


def recall(finds: Mapping[str, Find], pictures: Sequence[np.ndarray], empty: Sequence[np.ndarray]) -> dict[str, Any]:
    """The share of pictures whose face is found, of all and of the sharp ones."""
    clear = np.array([sharp(picture) for picture in pictures])
    shares: dict[str, Any] = {}
    ways = scenes_of(pictures, empty)
    with Progress("faces in masks", total=len(ways) * len(pictures), unit="pictures", write=to_stderr) as progress:
        for way, show in ways.items():
            found: dict[str, list[bool]] = {name: [] for name in finds}
            for number in range(len(pictures)):
                photo, place = show(number)
                for name, find in finds.items():
                    found[name].append(seen_at(find(photo).boxes, place))
                progress.add(1)
            shares[way] = {
                name: {"all": round(float(np.mean(some)), 4), "sharp": round(float(np.array(some)[clear].mean()), 4)}
                for name, some in found.items()
            }
    return {"pictures": len(pictures), "sharp_pictures": int(clear.sum()), "found": shares}


def false_finds(finds: Mapping[str, Find], empty: Sequence[np.ndarray]) -> dict[str, Any]:
    """In what share of photos without faces something is found."""
    counts = dict.fromkeys(finds, 0)
    with Progress("photos without faces", total=len(empty), unit="photos", write=to_stderr) as progress:
        for photo in empty:
            for name, find in finds.items():
                counts[name] += len(find(photo).boxes) > 0
            progress.add(1)
    return {"photos": len(empty), "found_in": {name: round(count / len(empty), 4) for name, count in counts.items()}}


def points_apart(finds: Mapping[str, Find], photos: Sequence[np.ndarray]) -> dict[str, Any]:
    """Distances of both first looks' points on the same bare faces, in distances between the eyes."""
    apart = []
    for photo in photos:
        one, other = finds["yunet, first look"](photo), finds["mtcnn, first look"](photo)
        if len(one.boxes) and len(other.boxes):
            place, at = (int(np.argmax(subject_weights(found.boxes, photo.shape))) for found in (one, other))
            if seen_at(one.boxes[place][None], other.boxes[at]):
                eyes = np.linalg.norm(other.points[at][1] - other.points[at][0])
                apart.append(
                    np.linalg.norm(one.points[place] - other.points[at], axis=1).astype(float) / max(eyes, 1.0)
                )
    names = ("left eye", "right eye", "nose", "left of the mouth", "right of the mouth")
    return {
        "faces": len(apart),
        "median": dict(zip(names, np.median(apart, axis=0).round(3).tolist(), strict=True)),
        "of_20_the_worst": dict(zip(names, np.quantile(apart, 0.95, axis=0).round(3).tolist(), strict=True)),
    }


def milliseconds(
    finds: Mapping[str, Find], photos: Sequence[np.ndarray], empty: Sequence[np.ndarray]
) -> dict[str, dict[str, float]]:
    """Medians, by the longer side of the photo, with a face and without."""
    spent: dict[str, dict[str, float]] = {}
    for side in SIZES:
        for kind, shown in (("with a face", photos[:TIMED]), ("without", empty[:TIMED])):
            sized = [cv2.resize(one, None, fx=side / max(one.shape[:2]), fy=side / max(one.shape[:2])) for one in shown]
            spent[f"{side} px, {kind}"] = {name: timed(find, sized) for name, find in finds.items()}
    return spent


def timed(find: Find, photos: Sequence[np.ndarray]) -> float:
    """Milliseconds a photo, the median of this thread's time, which other processes do not stretch."""
    took = []
    for photo in photos:
        begun = time.thread_time()
        find(photo)
        took.append(time.thread_time() - begun)
    return round(1e3 * float(np.median(took)), 1)


def large(finds: Mapping[str, Find], photos: Sequence[np.ndarray], empty: Sequence[np.ndarray]) -> dict[str, Any]:
    """The share of faces that are found in photos many times as large, and milliseconds."""
    scenes = []
    for number, photo in enumerate(photos[:TIMED]):
        boxes = finds["mtcnn, first look"](photo).boxes
        if len(boxes):
            box = boxes[int(np.argmax(subject_weights(boxes, photo.shape)))]
            scenes.append(enlarged(photo, box, empty[number % len(empty)]))
    return {
        "photos": len(scenes),
        "found": {
            name: round(float(np.mean([seen_at(find(photo).boxes, place) for photo, place in scenes])), 3)
            for name, find in finds.items()
        },
        "milliseconds": {name: timed(find, [photo for photo, _ in scenes]) for name, find in finds.items()},
    }


def write_sheets(
    folder: Path, finds: Mapping[str, Find], pictures: Sequence[np.ndarray], empty: Sequence[np.ndarray]
) -> None:
    """What is found and missed among the pictures, and what is found in photos without faces, 100 of each at most."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("yunet", "mtcnn"):
        found: list[np.ndarray] = []
        missed: list[np.ndarray] = []
        wrong: list[np.ndarray] = []
        for picture in pictures:
            seen = finds[name](picture)
            (found if len(seen.boxes) else missed).append(marked(picture, seen))
        for photo in empty:
            seen = finds[name](photo)
            if len(seen.boxes):
                wrong.append(marked(photo, seen))
        for title, tiles in (("found", found), ("missed", missed), ("false", wrong)):
            if tiles:
                tiles = tiles[:100] + [np.zeros_like(tiles[0])] * (-len(tiles[:100]) % 10)
                rows = [np.hstack(tiles[start : start + 10]) for start in range(0, len(tiles), 10)]
                cv2.imwrite(str(folder / f"{name}-{title}.png"), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def marked(photo: np.ndarray, seen: Detections, side: int = 160) -> np.ndarray:
    """A tile with boxes, scores and points."""
    scale = np.array([side / photo.shape[1], side / photo.shape[0]])
    tile = cv2.resize(photo, (side, side))
    for box, score, points in zip(*seen, strict=True):
        left, top, right, bottom = np.round(box * np.tile(scale, 2)).astype(int).tolist()
        cv2.rectangle(tile, (left, top), (right, bottom), (255, 0, 0), 1)
        cv2.putText(tile, f"{score:.2f}", (max(left, 0), max(top, 12)), 0, 0.4, (255, 255, 0), 1)
        for x, y in np.round(points * scale).astype(int).tolist():
            cv2.circle(tile, (x, y), 2, (0, 255, 0), -1)
    return tile


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measure(config: BenchmarkConfig) -> dict[str, Any]:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photos = photos_of(config)
    pictures, empty, finds = masks_of(config, photos), without_faces(photos), finders()
    if config.sheets is not None:
        write_sheets(Path(config.sheets), finds, pictures, empty)
    return {
        "recall": recall(finds, pictures, empty),
        "false_finds": false_finds(finds, empty),
        "points_apart": points_apart(finds, photos),
        "milliseconds": milliseconds(finds, photos, empty),
        "large_photos": large(finds, photos, empty),
    }


def main() -> None:
    print(json.dumps(measure(parse(BenchmarkConfig, __doc__ or "")), indent=1))


if __name__ == "__main__":
    run(main)
