"""How well a network in training tells people apart whom it has not seen: rank-1 over the validation crops."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from raymask.data.augment.embedder_views import Dressing, FreshFaces
from raymask.data.reading.joined import Data
from raymask.data.reading.sampler import BatchPhoto
from raymask.data.reading.validation import validation_store
from raymask.faces.alignment import Alignment
from raymask.progress import Progress
from raymask.train.engine.config import LoopConfig
from raymask.train.engine.distributed import World, gather


@functools.cache
def _faces(data: Data, alignment: Alignment | None) -> FreshFaces | None:
    """The validation split in the masks that it was prepared with, as the network sees it."""
    store = validation_store(data)
    return None if store is None else FreshFaces(store, Dressing(alignment=alignment), quiet=True)


@torch.no_grad()
def validation_accuracy(config: LoopConfig, network: nn.Module, world: World, device: torch.device) -> dict[str, float]:
    """Share of validation photos, bare and masked, whose nearest other bare photo is of the same person.

    Returns:
        `val_bare` and `val_masked`, 0 to 1; empty if nobody in a validation split has two photos, or it is off.
    """
    table = validation_store(config.data)
    if table is None or not config.validation_photos:
        return {}
    rows = torch.from_numpy(evenly(table.identities, config.validation_photos))
    if not len(rows):
        return {}
    identities = torch.from_numpy(table.identities)[rows]
    quiet = (lambda line: None) if world.rank else None
    with Progress("validation", total=2 * len(rows), unit="photos", closing=False, write=quiet) as progress:
        bare, masked = (_embed(config, network, rows, dress, world, device, progress) for dress in (False, True))
    return {
        "val_bare": _rank1(bare, bare, identities),
        "val_masked": _rank1(masked, bare, identities),
    }


def evenly(identities: np.ndarray, count: int) -> np.ndarray:
    """Up to `count` rows, sorted, as equal a number of each person as there are photos for, and two at least.

    The first rows instead would be a few people by name, and one with hundreds of photos would make up most of them.
    People with one photo are left out, for nothing can be found for it; too many others are thinned out.

    Args:
        identities: (N,) whole numbers, equal for photos of one person.
    """
    people, counts = np.unique(identities, return_counts=True)
    people = people[counts >= 2]
    most = min(len(people), count // 2)
    people = people[np.arange(most) * len(people) // max(1, most)]
    rows = np.flatnonzero(np.isin(identities, people))
    rows = rows[np.argsort(identities[rows], kind="stable")]
    _, starts, counts = np.unique(identities[rows], return_index=True, return_counts=True)
    turn = np.arange(len(rows)) - np.repeat(starts, counts)  # a person's first photo, second photo, ...
    return np.sort(rows[np.argsort(turn, kind="stable")[:count]])


def _embed(
    config: LoopConfig,
    network: nn.Module,
    rows: Tensor,
    masked: bool,
    world: World,
    device: torch.device,
    progress: Progress,
) -> Tensor:
    """(N, D) normalised embeddings of the rows, worked out by all ranks together."""
    network.eval()
    faces = _faces(config.data, None if config.model.alignment == "box" else config.model.alignment)
    assert faces is not None
    own = rows.tensor_split(world.size)[world.rank]
    parts = []
    for chunk in own.split(60):
        shots = [BatchPhoto(int(row), masked) for row in chunk]
        pixels = faces.pixels(shots, config.model.input_size, np.zeros(len(shots), np.int64))
        crops = torch.from_numpy(pixels).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            parts.append(network(crops).float())
        progress.add(len(shots) * world.size)  # the others are about as far
    mine = torch.cat(parts) if parts else torch.zeros(0, config.model.embedding_size, device=device)
    return normalize(gather(mine)[0], dim=1).cpu()


def _rank1(probes: Tensor, gallery: Tensor, identities: Tensor) -> float:
    """Share of probes whose nearest gallery row, their own photo's left out, has their identity."""
    similarity = (probes @ gallery.T).fill_diagonal_(-torch.inf)
    return float((identities[similarity.argmax(1)] == identities).float().mean())
