"""Finding faces: YuNet, or the MTCNN of paper §3.1, for boxes and five points; an engine for the 68 landmarks."""

from __future__ import annotations

import functools
import threading

import numpy as np

from raymask.errors import ImageError
from raymask.faces.detector_names import DEFAULT_DETECTOR, check_detector
from raymask.faces.face import Face, subject_weights
from raymask.faces.landmarks import Landmarks, landmark_engine
from raymask.faces.mtcnn import Detections, Mtcnn
from raymask.faces.second_look import MAX_SIDE as SECOND_SIDE
from raymask.faces.second_look import second_look
from raymask.faces.turning import turned
from raymask.faces.yunet import Yunet

MIN_FACE = 40
"""Pixels; MTCNN looks for no smaller faces at first (to look for those of 20 takes twice the time)."""

MAX_SIDE = 1024
"""Pixels; MTCNN sees larger photos scaled down to this, and the found coordinates are scaled back."""

_YUNET_SIDE = 640
"""Pixels; the same for YuNet, which finds faces half as large, in a time that grows with the area."""
_YUNET_LEAST = 16
"""Pixels; what YuNet finds and is smaller is no face that could be recognised."""
YUNET_SCORE = 0.5
"""Score from which YuNet's finds are faces; benchmarks/detectors.py shows what is found with it."""

_LEVEL = 15
"""Degrees of roll up to which landmarks are found in the photo as it is."""


class FaceDetector:
    """Holds a detector and the landmark engine; making one takes up to a second, so make one a process."""

    def __init__(
        self, detector: str = DEFAULT_DETECTOR, *, device: str = "cpu", landmarks: Landmarks = "dlib68"
    ) -> None:
        """
        Args:
            detector: one of DETECTORS.
            device: where MTCNN runs; YuNet runs on the CPU.
            landmarks: what finds the 68 landmarks.

        Raises:
            ConfigError: an unknown detector or engine.
            ModelError: a model is missing or damaged.
        """
        check_detector(detector)
        self._yunet = None if detector == "mtcnn" else Yunet(detector.partition(":")[2])
        self._mtcnn = Mtcnn(device=device)  # finds what YuNet does not: turned, dark and covered faces
        self._landmarks = landmark_engine(landmarks)

    def __call__(self, photo: np.ndarray) -> list[Face]:
        """All faces of a photo, surest first; where there seems to be none, those of a second look.

        Args:
            photo: (H, W, 3) uint8 RGB.

        Raises:
            ImageError: `photo` has another shape or dtype.
        """
        return [self._face(photo, *one) for one in zip(*self._found(photo), strict=True)]

    def subject(self, photo: np.ndarray) -> Face | None:
        """The face that `raymask.faces.subject` would choose of all; None if a second look finds none either.

        With MTCNN, small faces are not looked for where a large one is in the middle, which saves most of the time.
        That face's box may then differ a little: in 2,000 LFW photos 95% were the same, all but 3 overlapped by 0.9 or
        more. Arguments and errors are those of a call.
        """
        boxes, scores, points = self._found(photo, subject_only=True)
        if not len(boxes):
            return None
        chosen = int(np.argmax(subject_weights(boxes, photo.shape)))
        return self._face(photo, boxes[chosen], scores[chosen], points[chosen])

    def _found(self, photo: np.ndarray, *, subject_only: bool = False) -> Detections:
        """What the detector finds, in pixels of the photo."""
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise ImageError(f"a photo is (H, W, 3) uint8 RGB, not {photo.shape} {photo.dtype}")
        small, scale = _shrunk(photo, MAX_SIDE if self._yunet is None else _YUNET_SIDE)
        if self._yunet is None:
            found = self._by_mtcnn(small, subject_only=subject_only)
        else:
            found = self._yunet(small, least=_YUNET_LEAST, threshold=YUNET_SCORE)
        if not len(found.boxes):
            small, scale = _shrunk(photo, SECOND_SIDE)
            found = second_look(self._mtcnn, small)
        return Detections(found.boxes * np.float32(scale), found.scores, found.points * np.float32(scale))

    def _by_mtcnn(self, small: np.ndarray, *, subject_only: bool) -> Detections:
        def has_subject(boxes: np.ndarray, side: float) -> bool:
            return bool(subject_weights(boxes, small.shape).max(initial=0.0) >= side**2)

        return self._mtcnn(small, least=MIN_FACE, enough=has_subject if subject_only else None)

    def _face(self, photo: np.ndarray, box: np.ndarray, score: float, points: np.ndarray) -> Face:
        return Face(box=box, score=float(score), points=points, landmarks=self._level_landmarks(photo, box, points))

    def _level_landmarks(self, photo: np.ndarray, box: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Landmarks; a tilted head is turned upright for its own, which engines are made for."""
        across, down = points[1] - points[0]
        roll = float(np.degrees(np.arctan2(down, across)))
        if abs(roll) <= _LEVEL:
            return self._landmarks(photo, box, points)
        reach = (box[2:] - box[:2]).max()
        left, top = np.maximum(box[:2] - reach, 0).astype(int)
        right, bottom = (box[2:] + reach).astype(int)
        corner = np.array([left, top], np.float32)
        upright, way = turned(photo[top:bottom, left:right], roll)
        found = self._landmarks(upright, way.box(box - np.tile(corner, 2)), way.there(points - corner))
        return way.back(found) + corner


def _shrunk(photo: np.ndarray, most: int) -> tuple[np.ndarray, float]:
    """The photo with its longer side at most `most` pixels, and the factor back to its own pixels."""
    height, width = photo.shape[:2]
    scale = max(height, width) / most
    if scale <= 1:
        return photo, 1.0
    import cv2

    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA), scale


@functools.cache
def _detector(name: str, thread: int) -> FaceDetector:
    return FaceDetector(name)


def detect(photo: np.ndarray, detector: str = DEFAULT_DETECTOR) -> list[Face]:
    """All faces of a photo, surest first, by a detector made once for each thread.

    Args:
        photo: (H, W, 3) uint8 RGB.
        detector: yunet[:FILE] or mtcnn.
    """
    return _detector(detector, threading.get_ident())(photo)
