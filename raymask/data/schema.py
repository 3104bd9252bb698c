"""The Parquet schema of prepared faces; one row a photo (design contract "Faces on disk")."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def prepared_schema() -> pa.Schema:
    """Columns of `OUT/split=*/*.parquet`.

    `image_id` is the photo's path under ROOT; `image` and `masked_image` are JPEG crops, `mask_map` a PNG of 0 and
    255; `box` is in pixels of the photo, `landmarks` in pixels of the crop; `mask_kind` and `mask_seed` redraw the
    mask.
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
            ("landmarks", pa.list_(pa.list_(pa.float32(), 2), 68)),
        ]
    )


def dropped_schema() -> pa.Schema:
    """Columns of `OUT/dropped.parquet`: every file under ROOT that gave no row."""
    import pyarrow as pa

    return pa.schema([("image_id", pa.string()), ("reason", pa.string())])
