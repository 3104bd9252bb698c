"""Embedding all probes with all recognisers, photo by photo, so that memory holds a few photos at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from raymask.data.prepare.photos import Photo
from raymask.errors import DataError, ImageError, ModelError
from raymask.evaluate.probes import Probe, Probes, Source
from raymask.progress import Progress
from raymask.recognisers.base import Recogniser
from raymask.recognisers.face_finder import shared_finder
from raymask.recognisers.photo_cache import spared_seconds
from raymask.storage import UnreadableError

CHUNK_PHOTOS = 16
CHUNK_BYTES = 128_000_000
"""What a recogniser is given at a time: at most so many photos, or as many as reach so many bytes."""


class Miss(NamedTuple):
    """A probe in which a recogniser found no face, and why."""

    image_id: str
    masked: bool
    reason: str


@dataclass(eq=False)
class Embedded:
    """A recogniser's answers to N probes."""

    embeddings: np.ndarray
    """(N, D) float32 of unit length; 0 where not found."""
    found: np.ndarray
    """(N,) bool."""
    misses: list[Miss] = field(default_factory=list)
    seconds: float = 0.0
    """Time it took without the detection, which recognisers share, and as if they shared no more than that."""


@dataclass(eq=False)
class _Chunk:
    """Probes waiting to be embedded together: rows of the result, and pixels."""

    rows: list[int] = field(default_factory=list)
    pixels: list[np.ndarray] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= CHUNK_PHOTOS or sum(photo.nbytes for photo in self.pixels) >= CHUNK_BYTES


def embed_probes(wanted: Sequence[Probe], probes: Probes, recognisers: Mapping[str, Recogniser]) -> dict[str, Embedded]:
    """Make each probe once and have every recogniser embed it.

    A photo that cannot be read, and a masked one on which no mask could be drawn, is a miss for every recogniser.

    Raises:
        ModelError: a recogniser does not answer as `Recogniser.embed` says.
        DataError: storage fails, which says nothing of any recogniser; or not one probe could be made.
    """
    rows_of: dict[tuple[Source, Photo], list[int]] = {}
    for row, probe in enumerate(wanted):
        rows_of.setdefault((probe.source, probe.photo), []).append(row)
    results: dict[str, Embedded] = {}
    common: list[Miss] = []
    chunk = _Chunk()
    with Progress("embed", total=len(wanted), unit="probes") as progress:
        for rows in rows_of.values():
            missed = _load(rows, wanted, probes, chunk)
            common += missed
            progress.add(len(missed))
            if chunk.is_full:
                _embed_chunk(chunk, wanted, recognisers, results)
                progress.add(len(chunk.rows))
                chunk = _Chunk()
        if chunk.rows:
            _embed_chunk(chunk, wanted, recognisers, results)
            progress.add(len(chunk.rows))
    if not results:
        raise DataError(
            f"no probe could be made; the first of {len(common):,}: {common[0].image_id}: {common[0].reason}"
        )
    for answer in results.values():
        answer.misses = sorted([*answer.misses, *common])
    return results


def _load(rows: list[int], wanted: Sequence[Probe], probes: Probes, chunk: _Chunk) -> list[Miss]:
    """Add the probes of one photo to the chunk; those that cannot be made are returned."""
    photo = wanted[rows[0]].photo
    try:
        plain = probes.as_it_is(wanted[rows[0]])
    except (ImageError, UnreadableError) as error:
        return [Miss(photo.image_id, wanted[row].masked, f"unreadable: {error}") for row in rows]
    missed = []
    for row in rows:
        try:
            pixels = probes.masked(photo, plain) if wanted[row].is_drawn else plain
        except Exception as error:  # whatever a library throws at one photo must not cost the others
            missed.append(Miss(photo.image_id, True, f"no mask could be drawn ({type(error).__name__}: {error})"))
            continue
        if pixels is None:
            missed.append(Miss(photo.image_id, True, "no face found in the bare photo that a mask would cover"))
        else:
            chunk.rows.append(row)
            chunk.pixels.append(pixels)
    return missed


def _embed_chunk(
    chunk: _Chunk, wanted: Sequence[Probe], recognisers: Mapping[str, Recogniser], results: dict[str, Embedded]
) -> None:
    for name, recogniser in recognisers.items():
        shared = shared_finder().seconds - spared_seconds()
        started = time.perf_counter()
        embeddings, found = recogniser.embed(chunk.pixels)
        elapsed = time.perf_counter() - started - (shared_finder().seconds - spared_seconds() - shared)
        embeddings, found = _checked(name, embeddings, found, len(chunk.rows))
        if name not in results:
            empty = np.zeros((len(wanted), embeddings.shape[1]), np.float32)
            results[name] = Embedded(empty, np.zeros(len(wanted), bool))
        answer = results[name]
        answer.embeddings[chunk.rows], answer.found[chunk.rows] = embeddings, found
        answer.seconds += elapsed
        for row in np.asarray(chunk.rows)[~found]:
            answer.misses.append(Miss(wanted[row].photo.image_id, wanted[row].masked, "no face found"))


def _checked(name: str, embeddings: np.ndarray, found: np.ndarray, photos: int) -> tuple[np.ndarray, np.ndarray]:
    """A recogniser's answer, if it is what the protocol of recognisers says; a user's own may not be."""
    embeddings, found = np.asarray(embeddings), np.asarray(found)
    if embeddings.ndim != 2 or len(embeddings) != photos or found.shape != (photos,):
        raise ModelError(
            f"{name}: embed({photos} photos) gave embeddings {embeddings.shape} and found {found.shape}; it takes "
            f"({photos}, D) and ({photos},)"
        )
    found = found.astype(bool)
    lengths = np.linalg.norm(embeddings[found], axis=1)
    if not np.allclose(lengths, 1, atol=1e-3):
        raise ModelError(f"{name}: embeddings must be finite and of length 1; lengths are up to {lengths.max():.3g}")
    return np.where(found[:, None], embeddings, 0).astype(np.float32), found
