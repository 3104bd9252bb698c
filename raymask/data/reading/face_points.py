"""Landmarks and detectors' points of prepared crops, in the order of `CropIndex`: by them masks are drawn and faces
aligned afresh in training."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from raymask.data.format.crop_index import CropIndex
from raymask.errors import DataError
from raymask.progress import Progress
from raymask.storage import Folder

_READS_IN_FLIGHT = 8


def read_points(folder: Folder, index: CropIndex, column: str, count: int, *, quiet: bool = False) -> np.ndarray:
    """(N, count, 2) float16 in pixels of the crop, good to 1/16 pixel; no picture is read for them.

    Raises:
        DataError: a file is missing, damaged, or does not hold as many photos as the index says.
    """
    points = np.empty((len(index.identities), count, 2), dtype=np.float16)
    order = np.argsort(index.file_of, kind="stable")
    starts = np.searchsorted(index.file_of[order], np.arange(len(index.files) + 1))

    def read(code: int) -> int:
        rows = order[starts[code] : starts[code + 1]]
        points[rows] = _column(folder, index.files[code], column, (len(rows), count, 2))
        return len(rows)

    write = (lambda line: None) if quiet else None
    with (
        ThreadPoolExecutor(max_workers=_READS_IN_FLIGHT) as pool,
        Progress(column, total=len(points), unit="photos", closing=False, write=write) as progress,
    ):
        for done in pool.map(read, range(len(index.files))):
            progress.add(done)
    return points


def _column(folder: Folder, name: str, column: str, shape: tuple[int, ...]) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with folder.seekable(name) as file:
            table = pq.read_table(file, columns=[column])
        return np.asarray(table[column].combine_chunks().flatten().flatten().to_numpy()).reshape(shape)
    except (pa.ArrowInvalid, KeyError, OSError, ValueError) as error:
        raise DataError(f"{folder / name} has no {column} that can be read ({error}); prepare again") from None
