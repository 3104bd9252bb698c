"""Before the first step of a training that begins with weights: what can be computed need not be learned.

Each normalisation takes over the statistics of these faces and goes on making the same of them, so that the network in
training, which normalises by the batch, begins as the network that was known. And a linear last layer begins with the
least squares of what the teachers make of the faces.

Shapes: B faces of this rank, C channels, D values of all teachers' embeddings together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.progress import Progress
from raymask.train.embedder.loader import Batch
from raymask.train.engine.distributed import World, all_sum, from_first_rank

FIRST_BATCHES = 32
"""That a last layer is fitted to."""

_STATISTICS = 256
"""Photos of all ranks that give a normalisation its first statistics, at most; they go through the network at once."""

_RIDGE = 0.01
"""Penalty of its weights, in mean squares of a channel."""


@torch.no_grad()
def fit_statistics(network: MaskFaceNet, batch: Batch, device: torch.device) -> None:
    """Express each of the backbone's normalisations by the statistics of a batch of all ranks, of some of each chunk if
    it is large; in use it stays the function that it was."""

    def adopt(layer: nn.Module, given: tuple[Any, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean, variance = _statistics(given[0].float())
        factor = layer.weight / (layer.running_var + layer.eps).sqrt()
        layer.bias.add_(factor * (mean - layer.running_mean))
        layer.weight.copy_(factor * (variance + layer.eps).sqrt())
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)

    layers = [layer for layer in network.backbone.modules() if isinstance(layer, _BatchNorm)]
    hooks = [layer.register_forward_pre_hook(adopt) for layer in layers]
    network.eval()
    size = network.config.input_size
    nobody = torch.zeros(0, 3, size, size, dtype=torch.uint8)  # a rank without photos adds nothing, and adds it too
    most = max(1, _STATISTICS // batch.all_chunks)
    network.pooled(torch.cat([nobody, *(chunk.crops[:most] for chunk in batch.chunks)]).to(device))
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def fit_last(
    network: MaskFaceNet, batches: Iterable[Batch], *, photos: int, device: torch.device, precision: torch.dtype | None
) -> None:
    """Give the last layer the weights by which what the backbone makes of these faces comes closest to what the
    teachers make of them without masks, in least squares.

    Args:
        network: with a linear head.
        batches: of this rank, with targets.
        photos: of all ranks in all batches.
        precision: of the convolutions under autocast; None for float32.
    """
    network.eval()
    size, channels = network.last.weight.shape
    squares = torch.zeros(channels, channels + size, dtype=torch.float64, device=device)
    quiet = (lambda line: None) if World.current().rank else None
    with Progress("first fit", total=photos, unit="photos", write=quiet) as progress:
        for batch in batches:
            for chunk in batch.chunks:
                assert chunk.targets is not None
                with torch.autocast(device.type, precision or torch.bfloat16, enabled=precision is not None):
                    seen = network.pooled(chunk.crops.to(device)).double()
                squares += seen.T @ torch.cat([seen, chunk.targets.to(seen)], dim=1)
            progress.add(batch.photos)
    own, shared = all_sum(squares).split([channels, size], dim=1)
    own.diagonal().add_(_RIDGE * own.diagonal().mean())
    network.last.weight.copy_(from_first_rank(torch.linalg.solve(own, shared).T.contiguous()))


def _statistics(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance by channel of (B, C, H, W) of all ranks."""
    axes, shape = (0, 2, 3), (1, -1, 1, 1)
    sums = all_sum(torch.cat([seen.sum(axes), seen.new_tensor([seen.numel() / seen.shape[1]])]))
    mean = sums[:-1] / sums[-1]
    return mean, all_sum((seen - mean.view(shape)).square().sum(axes)) / sums[-1]
