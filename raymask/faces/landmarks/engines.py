"""68 landmarks inside a detector's box: engines behind one interface, and dlib's, the default."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import numpy as np

from raymask.errors import check_choice
from raymask.faces.landmarks.dlib_models import dlib_model, dlib_square

Landmarks = Literal["dlib68", "mean-head"]
"""dlib68: dlib's model of 68 points. mean-head: without it, of freely licensed models; less exact along the jaw."""


class LandmarkEngine(Protocol):
    """Finds landmarks."""

    def __call__(self, photo: np.ndarray, box: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Landmarks of the face in `box`.

        Args:
            photo: (H, W, 3) uint8 RGB.
            box: (4,) left, top, right, bottom in pixels, as MTCNN finds it.
            points: (5, 2), as MTCNN finds them: eyes, tip of the nose, corners of the mouth, in pixels.

        Returns:
            (68, 2) float32 pixels (x, y) of the photo.
        """


def landmark_engine(name: Landmarks) -> LandmarkEngine:
    """Load an engine. Raises ConfigError for an unknown name, ModelError if its model is missing."""
    check_choice("landmarks", name, get_args(Landmarks))
    if name == "dlib68":
        return Dlib68Landmarks()
    from raymask.faces.landmarks.mean_head import MeanHeadLandmarks

    return MeanHeadLandmarks()


class Dlib68Landmarks:
    """Holds dlib's 68-point model (iBUG 300-W, whose data excludes commercial use)."""

    def __init__(self) -> None:
        import dlib

        self._predictor = dlib.shape_predictor(str(dlib_model("shape_predictor_68_face_landmarks.dat")))

    def __call__(self, photo: np.ndarray, box: np.ndarray, points: np.ndarray) -> np.ndarray:
        """As `LandmarkEngine`; it needs no points."""
        shape = self._predictor(photo, dlib_square(box))
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float32)
