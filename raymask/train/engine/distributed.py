"""One batch over all workers: embeddings gathered with gradient, batch normalisation over all photos.

Everything works without a process group too, as one worker. Shapes: B photos of this rank, G of all ranks, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from raymask.errors import ConfigError, DataError, ModelError, UnsavedError

Made = TypeVar("Made")


class World(NamedTuple):
    """This worker's place among all."""

    rank: int
    size: int

    @classmethod
    def current(cls) -> World:
        """From the process group, or a world of one."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls(0, 1)


def on_any_rank(mine: bool, device: torch.device) -> bool:
    """Whether it is so on any rank; called on all."""
    if World.current().size == 1:
        return mine
    return bool(all_sum(torch.tensor([int(mine)], device=device)))


def save_on_first_rank(save: Callable[[Any], object], state: Callable[[], Any], device: torch.device) -> None:
    """Have the first rank keep what `state` gives; called on all.

    Raises:
        UnsavedError: it could not, on all ranks.
    """
    failure = None
    if World.current().rank == 0:
        try:
            save(state())
        except DataError as error:
            failure = error
    if on_any_rank(failure is not None, device):
        raise UnsavedError(str(failure or "the first worker could not keep a checkpoint"))


def on_all_ranks(make: Callable[[], Made]) -> Made:
    """What `make` gives on this rank, if it gives something on every rank; else all ranks end, so that none waits.

    Raises:
        ModelError: it raised that, or ConfigError, on some rank; what it said there.
    """
    made, failure = None, ""
    try:
        made = make()
    except (ConfigError, ModelError) as error:
        failure = str(error)
    failures: list[str | None] = [failure]
    if World.current().size > 1:
        failures = [None] * World.current().size
        dist.all_gather_object(failures, failure)
    said = next(filter(None, failures), None)
    if said is not None or made is None:
        raise ModelError(said or failure)
    return made


class _Gather(torch.autograd.Function):
    """All ranks' rows in order of rank; the gradient of a row goes back to its rank, summed over all ranks."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        most = max(counts)
        padded = rows.new_zeros((most, *rows.shape[1:]))
        padded[: len(rows)] = rows
        received = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(received, padded)
        return torch.cat([part[:count] for part, count in zip(received, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].contiguous()
        dist.all_reduce(grad)
        start = sum(ctx.counts[: dist.get_rank()])
        return grad[start : start + ctx.counts[dist.get_rank()]], None


def gather(rows: Tensor) -> tuple[Tensor, int]:
    """Rows of all ranks, (G, ...), in order of rank, and where this rank's own begin; shards may be uneven."""
    world = World.current()
    if world.size == 1:
        return rows, 0
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world.size)]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    sizes = [int(count) for count in counts]
    return _Gather.apply(rows, sizes), sum(sizes[: world.rank])


def all_sum(value: Tensor) -> Tensor:
    """The sum over all ranks, without gradient."""
    total = value.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(total)
    return total


def from_first_rank(value: Tensor) -> Tensor:
    """The first rank's, so that what each has computed by itself is the same to the last digit."""
    if World.current().size > 1:
        dist.broadcast(value, 0)
    return value


