"""A gallery in plain files, and back: Parquet of its rows, and what it needs to know besides.

A backup holds who was enrolled when it was made. Restoring leaves out whom the gallery, or the backup, has erased since
they were enrolled; backups themselves are not rewritten, and who must be erased for good is to be thought of there too.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from raymask.errors import DataError
from raymask.gallery.erasures import ERASURES, Erasures, read_erasures
from raymask.gallery.reader import ChangedError, GalleryReader
from raymask.gallery.rows import gallery_schema
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space, read_space
from raymask.progress import Progress
from raymask.storage import Folder, folder_and_name

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "backup.json"
FORMAT = 1
_ROWS = 20_000
"""Rows of a Parquet file."""
_TRIES = 5
"""Times that a gallery is read which changes meanwhile."""


@dataclass(frozen=True, kw_only=True)
class BackupConfig:
    """What to save, and where."""

    gallery: str
    """Folder (or URI) of the gallery; it may be in service."""
    out: str
    """Folder (or URI) for the backup; new or empty."""


@dataclass(frozen=True, kw_only=True)
class RestoreConfig:
    """What to bring back, and where."""

    backup: str
    """Folder (or URI) of a backup."""
    gallery: str
    """Folder (or URI) of the gallery, which must not be in service; photos that it has already stay as they are."""
    erasures: str | None = None
    """A gallery's erasures.json, where the gallery that knew of them is lost; null: those of gallery and backup."""


class Restored(NamedTuple):
    """What came of it."""

    photos: int
    """Brought back."""
    known: int
    """Enrolled already."""
    erased: int
    """Left out, because their people were erased."""


def backup(config: BackupConfig) -> dict[str, Any]:
    """Save a gallery; returns what `backup.json` says.

    Raises:
        DataError: there is no gallery, or the backup cannot be written.
        ChangedError: the gallery, in service, was compacted or erased from again and again while it was read.
    """
    source, out = Folder(config.gallery), Folder(config.out)
    space = read_space(source)
    if space is None:
        raise DataError(f"{config.gallery} holds no gallery")
    if out.names():
        raise DataError(f"{config.out} is not empty; choose a new folder for the backup")
    for attempt in range(_TRIES):
        try:
            reader, files = _write_rows(config.gallery, space, out)
            break
        except ChangedError:  # begin again with what it is now
            for name in out.names():
                out.delete(name)
            if attempt == _TRIES - 1:
                raise
    erasures = read_erasures(source) or Erasures()  # read last: also of those erased while the rows were read
    out.write(ERASURES, (json.dumps(erasures.as_json(), indent=1) + "\n").encode())
    about = {
        "format": FORMAT,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "space": asdict(space),
        "embeddings": reader.rows,
        "files": files,
    }
    out.write(MANIFEST, (json.dumps(about, indent=1) + "\n").encode())
    return about


def _write_rows(gallery: str, space: Space, out: Folder) -> tuple[GalleryReader, dict[str, str]]:
    """Write all rows; returns what they were read with, and the files' checksums."""
    reader, files = GalleryReader(gallery, space), {}
    with Progress("backup", total=reader.rows, unit="embeddings") as progress:
        for number, table in enumerate(_tables(reader, space)):
            data = _parquet(table)
            name = f"rows-{number:05}.parquet"
            out.write(name, data)
            files[name] = hashlib.sha256(data).hexdigest()
            progress.add(len(table))
    return reader, files


def restore(config: RestoreConfig) -> Restored:
    """Bring a backup's rows into a gallery, new or not; run again, it changes nothing.

    Raises:
        DataError: the backup is damaged, or the gallery cannot be written.
        ModelError: the gallery holds another recogniser's embeddings.
    """
    source = Folder(config.backup)
    about = _manifest(source)
    space = Space(**about["space"])
    erasures = _erasures(source, ERASURES)
    if config.erasures is not None:
        erasures = erasures.joined(_erasures(*folder_and_name(config.erasures)))
    photos: dict[str, set[bytes]] = {"new": set(), "known": set(), "erased": set()}
    with (
        GalleryStore(config.gallery, space) as store,
        Progress("restore", total=about["embeddings"], unit="embeddings") as progress,
    ):
        erasures = erasures.joined(store.erasures)
        store.remember(erasures)
        known = store.photos()
        for name, digest in about["files"].items():
            table = _read(source, name, digest, space)
            kept = []
            for row, identity, photo, added in _rows(table):
                fate = "erased" if erasures.covers(identity, added) else "known" if photo in known else "new"
                photos[fate].add(photo)
                if fate == "new":
                    kept.append(row)
            if kept:
                store.append(table.take(kept))
                store.maintain()
            progress.add(len(table))
        store.finish_index()
    return Restored(*(len(photos[fate]) for fate in ("new", "known", "erased")))


def _tables(reader: GalleryReader, space: Space) -> Iterator[pa.Table]:
    """All rows, about _ROWS at a time, a photo's never apart: a restore brings back a photo whole or not at all."""
    import pyarrow as pa

    names = gallery_schema(space.size).names
    held = gallery_schema(space.size).empty_table()
    for batch in reader.batches():
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).select(names)])
        if len(held) >= _ROWS:
            photos = held["photo"].to_pylist()
            end = len(held) - 1
            while end and photos[end - 1] == photos[-1]:
                end -= 1
            yield held.slice(0, end)
            held = held.slice(end)
    if len(held):
        yield held


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _read(source: Folder, name: str, digest: str, space: Space) -> pa.Table:
    import pyarrow.parquet as pq

    data = source.read(name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise DataError(f"{source / name} is damaged: its checksum does not match {MANIFEST}; take another backup")
    return pq.read_table(io.BytesIO(data)).cast(gallery_schema(space.size))


def _rows(table: pa.Table) -> Iterator[tuple[int, str, bytes, datetime]]:
    columns = (table[name].to_pylist() for name in ("identity", "photo", "added"))
    return ((row, *values) for row, values in enumerate(zip(*columns, strict=True)))


def _manifest(source: Folder) -> dict[str, Any]:
    if not source.exists(MANIFEST):
        raise DataError(f"{source.uri} is no backup: {MANIFEST} is missing, which is written last")
    try:
        about = json.loads(source.read(MANIFEST))
        if about["format"] == FORMAT and isinstance(about["files"], dict) and about["space"]["size"] > 0:
            return dict(about)
    except (ValueError, KeyError, TypeError):
        pass
    raise DataError(f"{source / MANIFEST} is damaged or of another version of raymask")


def _erasures(folder: Folder, name: str) -> Erasures:
    try:
        return Erasures.from_json(json.loads(folder.read(name)), folder / name)
    except ValueError as error:
        raise DataError(f"{folder / name} is damaged ({error})") from None
