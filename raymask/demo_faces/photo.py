"""What rendering gives back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raymask.demo_faces.person import Person
from raymask.demo_faces.shot import Shot


@dataclass(frozen=True, eq=False)
class DemoPhoto:
    """A rendered photo and what is known about it.

    `image` is (H, W, 3) uint8 RGB. `landmarks` is (68, 2) float32, x and y in pixels of the image, the iBUG points
    in dlib's order. `box` is (4,) float32 x0, y0, x1, y1 around the face from forehead to chin.
    """

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    box: NDArray[np.float32]
    person: Person
    shot: Shot
