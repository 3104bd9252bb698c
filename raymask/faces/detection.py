"""Finding faces: MTCNN for boxes and five points (paper §3.1), an engine for the 68 landmarks."""

from __future__ import annotations

import functools
import threading

import numpy as np

from raymask.errors import ImageError
from raymask.faces.face import Face, subject_weights
from raymask.faces.landmarks import Landmarks, landmark_engine
from raymask.faces.mtcnn import Detections, Mtcnn
from raymask.faces.second_look import MAX_SIDE as SECOND_SIDE
from raymask.faces.second_look import second_look
from raymask.faces.turning import turned

MIN_FACE = 40
"""Pixels; faces smaller than this are not looked for (to look for those of 20 takes twice the time)."""

MAX_SIDE = 1024
"""Pixels; larger photos are scaled down to this before the search, the found coordinates scaled back."""

_LEVEL = 15
"""Degrees of roll up to which landmarks are found in the photo as it is."""


class FaceDetector:
    """Holds MTCNN and the landmark engine; making one takes about a second, so make one a process."""

    def __init__(self, *, device: str = "cpu", landmarks: Landmarks = "dlib68") -> None:
        self._mtcnn = Mtcnn(device=device)
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

        Where a large face is in the middle, small ones are not looked for, which takes most of the time. That face's
        box may then differ a little: in 2,000 LFW photos 95% were the same, all but 3 overlapped by 0.9 or more.
        Arguments and errors are those of a call.
        """
        boxes, scores, points = self._found(photo, subject_only=True)
        if not len(boxes):
            return None
        chosen = int(np.argmax(subject_weights(boxes, photo.shape)))
        return self._face(photo, boxes[chosen], scores[chosen], points[chosen])

    def _found(self, photo: np.ndarray, *, subject_only: bool = False) -> Detections:
        """What MTCNN finds, in pixels of the photo."""
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise ImageError(f"a photo is (H, W, 3) uint8 RGB, not {photo.shape} {photo.dtype}")
        small, scale = _shrunk(photo, MAX_SIDE)

        def has_subject(boxes: np.ndarray, side: float) -> bool:
            return bool(subject_weights(boxes, small.shape).max(initial=0.0) >= side**2)

        found = self._mtcnn(small, least=MIN_FACE, enough=has_subject if subject_only else None)
        if not len(found.boxes):
            small, scale = _shrunk(photo, SECOND_SIDE)
            found = second_look(self._mtcnn, small)
        return Detections(found.boxes * np.float32(scale), found.scores, found.points * np.float32(scale))

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
def _detector(thread: int) -> FaceDetector:
    return FaceDetector()


def detect(photo: np.ndarray) -> list[Face]:
    """All faces of a photo, surest first, by a detector made once for each thread.

    Args:
        photo: (H, W, 3) uint8 RGB.
    """
    return _detector(threading.get_ident())(photo)
