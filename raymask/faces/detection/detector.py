"""Finding faces: YuNet, or the MTCNN of paper §3.1, for boxes and five points; an engine for the 68 landmarks."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from raymask.errors import ImageError
from raymask.faces.detection.mtcnn import Detections, Mtcnn
from raymask.faces.detection.names import DEFAULT_DETECTOR, check_detector
from raymask.faces.detection.righting import Found, righted
from raymask.faces.detection.second_look import MAX_SIDE as SECOND_SIDE
from raymask.faces.detection.second_look import second_look
from raymask.faces.detection.turning import roll_of, turned
from raymask.faces.detection.yunet import Yunet
from raymask.faces.face import Face, subject_weights
from raymask.faces.landmarks.engines import Landmarks, landmark_engine

MIN_FACE = 40
"""Pixels; MTCNN looks for no smaller faces at first (to look for those of 20 takes twice the time)."""

MAX_SIDE = 1024
"""Pixels; MTCNN sees larger photos scaled down to this, and the found coordinates are scaled back."""

_YUNET_SIDE = 640
"""Pixels; the same for YuNet, which finds faces half as large, in a time that grows with the area."""
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
        self._detector = Mtcnn(device=device) if detector == "mtcnn" else Yunet(detector.partition(":")[2])
        self._landmarks = landmark_engine(landmarks)

    def __call__(self, photo: np.ndarray) -> list[Face]:
        """All faces of a photo, surest first; where there seems to be none, those of a second look.

        Args:
            photo: (H, W, 3) uint8 RGB.

        Raises:
            ImageError: `photo` has another shape or dtype.
        """
        return [self._face(photo, Found(*one)) for one in zip(*self._found(photo), strict=True)]

    def subject(self, photo: np.ndarray) -> Face | None:
        """The face that `raymask.faces.subject` would choose of all; None if a second look finds none either.

        With MTCNN, small faces are not looked for where a large one is in the middle, which saves most of the time.
        That face's box may then differ a little: in 2,000 LFW photos 95% were the same, all but 3 overlapped by 0.9 or
        more. Arguments and errors are those of a call.
        """
        found = self._found(photo, subject_only=True)
        if not len(found.boxes):
            return None
        chosen = int(np.argmax(subject_weights(found.boxes, photo.shape)))
        return self._face(photo, Found(*(values[chosen] for values in found)))

    def _found(self, photo: np.ndarray, *, subject_only: bool = False) -> Detections:
        """What the detector finds, in pixels of the photo."""
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise ImageError(f"a photo is (H, W, 3) uint8 RGB, not {photo.shape} {photo.dtype}")
        small, scale = _shrunk(photo, MAX_SIDE if isinstance(self._detector, Mtcnn) else _YUNET_SIDE)
        if isinstance(self._detector, Mtcnn):
            enough = _has_subject(small.shape) if subject_only else None
            found = self._detector(small, least=MIN_FACE, enough=enough)
        else:
            found = self._detector(small)
        if not len(found.boxes):
            small, scale = _shrunk(photo, SECOND_SIDE)
            again = partial(second_look, self._detector) if isinstance(self._detector, Mtcnn) else self._detector.again
            found = again(small)
        return Detections(found.boxes * np.float32(scale), found.scores, found.points * np.float32(scale))

    def _face(self, photo: np.ndarray, found: Found) -> Face:
        if isinstance(self._detector, Yunet):
            found = righted(self._detector, photo, found)
        box, score, points = found
        return Face(box=box, score=float(score), points=points, landmarks=self._level_landmarks(photo, box, points))

    def _level_landmarks(self, photo: np.ndarray, box: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Landmarks; a tilted head is turned upright for its own, which engines are made for."""
        roll = roll_of(points)
        if abs(roll) <= _LEVEL:
            return self._landmarks(photo, box, points)
        reach = (box[2:] - box[:2]).max()
        left, top = np.maximum(box[:2] - reach, 0).astype(int)
        right, bottom = (box[2:] + reach).astype(int)
        corner = np.array([left, top], np.float32)
        upright, way = turned(photo[top:bottom, left:right], roll)
        found = self._landmarks(upright, way.box(box - np.tile(corner, 2)), way.there(points - corner))
        return way.back(found) + corner


def _has_subject(shape: tuple[int, ...]) -> Callable[[np.ndarray, float], bool]:
    """Whether one of (N, 4) boxes in a photo of that shape is its subject, if others have sides of at most `side`."""
    return lambda boxes, side: bool(subject_weights(boxes, shape).max(initial=0.0) >= side**2)


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
