"""Parquet files of prepared faces, one row a photo (design contract "Faces on disk")."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


PICTURES = ("image", "masked_image", "mask_map")
"""Columns that hold whole picture files, written neither compressed nor as dictionaries."""


def prepared_schema() -> pa.Schema:
    """Columns of `OUT/split=*/*.parquet`.

    `image_id` is the photo's path under ROOT; `image` and `masked_image` are JPEG crops, `mask_map` a PNG of 0 and
    255; `box` is in pixels of the photo, `points` (the detector's five, of the bare face) and `landmarks` in pixels of
    the crop; `mask_kind` and `mask_seed` redraw the mask, or whatever else is drawn on this face: a hand, which is no
    mask, leaves the map empty. For `cloth:own` that takes the same textures.
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("identity", pa.string()),
            ("image_id", pa.string()),
            ("split", pa.string()),
            ("image", pa.binary()),
            ("masked_image", pa.binary()),
            ("mask_map", pa.binary()),
            ("mask_kind", pa.string()),
            ("mask_seed", pa.int64()),
            ("box", pa.list_(pa.float32(), 4)),
            ("det_score", pa.float32()),
            ("points", pa.list_(pa.list_(pa.float32(), 2), 5)),
            ("landmarks", pa.list_(pa.list_(pa.float32(), 2), 68)),
        ]
    )


def dropped_schema() -> pa.Schema:
    """Columns of `OUT/dropped.parquet`: every file under ROOT that gave no row."""
    import pyarrow as pa

    return pa.schema([("image_id", pa.string()), ("reason", pa.string())])


def parquet_file(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> bytes:
    """The rows as a Parquet file, in which every picture lies in one piece, as it is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=schema),
        buffer,
        compression={name: "none" if name in PICTURES else "zstd" for name in schema.names},
        use_dictionary=[name for name in schema.names if name not in PICTURES],
        data_page_version="1.0",
        row_group_size=25,
    )
    return buffer.getvalue()
