"""Prepared crops in memory, compressed, and batches of them as arrays."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from raymask.data.sampler import Shot
from raymask.data.splits import Split
from raymask.data.storage import Folder
from raymask.errors import DataError


class CropTable:
    """The crops of one split as `prepare` wrote them.

    They stay JPEG until they are used: about 40 KB a photo of memory.
    """

    def __init__(self, uri: str, split: Split) -> None:
        """Read `uri/split=.../*.parquet`. Raises DataError if there is no such data."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        out = Folder(uri)
        names = [name for name in out.names() if name.startswith(f"split={split}/") and name.endswith(".parquet")]
        if not names:
            raise DataError(f"{uri} holds no prepared faces of split {split}; make them with jobs/prepare.py")
        columns = ["identity", "image", "masked_image"]
        table = pa.concat_tables(pq.read_table(io.BytesIO(out.read(name)), columns=columns) for name in names)
        self.people: list[str]
        self.people, codes = np.unique(table["identity"].to_pylist(), return_inverse=True)  # type: ignore[assignment]
        self.identities: np.ndarray = codes.astype(np.int64)
        """(N,) int64: which of `people` each photo shows."""
        self._crops = {False: table["image"], True: table["masked_image"]}

    def __len__(self) -> int:
        return len(self.identities)

    def pixels(self, shots: Sequence[Shot], size: int) -> np.ndarray:
        """The crops as (B, 3, size, size) uint8 RGB."""
        crops = np.empty((len(shots), size, size, 3), dtype=np.uint8)
        for place, shot in enumerate(shots):
            crops[place] = decode_crop(self._crops[shot.masked][shot.row].as_py(), size)
        return crops.transpose(0, 3, 1, 2)


def decode_crop(data: bytes, size: int) -> np.ndarray:
    """JPEG bytes of a crop to (size, size, 3) uint8 RGB."""
    import cv2

    crop = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return resize_crop(crop, size)


def resize_crop(crop: np.ndarray, size: int) -> np.ndarray:
    """(S, S, 3) uint8 to (size, size, 3), as networks see it in training and in use alike."""
    import cv2

    if crop.shape[0] == size:
        return crop
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if crop.shape[0] > size else cv2.INTER_CUBIC)
