"""The landmarks of prepared crops, in the order of `CropIndex`: what masks are drawn by afresh in training."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from raymask.data.crop_index import CropIndex
from raymask.data.storage import Folder
from raymask.errors import DataError
from raymask.progress import Progress

_READS_IN_FLIGHT = 8


def read_landmarks(folder: Folder, index: CropIndex, *, quiet: bool = False) -> np.ndarray:
    """(N, 68, 2) float16 in pixels of the crop, 272 bytes a photo, good to 1/16 pixel; no picture is read for them.

    Raises:
        DataError: a file is missing, damaged, or does not hold as many photos as the index says.
    """
    landmarks = np.empty((len(index.identities), 68, 2), dtype=np.float16)
    order = np.argsort(index.file_of, kind="stable")
    starts = np.searchsorted(index.file_of[order], np.arange(len(index.files) + 1))

    def read(code: int) -> int:
        rows = order[starts[code] : starts[code + 1]]
        landmarks[rows] = _column(folder, index.files[code], len(rows))
        return len(rows)

    write = (lambda line: None) if quiet else None
    with (
        ThreadPoolExecutor(max_workers=_READS_IN_FLIGHT) as pool,
        Progress("landmarks", total=len(landmarks), unit="photos", closing=False, write=write) as progress,
    ):
        for done in pool.map(read, range(len(index.files))):
            progress.add(done)
    return landmarks


def _column(folder: Folder, name: str, rows: int) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with folder.seekable(name) as file:
            column = pq.read_table(file, columns=["landmarks"])["landmarks"]
        values = column.combine_chunks().flatten().flatten().to_numpy()
        return values.reshape(rows, 68, 2)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise DataError(f"{folder / name} has no landmarks that can be read ({error}); prepare again") from None
