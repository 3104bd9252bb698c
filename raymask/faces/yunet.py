"""YuNet (Wu et al. 2023, Machine Intelligence Research 20): one small network that finds faces, masked ones too.

The weights are those of OpenCV Zoo; OpenCV runs them. Its boxes lie as MTCNN's do: over the subjects of 600 bare LFW
photos their sides differ by 0.5% and their centres by 0.8% of a side (medians).
"""

from __future__ import annotations

import threading

import cv2
import numpy as np

from raymask.errors import ModelError
from raymask.faces.mtcnn import Detections
from raymask.faces.zoo_models import zoo_model

_OVERLAP = 0.3
"""Intersection over union from which two boxes are of one face."""
_MOST = 500
"""Faces of a photo, at most."""


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

    def __call__(self, photo: np.ndarray, *, least: float, threshold: float) -> Detections:
        """
        Args:
            photo: (H, W, 3) uint8 RGB.
            least: pixels of the longer side of a face, at least.
            threshold: score from which it is a face, 0 to 1.
        """
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
