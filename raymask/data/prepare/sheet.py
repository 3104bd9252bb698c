"""The contact sheet: some photos as bare crop, masked crop and mask map, for a person to judge."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raymask.storage import Folder

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS, ROWS, TILE, GAP = 4, 6, 150, 6
"""Photos across and, of a prepared folder, down; pixels of a picture's side, and between photos."""


def draw_sheet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of all these rows of `prepared_schema`, COLUMNS across."""
    from PIL import Image

    lines = -(-len(rows) // COLUMNS)
    width = COLUMNS * (3 * TILE + GAP) + GAP
    sheet = Image.new("RGB", (width, lines * (TILE + GAP) + GAP), "white")
    for place, row in enumerate(rows):
        left = GAP + (place % COLUMNS) * (3 * TILE + GAP)
        top = GAP + (place // COLUMNS) * (TILE + GAP)
        for offset, column in enumerate(("image", "masked_image", "mask_map")):
            sheet.paste(_tile(row[column]), (left + offset * TILE, top))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _tile(data: bytes) -> Image:
    from PIL import Image

    return Image.open(io.BytesIO(data)).convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)


def sample_rows(out: Folder, parts: Sequence[str], count: int = COLUMNS * ROWS) -> list[dict[str, bytes]]:
    """`count` rows of the Parquet files `parts` of `out`, from files far apart, chosen by a hash within each file."""
    import pyarrow.parquet as pq

    step = max(1, len(parts) // count)
    files = list(parts)[::step][:count]
    each = -(-count // len(files))
    rows: list[dict[str, bytes]] = []
    for name in files:
        table = pq.read_table(
            io.BytesIO(out.read(name)), columns=["image_id", "image", "masked_image", "mask_map"], partitioning=None
        )
        ids = table["image_id"].to_pylist()
        order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode()).digest())
        rows.extend(table.take(order[:each]).to_pylist())
    return rows[:count]
