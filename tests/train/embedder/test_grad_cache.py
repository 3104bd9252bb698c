"""Gradient caching: the gradient of one pass over the whole batch, in chunks, and in the memory of a chunk."""

import copy
import subprocess
import sys
from functools import partial

import pytest
import torch

from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.train.embedder.grad_cache import Chunk, learn
from raymask.train.embedder.objective import Objective
from raymask.train.engine.config import LoopConfig, LossConfig
from raymask.train.engine.distributed import GhostBatchNorm, prepare_batch_norm, settle_statistics

LOSS = partial(Objective(LoopConfig(data="none", loss=LossConfig(mining="all"))), epoch=0)
CPU = torch.device("cpu")


def batch(count: int = 24):
    generator = torch.Generator().manual_seed(1)
    crops = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    identities = torch.arange(count) % 4
    masked = torch.arange(count) % 3 == 0
    return crops, identities, masked


def chunked(count: int, chunks: int) -> list[Chunk]:
    crops, identities, masked = batch(count)
    return [Chunk(n, crops[n::chunks], identities[n::chunks], masked[n::chunks]) for n in range(chunks)]


def network(dropout: float) -> MaskFaceNet:
    torch.manual_seed(0)
    config = MaskFaceNetConfig(backbone="resnet18", input_size=32, embedding_size=16, dropout=dropout)
    return MaskFaceNet(config).double()


def gradients(net: MaskFaceNet) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in net.named_parameters()}


def plain(net: MaskFaceNet, chunks: list[Chunk], seed: tuple[int, int]) -> tuple[float, dict[str, torch.Tensor]]:
    """Everything remembered at once: the same chunks forward, then one backward."""
    from raymask.train.embedder.grad_cache import _draw

    outputs = []
    for chunk in chunks:
        torch.manual_seed(_draw(*seed, chunk.place))
        outputs.append(net(chunk.crops))
    loss, _ = LOSS(
        torch.cat(outputs),
        torch.cat([chunk.identities for chunk in chunks]),
        torch.cat([chunk.masked for chunk in chunks]),
        None,
    )
    loss.backward()
    return loss.item(), gradients(net)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("chunks", [1, 3, 5])
def test_value_and_gradient_equal_the_plain_steps_dropout_included(chunks, dropout):
    parts = chunked(24, chunks)
    net, twin = network(dropout).train(), network(dropout).train()
    prepare_batch_norm(net, chunked=True)
    prepare_batch_norm(twin, chunked=True)
    result = learn(net, parts, LOSS, seed=(3, 7), device=CPU)
    loss, wanted = plain(twin, parts, (3, 7))
    assert result.losses["quintuplets"].value == pytest.approx(loss, rel=1e-12)
    assert result.losses["quintuplets"].totals["active"] > 0
    for name, gradient in gradients(net).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-9, atol=1e-12, msg=lambda m: f"{name}: {m}")  # noqa: B023


def test_running_statistics_move_once_a_step_by_the_mean_over_chunks():
    net = network(0).train()
    layer = net.backbone.bn1
    prepare_batch_norm(net, chunked=True)
    assert isinstance(layer, GhostBatchNorm)
    parts = chunked(24, 3)
    twin = copy.deepcopy(net)
    learn(net, parts, LOSS, seed=(0, 0), device=CPU)
    settle_statistics(net, 3)
    means = []
    for part in parts:
        scaled = (part.crops.double() - twin.mean) / twin.std
        means.append(twin.backbone.conv1(scaled).mean((0, 2, 3)))
    torch.testing.assert_close(layer.running_mean, 0.1 * torch.stack(means).mean(0), rtol=1e-6, atol=1e-9)
    assert layer.num_batches_tracked == 1
    assert layer.mean_sum.abs().max() == 0


def test_a_rank_without_a_chunk_adds_nothing():
    net = network(0).train()
    result = learn(net, [], LOSS, seed=(0, 0), device=CPU)
    lost = result.losses["quintuplets"]
    assert (lost.value, lost.totals["valid"], lost.totals["active"]) == (0, 0, 0)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_spread_is_the_mean_squared_distance_between_embeddings():
    net = network(0).train()
    result = learn(net, chunked(24, 1), LOSS, seed=(0, 0), device=CPU)
    rows = torch.nn.functional.normalize(result.embeddings, dim=1)
    assert result.spread == pytest.approx(torch.cdist(rows, rows).square().mean().item(), rel=1e-6)


PEAK = r"""
import re, sys, torch
sys.path.insert(0, {folder!r})
import test_grad_cache as t
torch.set_num_threads(1)
net = t.MaskFaceNet(t.MaskFaceNetConfig(backbone="resnet18", input_size=112, embedding_size=16, dropout=0.5)).train()
t.prepare_batch_norm(net, chunked=True)
count, chunks = int(sys.argv[1]), int(sys.argv[2])
g = torch.Generator().manual_seed(0)
parts = [t.Chunk(n, torch.randint(0, 256, (count // chunks, 3, 112, 112), dtype=torch.uint8, generator=g),
    torch.arange(count // chunks) % 4, torch.arange(count // chunks) % 3 == 0) for n in range(chunks)]
t.learn(net, parts, t.LOSS, seed=(0, 0), device=t.CPU)
print(int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1]) / 1024)  # rusage counts the parent's
"""


@pytest.mark.faults
def test_a_batch_six_times_as_large_takes_no_more_memory_than_its_pixels():
    def peak(count: int, chunks: int) -> float:
        script = PEAK.format(folder=__file__.rsplit("/", 1)[0])
        command = [sys.executable, "-c", script, str(count), str(chunks)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    small, cached, remembered = peak(12, 1), peak(72, 6), peak(72, 1)
    pixels = 60 * 3 * 112 * 112 / 2**20
    assert cached - small < pixels + 60  # MiB; beside the pixels, what an allocator leaves in between
    assert remembered - small > 4 * (cached - small)
