"""68 landmarks without a model that was trained on 68: the mean head's, laid on the points that others find.

dlib's 5-point model (eye corners and the nose's base; CC0, like all of dlib's models but the 68-point one) and MTCNN's
five points fix the head's pose; between them its landmarks are bent to meet them, and its jaw to the detector's box.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from raymask.faces.landmarks.dlib_models import dlib_model, dlib_square
from raymask.faces.masks.fit import WeightedPoints, pose
from raymask.faces.masks.surface import MEAN_FACE

_REACH, _STIFFNESS = 0.35, 0.3
"""How far a known point bends its surroundings, in half face widths, and how little."""
# Over 300 LFW photos, by dlib's 68 landmarks: where chin and ears lie by the mean head and by MTCNN's box, in shares of
# the distance of the eyes' outer corners.
_CHIN, _CHIN_BY_BOX = 0.048, 0.906
_SIDE, _SIDE_BY_BOX = 0.016, 0.5
_EAR_LOWER = 0.07
_NOSE_BASE, _CHIN_HEIGHT = 0.68, 1.70
"""Heights of the mean head."""


class MeanHeadLandmarks:
    """Holds dlib's 5-point model."""

    def __init__(self) -> None:
        import dlib

        self._predictor = dlib.shape_predictor(str(dlib_model("shape_predictor_5_face_landmarks.dat")))

    def __call__(self, photo: np.ndarray, box: np.ndarray, points: np.ndarray) -> np.ndarray:
        """As `LandmarkEngine`."""
        corners = [(point.x, point.y) for point in self._predictor(photo, dlib_square(box)).parts()]
        seen = np.concatenate([np.array(corners, np.float64), points])
        known = _known()
        scale, rotation, shift = pose(known, seen)

        def placed(head: np.ndarray) -> np.ndarray:
            where: np.ndarray = scale * (head @ rotation.T)[:, :2] + shift
            return where

        landmarks, expected = placed(MEAN_FACE), placed(known.points + known.centre)
        squared = ((landmarks[:, None] - expected) ** 2).sum(axis=-1) / (_REACH * scale) ** 2
        pull = np.exp(-squared)
        landmarks += pull / (pull.sum(axis=1, keepdims=True) + _STIFFNESS) @ (seen - expected)
        upright = abs(rotation[1, 1]) / np.hypot(rotation[0, 1], rotation[1, 1])
        _fit_jaw(landmarks, box, float(upright) ** 4)
        return landmarks.astype(np.float32)


@lru_cache(maxsize=1)
def _known() -> WeightedPoints:
    """The mean head's points in the order of dlib's five (outer and inner corners of the eye on the photo's right, of
    that on the left, base of the nose) and MTCNN's (eyes, tip of the nose, corners of the mouth)."""
    eyes = MEAN_FACE[36:42].mean(axis=0), MEAN_FACE[42:48].mean(axis=0)
    points = np.stack([*MEAN_FACE[[45, 42, 36, 39, 33]], *eyes, *MEAN_FACE[[30, 48, 54]]])
    return WeightedPoints.of(points, np.array([1, 1, 1, 1, 1, 0.5, 0.5, 1, 1, 1]))


def _fit_jaw(landmarks: np.ndarray, box: np.ndarray, share: float) -> None:
    """Move the jaw, landmarks 0 to 16, to where the box says, by a share of the way: of a head on its side the box says
    nothing. In place."""
    eyes = float(np.linalg.norm(landmarks[36] - landmarks[45]))
    jaw, heights, across = landmarks[:17], MEAN_FACE[:17, 1], MEAN_FACE[:17, 0]
    down = np.clip((heights - _NOSE_BASE) / (_CHIN_HEIGHT - _NOSE_BASE), 0, 1)
    out = np.clip((np.abs(across) - 0.38) / 0.62, 0, 1)
    chin = _CHIN * eyes + _CHIN_BY_BOX * (box[3] - jaw[8, 1])
    left = -_SIDE * eyes + _SIDE_BY_BOX * (box[0] - jaw[0, 0])
    right = _SIDE * eyes + _SIDE_BY_BOX * (box[2] - jaw[16, 0])
    jaw[:, 1] += share * (down * chin + _EAR_LOWER * eyes * (1 - down))
    jaw[:, 0] += share * out * np.where(across < 0, left, right)
