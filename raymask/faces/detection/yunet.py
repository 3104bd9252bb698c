"""YuNet (Wu et al. 2023, Machine Intelligence Research 20): one small network that finds faces, masked ones too.

The weights are those of OpenCV Zoo; OpenCV runs them. Its boxes lie as MTCNN's do: over the subjects of 600 bare LFW
photos their sides differ by 0.5% and their centres by 0.8% of a side (medians).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import cv2
import numpy as np

from raymask.errors import ModelError
from raymask.faces.detection.mtcnn import Detections, without_overlaps
from raymask.faces.detection.second_look import relit
from raymask.faces.detection.turning import turned
from raymask.faces.zoo_models import zoo_model

_OVERLAP = 0.3
"""Intersection over union from which two boxes are of one face."""
_MOST = 500
"""Faces of a photo, at most."""

# benchmarks/detectors.py and benchmarks/hard_faces.py show what is found with these.
_SMALL, _ENLARGED = 160, 3
"""Pixels of a photo's longer side below which it is looked at so many times larger: points lie better then."""
LEAST = 16
"""Pixels of the longer side of the smallest faces: what is smaller could not be recognised."""
SCORE = 0.5
"""Score from which something is a face."""
AGAIN_SCORE = 0.4
"""The same for a second look, which follows where nothing is found."""
_SIZES = {0.4: AGAIN_SCORE, 0.6: AGAIN_SCORE, 1.5: AGAIN_SCORE, 3: 0.45}
"""Of a photo at a second look, beside its own, each with its score. YuNet sees more in a smaller one where a face fills
it, and where it is dark and noisy. In a larger one it sees small faces, and more that is not a face."""
_LARGEST = 1600
"""Pixels of the longer side of what a second look enlarges: time grows with the area."""
_TURNS = (0, 90, -90, 180)
"""Degrees of roll of the faces that a second look is for; YuNet finds those within 45 of each."""


class Yunet:
    """Finds faces. Any number of threads may ask; one is served at a time."""

    def __init__(self, file: str = "") -> None:
        """
        Args:
            file: an ONNX file of YuNet; empty: the one of the package.

        Raises:
            ModelError: it is missing, damaged, or another network's.
        """
        path = zoo_model("yunet", file)
        self._lock = threading.Lock()
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it warns of targets that are not asked for
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (64, 64), nms_threshold=_OVERLAP, top_k=_MOST)
            self._network.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error:
            raise ModelError(f"yunet:{path} is not YuNet's network; name the ONNX file of OpenCV Zoo") from None
        finally:
            cv2.utils.logging.setLogLevel(level)

    def __call__(self, photo: np.ndarray, *, least: float = LEAST, threshold: float = SCORE) -> Detections:
        """
        Args:
            photo: (H, W, 3) uint8 RGB.
            least: pixels of the longer side of a face, at least.
            threshold: score from which it is a face, 0 to 1.

        Returns:
            The faces. Where one is tilted by 20 degrees or more, its points are wrong: see `righting`.
        """
        if max(photo.shape[:2]) >= _SMALL:
            return self._as_it_is(photo, least, threshold)
        larger = cv2.resize(photo, None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC)
        return _in_photo(self._as_it_is(larger, _ENLARGED * least, threshold), _ENLARGED)

    def _as_it_is(self, photo: np.ndarray, least: float, threshold: float) -> Detections:
        """As `__call__`, however small the photo is."""
        height, width = photo.shape[:2]
        bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
        with self._lock:
            self._network.setInputSize((width, height))
            self._network.setScoreThreshold(threshold)
            _, found = self._network.detect(bgr)
        rows = np.zeros((0, 15), np.float32) if found is None else found.astype(np.float32)
        rows = rows[rows[:, 2:4].max(axis=1, initial=0) >= least]
        rows = rows[np.argsort(-rows[:, 14], kind="stable")]
        corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        return Detections(corners, rows[:, 14], rows[:, 4:14].reshape(-1, 5, 2))

    def again(self, photo: np.ndarray) -> Detections:
        """The faces of a photo in which none was found, (H, W, 3) uint8 RGB: it is looked at in better light, smaller,
        larger, and turned, and more is taken for a face."""
        seen = list(self._views(relit(photo)))
        boxes, scores, points = (np.concatenate(one) for one in zip(*seen, strict=True))
        kept = without_overlaps(boxes, scores, _OVERLAP)
        return Detections(boxes[kept], scores[kept], points[kept])

    def _views(self, photo: np.ndarray) -> Iterator[Detections]:
        """What a second look finds in each size and direction, in pixels of the photo."""
        for size, score in _SIZES.items():
            if size > 1 and size * max(photo.shape[:2]) > _LARGEST:
                continue
            sized = cv2.resize(
                photo, None, fx=size, fy=size, interpolation=cv2.INTER_AREA if size < 1 else cv2.INTER_LINEAR
            )
            yield _in_photo(self._as_it_is(sized, LEAST * size, score), size)
        for roll in _TURNS:
            upright, way = turned(photo, roll)
            found = self(upright, threshold=AGAIN_SCORE)
            boxes = np.array([way.box_back(box) for box in found.boxes], np.float32).reshape(-1, 4)
            yield Detections(boxes, found.scores, way.back(found.points))


def _in_photo(found: Detections, size: float) -> Detections:
    """What was found in a photo `size` times as large, in pixels of the photo."""
    return Detections(found.boxes / np.float32(size), found.scores, found.points / np.float32(size))
