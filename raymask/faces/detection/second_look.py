"""A second look at a photo in which no face was found: for small, dark, tilted and covered ones.

The photo is looked at as it is, in better light, and turned, with lower thresholds and for smaller faces. What is found
so is kept if it still looks like a face from a little nearer, farther and beside (`Mtcnn.certainty`).
"""

from __future__ import annotations

import cv2
import numpy as np

from raymask.faces.detection.mtcnn import Detections, Mtcnn, Thresholds, without_overlaps
from raymask.faces.detection.turning import turned

# benchmarks/hard_faces.py shows what is found with these.
LEAST = 20
"""Pixels; smaller faces are not looked for."""
MAX_SIDE = 512
"""Pixels of a photo's longer side at most, for time: a look at a photo of 1024 takes four times as long."""
THRESHOLDS: Thresholds = (0.5, 0.5, 0.4)
CERTAIN = 0.6
"""Certainty from which it is a face; also the least score of the faces found."""
TURNS = (0, 45, -45, 90, -90, 135, -135, 180)
"""Degrees of roll of the faces that are looked for; MTCNN finds those within 20 to 30 of each."""
_OVERLAP = 0.3


def second_look(mtcnn: Mtcnn, photo: np.ndarray) -> Detections:
    """The faces of a photo, (H, W, 3) uint8 RGB with sides of at most MAX_SIDE, surest first; scores are certainties.

    It takes some sixty times as long as the first look (benchmarks/hard_faces.py).
    """
    if min(photo.shape[:2]) < LEAST:
        return mtcnn(photo, least=LEAST)
    bright = relit(photo)
    seen = [_faces_turned(mtcnn, photo, 0), *(_faces_turned(mtcnn, bright, roll) for roll in TURNS)]
    boxes, scores, points = (np.concatenate(one) for one in zip(*seen, strict=True))
    kept = without_overlaps(boxes, scores, _OVERLAP)
    return Detections(boxes[kept], scores[kept], points[kept])


def relit(photo: np.ndarray) -> np.ndarray:
    """The photo, (H, W, 3) uint8, in light that makes its brightest hundredth white and a dark median middling."""
    brightness = photo.max(axis=2)
    white = max(float(np.percentile(brightness, 99)), 8.0)
    middle = min(max(float(np.median(brightness)) / white, 0.004), 0.98)
    gamma = min(max(np.log(0.5) / np.log(middle), 0.25), 1.0)
    curve = 255 * np.clip(np.arange(256) / white, 0, 1) ** gamma
    return cv2.LUT(photo, curve.astype(np.uint8))


def _faces_turned(mtcnn: Mtcnn, photo: np.ndarray, roll: float) -> Detections:
    """Faces that are tilted by about `roll` degrees, in pixels of the photo as it is."""
    upright, way = turned(photo, roll)
    found = mtcnn(upright, least=LEAST, thresholds=THRESHOLDS)
    scores = mtcnn.certainty(upright, found.boxes)
    kept = scores >= CERTAIN
    boxes = np.stack([way.box_back(box) for box in found.boxes[kept]]) if kept.any() else found.boxes[kept]
    return Detections(boxes.astype(np.float32), scores[kept], way.back(found.points[kept]))
