"""One batch over all workers, in real gloo processes: any number, uneven shards, the same loss and gradients."""

from functools import partial

import pytest
import torch
from support.ranks import on_ranks

from raymask.losses.quintuplet import quintuplet_loss
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.train.embedder.grad_cache import Chunk, learn
from raymask.train.embedder.loader import cut
from raymask.train.embedder.objective import Objective
from raymask.train.embedder.terms.quintuplets import global_quintuplet_loss
from raymask.train.engine.config import DistilConfig, LoopConfig, LossConfig, SoftmaxConfig
from raymask.train.engine.distributed import (
    World,
    prepare_batch_norm,
    settle_statistics,
    sum_gradients,
)

SHARDS = {1: [14], 2: [9, 5], 3: [2, 12, 0]}
RULES = ["all", "semihard", "hardest"]


def photos():
    """14 photos of four people, ragged: crops (14, 3, 32, 32) uint8, identities, masked."""
    generator = torch.Generator().manual_seed(1)
    identities = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3])
    masked = torch.tensor([0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0]).bool()
    crops = torch.randint(0, 256, (14, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return crops, identities, masked


def network(dropout: float = 0) -> MaskFaceNet:
    torch.manual_seed(0)
    return MaskFaceNet(
        MaskFaceNetConfig(backbone="resnet18", input_size=32, embedding_size=16, dropout=dropout)
    ).double()


def work(rank: int, size: int, folder: str) -> None:
    """One rank: each rule on its shard at once, and a step in chunks; rank 0 saves what they come to."""
    found = {rule: at_once(rule, rank, size) for rule in RULES} | {"in chunks": in_chunks()}
    if rank == 0:
        torch.save(found, f"{folder}/{size}.pt")


def at_once(rule: str, rank: int, size: int) -> dict[str, torch.Tensor]:
    crops, identities, masked = (part.split(SHARDS[size])[rank] for part in photos())
    net = network().train()
    prepare_batch_norm(net, chunked=False)
    share, result = global_quintuplet_loss(
        net(crops), identities, masked, margin=0.2, mining=rule, distance="squared_euclidean"
    )
    share.backward()
    sum_gradients(net)
    return state(net) | {"counts": torch.stack([result.valid, result.active]), "loss": result.loss}


def in_chunks() -> dict[str, torch.Tensor]:
    """A step over a batch in two chunks, so that of three workers one has none; quintuplets beside two teachers."""
    crops, identities, masked = photos()
    targets = torch.randn(14, 2, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    targets = torch.nn.functional.normalize(targets, dim=2).flatten(1)
    own, count = cut(range(14), 7, World.current())
    chunks = [Chunk(n, crops[places], identities[places], masked[places], targets[places]) for n, places in own.items()]
    net = network(dropout=0.5).train()
    config = LoopConfig(
        data="none",
        teachers=("dlib", "dlib"),
        model=MaskFaceNetConfig(embedding_size=16, parts=2),
        loss=LossConfig(mining="all"),
        distil=DistilConfig(contrast=0.5),
        softmax=SoftmaxConfig(weight=0.5),
    )
    objective = Objective(config, people=4).double()
    prepare_batch_norm(net, chunked=True)
    loss = partial(objective, epoch=0)
    lost = learn(net, chunks, loss, seed=(0, 5), device=torch.device("cpu")).losses
    sum_gradients(net)
    sum_gradients(objective)
    settle_statistics(net, count)
    assert list(lost) == ["quintuplets", "pull", "contrast", "softmax"]
    losses = torch.tensor([one.value for one in lost.values()], dtype=torch.float64)
    counts = torch.tensor([lost["quintuplets"].totals[name] for name in ("valid", "active")])
    found = {"counts": counts, "loss": losses, "people": objective.terms["softmax"].people.grad}
    return state(net) | found


def state(net: MaskFaceNet) -> dict[str, torch.Tensor]:
    gradients = {f"grad {name}": parameter.grad for name, parameter in net.named_parameters()}
    return gradients | {f"buffer {name}": buffer for name, buffer in net.named_buffers()}


@pytest.fixture(scope="module")
def by_one() -> dict[str, dict[str, torch.Tensor]]:
    """The same on one worker, without a process group; whole batches by torch's own layer and the loss alone."""
    crops, identities, masked = photos()
    found = {"in chunks": in_chunks()}
    for rule in RULES:
        net = network().train()
        result = quintuplet_loss(net(crops), identities, masked, margin=0.2, mining=rule)
        result.loss.backward()
        counts = torch.stack([result.valid, result.active])
        found[rule] = state(net) | {"counts": counts, "loss": result.loss.detach()}
    return found


@pytest.mark.parametrize("size", [1, 2, 3])
def test_loss_gradients_and_statistics_equal_one_worker_on_the_union(size, by_one, tmp_path):
    on_ranks(size, work, size, str(tmp_path))
    found = torch.load(tmp_path / f"{size}.pt", weights_only=True)
    for way in [*RULES, "in chunks"]:
        assert by_one[way]["counts"][1] > 0
        assert found[way].keys() == by_one[way].keys()
        for name, wanted in by_one[way].items():
            torch.testing.assert_close(
                found[way][name],
                wanted,
                rtol=1e-7,
                atol=1e-10,
                msg=lambda m: f"{way}, {name}: {m}",  # noqa: B023
            )
        gradients = [value.abs().max() for name, value in by_one[way].items() if name.startswith("grad")]
        assert max(gradients) > 1e-4
