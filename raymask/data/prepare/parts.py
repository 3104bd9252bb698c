"""The units of work: photos that become one Parquet file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from raymask.data.format.splits import SPLITS, Split
from raymask.data.prepare.layout import RECORDS
from raymask.data.prepare.photos import Photo


class Part(NamedTuple):
    """Photos that become one Parquet file."""

    name: str
    """File name under OUT, such as split=train/00012.parquet."""
    split: Split
    photos: list[Photo]

    @property
    def record(self) -> str:
        """Name of the record that marks the part as done."""
        return f"{RECORDS}/{self.name.replace('/', '-')}.json"


def cut_parts(photos: Iterable[Photo], splits: dict[str, Split], photos_per_file: int) -> list[Part]:
    """Consecutive photos of each split, in order of their paths, so that rows lie clustered by person."""
    photos_of: dict[Split, list[Photo]] = {split: [] for split in SPLITS}
    for photo in photos:
        photos_of[splits[photo.identity]].append(photo)
    return [
        Part(f"split={split}/{number:05}.parquet", split, group[start : start + photos_per_file])
        for split, group in photos_of.items()
        for number, start in enumerate(range(0, len(group), photos_per_file))
    ]
