"""The gallery at size: recall and time of searches, memory, and enrolments a second; JSON on standard output.

    python benchmarks/gallery.py [--rows 1000000] [--out out/benchmark-gallery]

The embeddings are spread like real ones: eight each of many people, a person's own nearer to each other than to the
rest, and directions that differ in weight. Queries are further photos of enrolled people, and none of them is enrolled.
A search counts as right if it names the person whom comparing all embeddings names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from raymask.cli import parse, run
from raymask.gallery.committer import GroupCommitter
from raymask.gallery.index import EXACT_ROWS
from raymask.gallery.reader import GalleryReader
from raymask.gallery.rows import Enrolment, gallery_schema, photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space
from raymask.progress import Progress

SIZE = 512
PHOTOS = 8
"""Embeddings of a person."""
SPACE = Space(digest="0" * 64, size=SIZE, recogniser="benchmark")
WEIGHTS = np.arange(1, SIZE + 1, dtype=np.float32) ** -0.35
"""Of the directions: two strangers' similarities then spread by 0.085, as face networks' do."""
_AT_ONCE = 50_000


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """How large."""

    rows: int = 1_000_000
    """Embeddings enrolled."""
    queries: int = 1000
    """Searches timed."""
    clients: int = 16
    """Threads that enrol at the same time."""
    enrolments: int = 10_000
    """Enrolments timed, a commit's sync included, into the full gallery."""
    out: str = "out/benchmark-gallery"
    """Folder for the gallery; deleted before and after."""


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class People:
    """Embeddings of invented people."""

    def __init__(self, count: int) -> None:
        self._random = np.random.default_rng(0)
        self.centres = unit(self._random.standard_normal((count, SIZE), dtype=np.float32) * WEIGHTS)

    def photos(self, people: np.ndarray, noise: float) -> np.ndarray:
        """One more embedding of each; `noise` over the length of what is the person's own."""
        other = unit(self._random.standard_normal((len(people), SIZE), dtype=np.float32) * WEIGHTS)
        return unit(self.centres[people] + noise * other)


def enrol_all(store: GalleryStore, people: People, rows: int) -> None:
    with Progress("enrol", total=rows, unit="embeddings", write=to_stderr) as progress:
        for start in range(0, rows, _AT_ONCE):
            numbers = np.arange(start, min(start + _AT_ONCE, rows))
            store.append(as_rows(numbers // PHOTOS, people.photos(numbers // PHOTOS, 0.7)))
            progress.add(len(numbers))


def as_rows(people: np.ndarray, vectors: np.ndarray) -> pa.Table:
    """Rows as bulk enrolment makes them."""
    count = len(people)
    columns = {
        "identity": [f"p{number:07}" for number in people],
        "photo": [os.urandom(16) for _ in range(count)],
        "look": [""] * count,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), SIZE),
        "picture": [None] * count,
        "added": [0] * count,
    }
    schema = gallery_schema(SIZE)
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def nearest_people(folder: str, queries: np.ndarray) -> list[str]:
    """By comparing each query with all embeddings, exactly."""
    best, names = np.full(len(queries), -2.0, np.float32), [""] * len(queries)
    for batch in GalleryReader(folder, SPACE).batches():
        scores = queries @ batch["vector"].flatten().to_numpy().reshape(-1, SIZE).T
        place = scores.argmax(axis=1)
        top = scores[np.arange(len(queries)), place]
        for row in np.flatnonzero(top > best):
            names[row] = batch["identity"][int(place[row])].as_py()
        best = np.maximum(best, top)
    return names


def search(folder: str, queries: np.ndarray, truth: list[str]) -> dict[str, float]:
    """In a process of its own, whose memory is measured."""
    np.save(f"{folder}.queries.npy", queries)
    Path(f"{folder}.truth.json").write_text(json.dumps(truth))
    code = f"import runpy; runpy.run_path({__file__!r})['search_here']({folder!r})"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # as Ray gives it to the replica that searches
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return dict(json.loads(done.stdout))


