"""Our MTCNN beside facenet-pytorch's, on the same photos, one thread; JSON on standard output.

    python benchmarks/detection.py [--images PHOTOS] [--photos 1000]

Without a folder of photos, on invented people.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from raymask.cli import parse, run
from raymask.data.prepare.photos import list_photos
from raymask.demo_faces import write_demo_faces
from raymask.faces.detection.detector import MIN_FACE
from raymask.faces.detection.mtcnn import Mtcnn
from raymask.faces.images import decode_photo
from raymask.storage import Folder


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What to measure."""

    images: str | None = None
    """Whole photos as ROOT/IDENTITY/photo.jpg; null: 200 of invented people."""
    photos: int = 1000
    """Photos at most, drawn by seed 0."""


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    common = np.prod(np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0))
    return float(common / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - common))


def measure(config: BenchmarkConfig) -> dict[str, object]:
    from facenet_pytorch import MTCNN

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = config.images or str(write_demo_faces(Path(folder), people=20, photos=10, seed=0))
        images = Folder(root)
        listed = list_photos(images)[0]
        chosen = random.Random(0).sample(listed, min(config.photos, len(listed)))
        photos = [decode_photo(images.read(photo.image_id), photo.image_id) for photo in chosen]
    ours, stock = Mtcnn(), MTCNN(keep_all=True, min_face_size=MIN_FACE, post_process=False)
    seconds = {"ours": 0.0, "stock": 0.0}
    best, kept, lost, more = [], 0, 0, 0
    for number, photo in enumerate(photos):
        begun = time.perf_counter()
        found = ours(photo, least=MIN_FACE).boxes
        between = time.perf_counter()
        stock_found, _ = stock.detect(photo)
        end = time.perf_counter()
        if number >= 10:  # warm
            seconds["ours"] += between - begun
            seconds["stock"] += end - between
        expected = np.zeros((0, 4)) if stock_found is None else np.asarray(stock_found, np.float64)
        overlaps = [max((overlap(one, other) for other in found), default=0.0) for one in expected]
        best += overlaps
        kept += all(one >= 0.9 for one in overlaps)
        lost += sum(one < 0.5 for one in overlaps)
        more += max(0, len(found) - len(expected))
    timed = len(photos) - 10
    return {
        "photos": len(photos),
        "faces_of_stock": len(best),
        "photos_with_all_boxes_at_iou_0.9": round(kept / len(photos), 4),
        "faces_lost": lost,
        "faces_more": more,
        "milliseconds_a_photo": {name: round(1e3 * spent / timed, 2) for name, spent in seconds.items()},
        "times_as_fast": round(seconds["stock"] / seconds["ours"], 2),
    }


def main() -> None:
    warnings.simplefilter("ignore")  # facenet-pytorch predates today's torch and numpy
    print(json.dumps(measure(parse(BenchmarkConfig, __doc__ or "")), indent=1))


if __name__ == "__main__":
    run(main)
