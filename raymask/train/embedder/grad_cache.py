"""One training step over a global batch of any size: gradient caching (Gao et al. 2021, arXiv 2101.06983).

The loss needs the embeddings of the whole batch, but the network needs to remember only one chunk of it: embed every
chunk without remembering, work out the loss and its gradient by embedding, then embed each chunk again and send its
part of that gradient back. The last chunk is remembered the first time, so that a batch of one chunk is an ordinary
step.

Dropout draws from (seed, step, chunk), so the second pass repeats the first's draws, on any number of workers.
Shapes: B photos of this rank, S pixels a side, D values an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.train.embedder.objective import BatchLoss
from raymask.train.engine.distributed import all_sum

Loss = Callable[[Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, BatchLoss]]
"""(B, D) embeddings, (B,) identities, (B,) masked, (B, D) targets to the rank's share and the whole batch's loss."""


class Chunk(NamedTuple):
    """Photos that go through the network together."""

    place: int
    """Which of the batch's chunks it is."""
    crops: Tensor
    """(B, 3, S, S) uint8."""
    identities: Tensor
    """(B,) int64."""
    masked: Tensor
    """(B,) bool."""
    targets: Tensor | None = None
    """(B, D) float32, what teachers make of the bare photos; None without teachers."""


class StepResult(NamedTuple):
    """What a step found, equal on all ranks."""

    losses: BatchLoss
    spread: float
    """Mean squared distance between two embeddings of the batch, 0 to 4."""
    embeddings: Tensor
    """(B, D) of this rank, without gradient."""
    identities: Tensor
    masked: Tensor


def learn(
    network: MaskFaceNet,
    chunks: Sequence[Chunk],
    loss: Loss,
    *,
    seed: tuple[int, int],
    device: torch.device,
    precision: torch.dtype | None = None,
) -> StepResult:
    """Add the gradient of the whole batch's loss, this rank's share of it, to the network's parameters.

    Args:
        network: crops to embeddings, in training mode.
        chunks: this rank's, possibly none.
        seed: of the run, and the step's number.
        precision: the type of the convolutions under autocast; None for float32.
    """

    def embed(chunk: Chunk) -> Tensor:
        torch.manual_seed(_draw(*seed, chunk.place))
        with torch.autocast(device.type, precision or torch.bfloat16, enabled=precision is not None):
            embeddings = network(chunk.crops.to(device, non_blocking=True))
        return embeddings if embeddings.dtype == torch.float64 else embeddings.float()

    with torch.no_grad():
        outputs = [embed(chunk) for chunk in chunks[:-1]]
    outputs += [embed(chunk) for chunk in chunks[-1:]]
    leaves = [output.detach().requires_grad_() for output in outputs]
    whole = torch.cat(leaves) if leaves else _no_embeddings(network, device)
    identities, masked, targets = _joined(chunks, device)
    share, result = loss(whole, identities, masked, targets)
    share.backward()

    for output, leaf in zip(outputs[-1:], leaves[-1:], strict=True):
        output.backward(leaf.grad)
    del outputs
    for chunk, leaf in zip(chunks[:-1], leaves[:-1], strict=True):
        embed(chunk).backward(leaf.grad)
    whole = whole.detach()
    return StepResult(result, _spread(whole), whole, identities, masked)


def _no_embeddings(network: MaskFaceNet, device: torch.device) -> Tensor:
    """(0, D) of the type that the other ranks' embeddings have, for all of them are gathered."""
    dtype = torch.float64 if next(network.parameters()).dtype == torch.float64 else torch.float32
    return torch.zeros(0, network.config.embedding_size, dtype=dtype, device=device, requires_grad=True)


def _draw(seed: int, step: int, chunk: int) -> int:
    return int(np.random.SeedSequence([seed, step, chunk]).generate_state(1, np.uint64)[0] >> 1)


def _joined(chunks: Sequence[Chunk], device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    if not chunks:
        return torch.zeros(0, dtype=torch.int64, device=device), torch.zeros(0, dtype=torch.bool, device=device), None
    identities = torch.cat([chunk.identities for chunk in chunks]).to(device)
    masked = torch.cat([chunk.masked for chunk in chunks]).to(device)
    taught = [chunk.targets for chunk in chunks if chunk.targets is not None]
    return identities, masked, torch.cat(taught).to(device) if taught else None


def _spread(embeddings: Tensor) -> float:
    """Mean squared distance between two rows of all ranks, normalised: 2 (1 - |mean row|^2), a row with itself too."""
    count = embeddings.new_tensor([len(embeddings)])
    total = all_sum(torch.cat([F.normalize(embeddings, dim=1).sum(0), count]))
    mean = total[:-1] / total[-1].clamp(min=1)
    return float(2 * (1 - mean.square().sum()))
