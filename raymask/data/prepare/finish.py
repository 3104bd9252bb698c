"""The end of a preparation: the parts' records become the index, what was dropped and why, a summary and a picture."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from raymask.data.format.crop_index import INDEX, IndexWriter
from raymask.data.format.schema import dropped_schema, parquet_file
from raymask.data.format.splits import SPLITS, Split
from raymask.data.prepare.layout import DROPPED, RECORDS, SUMMARY, json_file
from raymask.data.prepare.parts import Part
from raymask.data.prepare.photos import Dropped
from raymask.errors import DataError
from raymask.storage import Folder


def finish(
    out: Folder, parts: Sequence[Part], splits: dict[str, Split], dropped: list[Dropped], *, left_out: dict[str, int]
) -> dict[str, Any]:
    """Gather the parts' records into index, dropped.parquet, summary.json and sheet.png, then drop the records."""
    from raymask.data.prepare.sheet import draw_sheet, sample_rows

    rows: Counter[str] = Counter()
    index = IndexWriter()
    for part in parts:
        record = json.loads(out.read(part.record))
        rows[part.split] += len(record["crops"])
        index.add(record["crops"])
        dropped.extend(Dropped(*item) for item in record["dropped"])
    if dropped and not rows.total():
        out.delete_folder(RECORDS)  # so that the next run tries again
        raise DataError(f"no photo could be prepared; the first of {len(dropped):,}: {min(dropped).reason}")
    listing = [item._asdict() for item in sorted(dropped)]
    out.write(DROPPED, parquet_file(listing, dropped_schema()))
    out.write(INDEX, index.finish())
    people = Counter(splits.values())
    summary = {
        "photos": sum(rows.values()) + len(dropped),
        "rows": sum(rows.values()),
        "dropped": len(dropped),
        "left_out": left_out,
        "splits": {split: {"people": people[split], "rows": rows[split]} for split in SPLITS},
    }
    if summary["rows"]:
        sample = sample_rows(out, [part.name for part in parts if out.exists(part.name)])
        out.write("sheet.png", draw_sheet(sample))
    out.write(SUMMARY, json_file(summary))
    out.delete_folder(RECORDS)
    return summary
