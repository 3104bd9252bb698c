"""The faces that a training is validated on."""

from __future__ import annotations

import functools

from raymask.data.reading.crops import Crops
from raymask.data.reading.joined import Data, folders_with, open_crops


@functools.cache
def validation_store(data: Data) -> Crops | None:
    """The validation split of all folders that have one; small sets may have nobody in it."""
    return open_crops(data, "val") if folders_with(data, "val") else None
