"""Names for the arrays that pass between the modules of the renderer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""Real numbers: lengths in millimetres or pixels, directions, linear light, opacities."""

Image = NDArray[np.uint8]
"""8-bit values of a photo, RGB."""
