"""Batches for the loop: each rank's chunks, decoded ahead of the training in threads (decoding frees Python's lock)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from raymask.data.augment.embedder_views import FreshFaces
from raymask.data.reading.crops import Crops
from raymask.data.reading.sampler import BatchPhoto, PKSampler, rank_slice
from raymask.train.embedder.grad_cache import Chunk
from raymask.train.embedder.teacher_targets import Told
from raymask.train.engine.config import LoopConfig
from raymask.train.engine.distributed import World

_AHEAD = 2
"""Batches that are being loaded while one is trained on."""

_PIECE = 32
"""Photos that a thread decodes at a time."""


class Batch(NamedTuple):
    """A global batch as one rank sees it."""

    chunks: list[Chunk]
    """This rank's."""
    rows: list[np.ndarray]
    """Of each of them, (B,) int64: which of the store's photos it holds."""
    all_chunks: int
    """Chunks of all ranks."""
    photos: int
    """Photos of all ranks."""


def cut(batch: Sequence[object], chunk: int | None, world: World) -> tuple[dict[int, list[int]], int]:
    """Which places of a batch each of this rank's chunks takes, by the chunk's number, and the number of all chunks.

    With `chunk` photos or fewer in each, members are the same on any number of workers: chunk i of n takes every nth
    shot, so that each holds photos of most people. Without, each worker's share is one chunk.
    """
    places: Sequence[int] = range(len(batch))
    if chunk is None:
        return {world.rank: list(rank_slice(places, world.rank, world.size))}, world.size
    count = -(-len(batch) // chunk)
    return {number: list(places[number::count]) for number in range(world.rank, count, world.size)}, count


def batches(
    config: LoopConfig,
    store: Crops,
    sampler: PKSampler,
    *,
    epoch: int,
    start: int,
    steps: int | None = None,
    world: World,
    device: torch.device,
    faces: FreshFaces | None = None,
    targets: Told | None = None,
) -> Iterator[Batch]:
    """This rank's part of each batch of an epoch from step `start` on; `steps`: how many at most; `faces`: makes what
    the network sees, None: the crops as they were prepared; `targets`: of the teachers, if there are any."""
    threads = torch.get_num_threads() if device.type == "cuda" else 1  # a CPU that trains has none to spare
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="crops")
    try:
        todo = range(start, sampler.steps)[:steps]
        waiting = [_submit(pool, config, store, sampler, epoch, step, world, device, faces) for step in todo[:_AHEAD]]
        for step in todo:
            batch, pieces = waiting.pop(0)
            if step + _AHEAD < todo.stop:
                waiting.append(_submit(pool, config, store, sampler, epoch, step + _AHEAD, world, device, faces))
            for piece in pieces:
                piece.result()
            yield batch if targets is None else _taught(batch, targets)
    finally:
        pool.shutdown(cancel_futures=True)  # whoever leaves in the middle waits for no faces that nobody will see


def _taught(batch: Batch, targets: Told) -> Batch:
    """With what the teachers make of its photos."""
    pairs = zip(batch.chunks, batch.rows, strict=True)
    chunks = [chunk._replace(targets=targets(rows, chunk.masked)) for chunk, rows in pairs]
    return batch._replace(chunks=chunks)


def _submit(
    pool: ThreadPoolExecutor,
    config: LoopConfig,
    store: Crops,
    sampler: PKSampler,
    epoch: int,
    step: int,
    world: World,
    device: torch.device,
    faces: FreshFaces | None,
) -> tuple[Batch, list[Future[None]]]:
    """A batch whose crops are filled in by the pool, and what to wait for."""
    shots = sampler.batch(epoch, step)
    mirrored = np.random.default_rng([config.seed, epoch, step]).random(len(shots)) < (0.5 if config.flip else 0)
    draws = np.random.default_rng([config.seed, epoch, step, 3]).integers(2**31, size=len(shots))
    size = config.model.input_size
    chunks, rows_of, pieces = [], [], []
    own, count = cut(shots, config.chunk, world)
    for number, places in own.items():
        crops = torch.empty((len(places), 3, size, size), dtype=torch.uint8, pin_memory=device.type == "cuda")
        for start in range(0, len(places), _PIECE):
            part = places[start : start + _PIECE]
            target = crops.numpy()[start : start + _PIECE]
            taken = [shots[place] for place in part]
            pieces.append(pool.submit(_fill, target, store, taken, mirrored[part], faces, draws[part]))
        rows = np.array([shots[place].row for place in places], dtype=np.int64)
        masked = torch.tensor([shots[place].masked for place in places], dtype=torch.bool)
        chunks.append(Chunk(number, crops, torch.from_numpy(store.identities[rows]), masked))
        rows_of.append(rows)
    return Batch(chunks, rows_of, count, len(shots)), pieces


def _fill(
    target: np.ndarray,
    store: Crops,
    shots: list[BatchPhoto],
    mirrored: np.ndarray,
    faces: FreshFaces | None,
    draws: np.ndarray,
) -> None:
    """Decode shots into (B, 3, S, S) `target`."""
    size = target.shape[-1]
    pixels = store.pixels(shots, size) if faces is None else faces.pixels(shots, size, draws)
    pixels[mirrored] = pixels[mirrored][..., ::-1]
    target[:] = pixels