def search_here(folder: str) -> None:
    queries, truth = np.load(f"{folder}.queries.npy"), json.loads(Path(f"{folder}.truth.json").read_text())
    reader = GalleryReader(folder, SPACE)
    for query in queries[:200]:
        reader.search(query[None], 5)  # a warm gallery is what is asked about
    seconds, right = [], 0
    for query, person in zip(queries, truth, strict=True):
        begun = time.perf_counter()
        (found,) = reader.search(query[None], 5).candidates
        seconds.append(time.perf_counter() - begun)
        right += found[0].identity == person
    times = np.array(seconds) * 1e3
    measured = {
        "recall_at_1": right / len(queries),
        "p50_ms": float(np.median(times)),
        "p99_ms": float(np.percentile(times, 99)),
        "max_ms": float(times.max()),
        "peak_memory_gib": peak_memory(),
    }
    print(json.dumps(measured))


def enrolments(store: GalleryStore, people: People, config: BenchmarkConfig) -> dict[str, float]:
    """Each client waits for its acknowledgement before it enrols the next."""
    committer = GroupCommitter(store)
    numbers = np.arange(config.enrolments) % len(people.centres)
    vectors = people.photos(numbers, 0.7)
    waits: list[float] = []

    def client(mine: Iterator[int]) -> None:
        for place in mine:
            name = f"p{numbers[place]:07}"
            key = photo_key(name, f"more {place}")
            one = Enrolment(identity=name, key=key, embeddings=vectors[place][None], looks=("",))
            begun = time.perf_counter()
            assert committer.enrol(one).result()
            waits.append(time.perf_counter() - begun)

    shares = [iter(range(one, config.enrolments, config.clients)) for one in range(config.clients)]
    threads = [threading.Thread(target=client, args=(share,)) for share in shares]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    committer.close()
    times = np.array(waits) * 1e3
    return {
        "clients": config.clients,
        "acknowledged_a_second": len(waits) / seconds,
        "p50_ms": float(np.median(times)),
        "p99_ms": float(np.percentile(times, 99)),
    }


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def peak_memory() -> float:
    """GiB that this process has held at most, memory-mapped files included."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def measure(config: BenchmarkConfig) -> dict[str, object]:
    shutil.rmtree(config.out, ignore_errors=True)
    people = People(max(1, config.rows // PHOTOS))
    asked = np.random.default_rng(1).choice(
        len(people.centres), config.queries, replace=config.queries > len(people.centres)
    )
    queries = people.photos(asked, 1.0)
    with GalleryStore(config.out, SPACE) as store:
        enrol_all(store, people, config.rows)
        to_stderr("building the index")
        index_seconds = timed(store.finish_index)
        to_stderr("comparing the queries with all embeddings")
        truth = nearest_people(config.out, queries)
        named = float(np.mean([name == f"p{person:07}" for name, person in zip(truth, asked, strict=True)]))
        found = search(config.out, queries, truth)
        to_stderr("enrolling, each photo synced before it is acknowledged")
        enrolled = enrolments(store, people, config)
        store.finish_index()
        after = search(config.out, queries, nearest_people(config.out, queries))
        to_stderr("erasing")
        erase_seconds = timed(lambda: store.erase("p0000007"))
        peak = peak_memory()
    shutil.rmtree(config.out)
    return {
        "rows": config.rows,
        "size": SIZE,
        "search": "exact" if config.rows <= EXACT_ROWS else "index",
        "exact_names_the_right_person": named,
        "index_seconds": index_seconds,
        "searches": found,
        "enrolments": enrolled,
        "searches_after_enrolments": after,
        "erase_seconds": erase_seconds,
        "writer_peak_memory_gib": peak,
    }


def main() -> None:
    print(json.dumps(measure(parse(BenchmarkConfig, __doc__ or "")), indent=1))


if __name__ == "__main__":
    run(main)