class _Normalise(torch.autograd.Function):
    """Batch normalisation with the statistics of all ranks' photos, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes, shape = _axes_and_shape(x)
        wide = _wide(x)
        sums = torch.cat([wide.sum(axes), wide.new_tensor([x.numel() / x.shape[1]])])
        dist.all_reduce(sums)
        count = sums[-1]
        mean = sums[:-1] / count
        squares = (wide - mean.view(shape)).square().sum(axes)  # about the mean: E[x^2] - mean^2 would cancel
        dist.all_reduce(squares)
        variance = squares / count
        scale = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, scale, count)
        result = (wide - mean.view(shape)) * (scale * weight).view(shape) + bias.view(shape)
        ctx.mark_non_differentiable(mean, variance, count)
        return result.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, scale, count = ctx.saved_tensors
        axes, shape = _axes_and_shape(x)
        grad = _wide(grads[0])
        centred = (_wide(x) - mean.view(shape)) * scale.view(shape)
        bias_grad, weight_grad = grad.sum(axes), (grad * centred).sum(axes)
        sums = torch.stack([bias_grad, weight_grad])
        dist.all_reduce(sums)
        mean_grad, mean_product = (sums / count).unbind()
        x_grad = (grad - mean_grad.view(shape) - centred * mean_product.view(shape)) * (scale * weight).view(shape)
        return x_grad.to(x.dtype), weight_grad, bias_grad, None


def _wide(x: Tensor) -> Tensor:
    """Half precision as float32: sums over a batch need the digits."""
    return x if x.dtype == torch.float64 else x.float()


def _axes_and_shape(x: Tensor) -> tuple[list[int], list[int]]:
    """All axes but the channels, and the shape that broadcasts (C,) over `x`."""
    return [axis for axis in range(x.ndim) if axis != 1], [1, -1] + [1] * (x.ndim - 2)


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over all ranks' photos; torch's SyncBatchNorm does the same, on GPUs only."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C) or (B, C, H, W), normalised over all axes but C and over all ranks in training."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        result, mean, variance, count = _Normalise.apply(input, self.weight, self.bias, self.eps)
        with torch.no_grad():
            momentum = self.momentum if self.momentum is not None else 1 / (int(self.num_batches_tracked) + 1)
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), momentum)
        return result

    def _check_input_dim(self, input: Tensor) -> None:
        pass


class GhostBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation of each chunk of a batch by itself; nothing passes between workers until the step's end.

    The running statistics move once a step, by the mean over all chunks (`settle_statistics`), so that they are the
    same on any number of workers. A pass without gradient, gradient caching's first, leaves them alone.
    """

    mean_sum: Tensor
    var_sum: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """(B, C) or (B, C, H, W), normalised over all axes but C in training."""
        if not self.training:
            return super().forward(input)
        mean = var = None
        if torch.is_grad_enabled():
            mean, var = torch.zeros_like(self.mean_sum), torch.zeros_like(self.var_sum)
        # With momentum 1 the layer's kernel leaves the chunk's own statistics, which would else take another pass.
        result = F.batch_norm(input, mean, var, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
        if mean is not None and var is not None:
            self.mean_sum += mean
            self.var_sum += var
        return result

    def _check_input_dim(self, input: Tensor) -> None:
        pass


def prepare_batch_norm(network: nn.Module, *, chunked: bool) -> None:
    """Choose how `network` normalises in training, in place, sharing parameters and statistics.

    A batch in chunks: each chunk by itself. Whole batches: over all workers' photos (torch's own layer for one worker).
    """
    for part in network.modules():
        if not isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        if chunked:
            part.__class__ = GhostBatchNorm  # type: ignore[assignment]  # same fields, another forward
            for name in ("mean_sum", "var_sum"):
                part.register_buffer(name, torch.zeros_like(part.running_mean), persistent=False)  # type: ignore[arg-type]
        elif World.current().size > 1:
            part.__class__ = GlobalBatchNorm  # type: ignore[assignment]


@torch.no_grad()
def settle_statistics(network: nn.Module, chunks: int) -> None:
    """Move the running statistics of all GhostBatchNorms by the mean over a step's `chunks` on all ranks."""
    layers = [part for part in network.modules() if isinstance(part, GhostBatchNorm)]
    if not layers:
        return
    sums = [total for layer in layers for total in (layer.mean_sum, layer.var_sum)]
    means = all_sum(torch.cat(sums)).div_(chunks).split([len(total) for total in sums])
    for layer, mean, var in zip(layers, means[::2], means[1::2], strict=True):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        assert layer.num_batches_tracked is not None
        layer.num_batches_tracked += 1
        momentum = layer.momentum if layer.momentum is not None else 1 / int(layer.num_batches_tracked)
        layer.running_mean.lerp_(mean, momentum)
        layer.running_var.lerp_(var, momentum)
        layer.mean_sum.zero_()
        layer.var_sum.zero_()


def sum_gradients(network: nn.Module) -> None:
    """Add up every parameter's gradient over all ranks, as one message."""
    if World.current().size == 1:
        return
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad and parameter.numel()]
    if not parameters:
        return
    flat = torch.cat(
        [
            (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).flatten()
            for parameter in parameters
        ]
    )
    dist.all_reduce(flat)
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        parameter.grad.copy_(part.view_as(parameter))
