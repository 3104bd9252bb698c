"""Galleries of invented embeddings."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raymask.calibration.table import SearchTable, StateTable
from raymask.gallery.reader import GalleryReader
from raymask.gallery.rows import Enrolment, photo_key
from raymask.gallery.table import Space
from raymask.gallery.view import Candidate

SPACE = Space(digest="a" * 64, size=16, recogniser="dlib")


def unit(seed: int, size: int = 16) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    return vector / np.linalg.norm(vector)


def enrolment(identity: str, seed: int, *, looks: tuple[str, ...] = ("",), picture: bytes | None = None) -> Enrolment:
    embeddings = np.stack([unit(seed + 1000 * place) for place in range(len(looks))])
    key = photo_key(identity, str(seed))
    return Enrolment(identity=identity, key=key, embeddings=embeddings, looks=looks, picture=picture)


def people_of(vectors: np.ndarray, names: Sequence[str] = ()) -> list[Enrolment]:
    """A person each; unnamed ones are p0000, p0001, ..."""
    named = names or [f"p{place:04}" for place in range(len(vectors))]
    return [
        Enrolment(identity=name, key=photo_key(name, "1"), embeddings=row[None], looks=("",))
        for name, row in zip(named, vectors, strict=True)
    ]


def unlike(people: int, seed: int = 0, size: int = 64) -> np.ndarray:
    """(people, size) embeddings that lie anywhere."""
    vectors = np.random.default_rng(seed).standard_normal((people, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def alike(people: int, families: int = 20, size: int = 64) -> np.ndarray:
    """(people, size) embeddings around those of a few families."""
    vectors = np.resize(unlike(families, 1, size), (people, size)) + 0.8 * unlike(people, 2, size)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def calibrated(people: int = 250, size: int = 64) -> dict[float, float]:
    """The scores that a tenth and a hundredth of strangers' searches among `unlike` people reach."""
    best = (unlike(8000, 3, size) @ unlike(people - 1, 4, size).T).max(axis=1)
    return {rate: float(np.quantile(best, 1 - rate)) for rate in (0.1, 0.01)}


def search_table(people: int = 250, size: int = 64) -> SearchTable:
    """`calibrated` for galleries of any size up to 1,000."""
    scores = tuple((score, score) for score in calibrated(people, size).values())
    state = StateTable(scores=scores, extrapolated=((False, False),) * 2)
    return SearchTable(rates=(0.1, 0.01), enrolled=(1, 1000), strangers=8000, measured=1000, bare=state, masked=state)


def nearest(reader: GalleryReader, query: np.ndarray, people: int) -> list[Candidate]:
    return reader.search(query[None], people).candidates[0]


def files_holding(folder: Path, *needles: bytes) -> list[tuple[Path, bytes]]:
    """The bytes of every file are read."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [(path, needle) for path in files for needle in needles if needle in path.read_bytes()]


WRITER = r"""
import sys, numpy as np
sys.path.insert(0, {tests!r})
from support.galleries import SPACE, enrolment
from raymask.gallery.store import GalleryStore
store = GalleryStore({folder!r}, SPACE)
sys.stdout.write("open\n")
sys.stdout.flush()
for seed in range({start}, {start} + {count}):
    store.enrol([enrolment("ann", seed)])
    sys.stdout.write(f"{{seed}}\n")
    sys.stdout.flush()
    store.maintain()
"""


def run_writer(folder: Path, start: int, count: int, prefix: tuple[str, ...] = ()) -> subprocess.Popen:
    script = WRITER.format(tests=str(Path(__file__).parent.parent), folder=str(folder), start=start, count=count)
    command = [*prefix, sys.executable, "-W", "ignore", "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
