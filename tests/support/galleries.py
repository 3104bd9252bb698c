"""Galleries of invented embeddings."""

import subprocess
import sys
from pathlib import Path

import numpy as np

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
