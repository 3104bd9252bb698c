"""Where each crop lies, so that it can be read by itself: prepared Parquet files hold pictures whole and verbatim.

A photo in a batch needs one of its two crops. A Parquet reader would fetch the page or the row group around it; the
index makes it one read of exactly its bytes, for which the data need not fit into memory.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raymask.data.format.splits import Split
from raymask.errors import DataError
from raymask.storage import Folder

if TYPE_CHECKING:
    import pyarrow as pa

INDEX = "index.parquet"
"""File of a prepared folder."""

_ROW_GROUP = 100_000


def index_schema() -> pa.Schema:
    """Columns of `OUT/index.parquet`, a row for each prepared photo in the order of the files; offsets in bytes."""
    import pyarrow as pa

    return pa.schema(
        [
            ("identity", pa.string()),
            ("file", pa.string()),
            ("image_offset", pa.int64()),
            ("image_size", pa.int32()),
            ("masked_offset", pa.int64()),
            ("masked_size", pa.int32()),
        ]
    )


def locate_crops(parquet: bytes, rows: Sequence[Mapping[str, Any]], file: str) -> list[dict[str, Any]]:
    """The index's rows for a Parquet file just made of `rows`, whose pictures it holds in their order."""
    entries: list[dict[str, Any]] = [{"identity": row["identity"], "file": file} for row in rows]
    for column, prefix in (("image", "image"), ("masked_image", "masked")):
        end = 0
        for row, entry in zip(rows, entries, strict=True):
            start = parquet.find(row[column], end)
            if start < 0:
                raise AssertionError(f"{file} does not hold the {column} of {row['image_id']} in one piece")
            end = start + len(row[column])
            entry |= {f"{prefix}_offset": start, f"{prefix}_size": len(row[column])}
    return entries


class IndexWriter:
    """Makes the index of entries that come a few at a time, and are more than should lie in memory as they come."""

    def __init__(self) -> None:
        import pyarrow.parquet as pq

        self._buffer = io.BytesIO()
        self._writer = pq.ParquetWriter(self._buffer, index_schema(), compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def add(self, entries: Sequence[dict[str, Any]]) -> None:
        """Add rows of the index."""
        self._waiting.extend(entries)
        if len(self._waiting) >= _ROW_GROUP:
            self._flush()

    def finish(self) -> bytes:
        """The whole file; nothing can be added after this."""
        self._flush()
        self._writer.close()
        return self._buffer.getvalue()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=index_schema()))
        self._waiting = []


@dataclass(frozen=True)
class CropIndex:
    """Where the crops of a split lie: 36 bytes a photo."""

    people: list[str]
    """Sorted names."""
    identities: np.ndarray
    """(N,) int64: which of `people`."""
    files: list[str]
    """Sorted names in the prepared folder."""
    file_of: np.ndarray
    """(N,) int32: which of `files`."""
    offsets: tuple[np.ndarray, np.ndarray]
    """Of bare and of masked crops, (N,) int64, in bytes from the file's start."""
    sizes: tuple[np.ndarray, np.ndarray]
    """Of bare and of masked crops, (N,) int32, in bytes."""

    @classmethod
    def read(cls, folder: Folder, split: Split) -> CropIndex:
        """Raises DataError if the folder holds no crops of this split, or no index of them."""
        table = _read_table(folder, split)
        files, file_of = _decoded(table["file"])
        kept = np.flatnonzero(np.array([name.startswith(f"split={split}/") for name in files], dtype=bool)[file_of])
        if not len(kept):
            raise _nothing(folder, split)
        people, identities = _ranked(*_decoded(table["identity"]), kept)
        files, file_of = _ranked(files, file_of, kept)
        offsets, sizes = (
            (table[f"image_{what}"].to_numpy()[kept], table[f"masked_{what}"].to_numpy()[kept])
            for what in ("offset", "size")
        )
        return cls(people, identities.astype(np.int64), files, file_of, offsets, sizes)

    def place(self, row: int, *, masked: bool) -> tuple[int, int, int]:
        """Which of `files` holds a photo's crop, at which byte it begins, and how many it has."""
        return int(self.file_of[row]), int(self.offsets[masked][row]), int(self.sizes[masked][row])


def _read_table(folder: Folder, split: Split) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not folder.exists(INDEX):
        if any(name.startswith("split=") for name in folder.names()):
            raise DataError(
                f"{folder.uri} has no {INDEX}: its preparation did not end, or is of an earlier version; run "
                f"jobs/prepare.py to its end, or prepare again into another --out"
            )
        raise _nothing(folder, split)
    try:
        return pq.read_table(pa.BufferReader(folder.read(INDEX)), read_dictionary=["identity", "file"])
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{folder / INDEX} is damaged ({error}); prepare again into another --out") from None


def _nothing(folder: Folder, split: Split) -> DataError:
    return DataError(f"{folder.uri} holds no prepared faces of split {split}; make them with jobs/prepare.py")


def _decoded(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """The distinct strings of a column, and (N,) int32 which of them each row holds."""
    encoded = column.unify_dictionaries().combine_chunks()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()


def _ranked(names: list[str], codes: np.ndarray, kept: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The names that the rows `kept` use, sorted, and (len(kept),) int32 which of them each of these rows holds."""
    codes = codes[kept]
    used = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    order = sorted(used.tolist(), key=names.__getitem__)
    rank = np.zeros(len(names), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return [names[code] for code in order], rank[codes]
