"""dlib's 68 landmarks inside a detector's box."""

from __future__ import annotations

import numpy as np

from raymask.faces.dlib_models import dlib_model

# dlib's predictor was trained on the squares of dlib's own detector. Over 199 LFW photos where both detectors fire,
# the median such square is 0.95 times the mean side of MTCNN's box, its centre 0.07 of the box's height lower.
SQUARE_SIDE = 0.95
SQUARE_SHIFT = 0.07


class LandmarkPredictor:
    """Holds dlib's 68-point model (iBUG 300-W, whose data excludes commercial use)."""

    def __init__(self) -> None:
        import dlib

        self._predictor = dlib.shape_predictor(str(dlib_model("shape_predictor_68_face_landmarks.dat")))

    def __call__(self, photo: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Landmarks of the face in `box`.

        Args:
            photo: (H, W, 3) uint8 RGB.
            box: (4,) left, top, right, bottom in pixels, as MTCNN finds it.

        Returns:
            (68, 2) float32 pixels (x, y) of the photo.
        """
        shape = self._predictor(photo, dlib_square(box))
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float32)


def dlib_square(box: np.ndarray):  # type: ignore[no-untyped-def]  # dlib ships no types
    """The `dlib.rectangle` that dlib's own detector would have given for MTCNN's `box`."""
    import dlib

    left, top, right, bottom = (float(value) for value in box)
    half = SQUARE_SIDE * ((right - left) + (bottom - top)) / 4
    x, y = (left + right) / 2, (top + bottom) / 2 + SQUARE_SHIFT * (bottom - top)
    return dlib.rectangle(round(x - half), round(y - half), round(x + half), round(y + half))
