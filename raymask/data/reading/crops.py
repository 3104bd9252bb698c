"""Prepared crops on disk or in the cloud, read one by one, and batches of them as arrays."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from raymask.data.format.crop_index import CropIndex
from raymask.data.format.splits import Split
from raymask.data.reading.face_points import read_points
from raymask.data.reading.sampler import BatchPhoto
from raymask.errors import DataError
from raymask.faces.crop import resize_crop
from raymask.storage import Folder, RangeReader

_OPEN_FILES = 256
"""Files held open at once."""

_READS_IN_FLIGHT = 16
"""Reads at once from storage that is not on this machine, where waiting and not reading takes the time."""


class Crops(Protocol):
    """Faces to learn from, N of them; any number of threads may read."""

    @property
    def people(self) -> list[str]:
        """Names."""
        ...

    @property
    def identities(self) -> np.ndarray:
        """(N,) int64: which of `people` each photo shows."""
        ...

    def __len__(self) -> int: ...

    def landmarks(self, *, quiet: bool = False) -> np.ndarray:
        """(N, 68, 2) float16 in pixels of the crops."""
        ...

    def points(self, *, quiet: bool = False) -> np.ndarray:
        """(N, 5, 2) float16, the detector's points on the bare faces, in pixels of the crops."""
        ...

    def pixels(self, shots: Sequence[BatchPhoto], size: int) -> np.ndarray:
        """The crops as (B, 3, size, size) uint8 RGB. Raises DataError if one cannot be read or is no picture."""
        ...


class CropStore:
    """The crops of one split as `prepare` wrote them.

    Only where they lie is held in memory, 36 bytes a photo; any number of threads may read.
    """

    def __init__(self, uri: str, split: Split) -> None:
        """Raises DataError if there are no such crops."""
        self._folder = Folder(uri)
        self._index = CropIndex.read(self._folder, split)
        self._open: OrderedDict[int, RangeReader] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def people(self) -> list[str]:
        """Names of the split's people, sorted."""
        return self._index.people

    @property
    def identities(self) -> np.ndarray:
        """(N,) int64: which of `people` each photo shows."""
        return self._index.identities

    def __len__(self) -> int:
        return len(self.identities)

    def landmarks(self, *, quiet: bool = False) -> np.ndarray:
        """(N, 68, 2) float16 in pixels of the crops, read anew, 272 bytes a photo. Raises DataError if it cannot be."""
        return read_points(self._folder, self._index, "landmarks", 68, quiet=quiet)

    def points(self, *, quiet: bool = False) -> np.ndarray:
        """(N, 5, 2) float16, the detector's points on the bare faces, in pixels of the crops; as `landmarks`."""
        return read_points(self._folder, self._index, "points", 5, quiet=quiet)

    def jpeg(self, shot: BatchPhoto) -> bytes:
        """A crop as it was written. Raises DataError if its file cannot be read."""
        code, start, size = self._index.place(shot.row, masked=shot.masked)
        name = self._index.files[code]
        try:
            data = self._file(code).read_at(size, start)
        except OSError as error:
            raise DataError(f"{self._folder / name} cannot be read ({error}); try again") from None
        if len(data) != size:
            raise DataError(f"{self._folder / name} is cut short; prepare again into another --out")
        return data

    def pixels(self, shots: Sequence[BatchPhoto], size: int) -> np.ndarray:
        """The crops as (B, 3, size, size) uint8 RGB. Raises DataError if one cannot be read or is no picture."""
        crops = np.empty((len(shots), size, size, 3), dtype=np.uint8)
        for place, (shot, data) in enumerate(zip(shots, self._jpegs(shots), strict=True)):
            crops[place] = self._decoded(shot, data, size)
        return crops.transpose(0, 3, 1, 2)

    def _decoded(self, shot: BatchPhoto, data: bytes, size: int) -> np.ndarray:
        try:
            return decode_crop(data, size)
        except ValueError:
            code, start, _ = self._index.place(shot.row, masked=shot.masked)
            raise DataError(
                f"{self._folder / self._index.files[code]} holds no picture at byte {start:,}; prepare again into "
                f"another --out"
            ) from None

    def _jpegs(self, shots: Sequence[BatchPhoto]) -> list[bytes]:
        if self._folder.is_local or len(shots) < 2:
            return [self.jpeg(shot) for shot in shots]
        with ThreadPoolExecutor(max_workers=min(_READS_IN_FLIGHT, len(shots))) as pool:
            return list(pool.map(self.jpeg, shots))

    def _file(self, code: int) -> RangeReader:
        with self._lock:
            if code in self._open:
                self._open.move_to_end(code)
                return self._open[code]
        opened = self._folder.open(self._index.files[code])
        with self._lock:
            self._open[code] = opened
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)  # closed when its last reader lets go of it
        return opened


def decode_crop(data: bytes, size: int) -> np.ndarray:
    """JPEG bytes of a crop to (size, size, 3) uint8 RGB. Raises ValueError if they are no picture."""
    import cv2

    crop = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if crop is None:
        raise ValueError("not a picture")
    return resize_crop(crop, size)
