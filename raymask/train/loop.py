"""The training loop: plain torch, alone or in any process group; Ray Train, torchrun or a notebook call `train`.

Shapes: B photos of this rank's slice of a batch, S pixels a side, D values an embedding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raymask.data.crops import CropTable
from raymask.data.sampler import PKSampler, Shot, rank_slice
from raymask.errors import DataError, TrainingError
from raymask.models.embedder import MaskFaceNet
from raymask.progress import Progress
from raymask.train.config import LoopConfig
from raymask.train.distributed import World, global_quintuplet_loss, globalise_batch_norm
from raymask.train.validate import validation_accuracy

State = dict[str, Any]
"""What a checkpoint holds: config, epoch (epochs done), model, optimiser; tensors, numbers and strings only."""

Report = Callable[[dict[str, float], State], None]
"""Called on every rank after each epoch with its metrics and the state to keep."""


@dataclass
class Tally:
    """What an epoch's steps add up to."""

    hinges: float = 0.0
    active: int = 0
    valid: int = 0
    photos: int = 0
    empty_steps: int = 0
    """Steps without a single active quintuplet, which taught nothing."""

    def add(self, loss: float, valid: int, active: int, photos: int) -> None:
        self.hinges += loss * active
        self.active += active
        self.valid += valid
        self.photos += photos
        self.empty_steps += active == 0

    @property
    def loss(self) -> float:
        """Mean hinge over the epoch's active quintuplets."""
        return self.hinges / max(1, self.active)


def train(
    config: LoopConfig, *, report: Report, resume: State | None = None, device: torch.device | None = None
) -> MaskFaceNet:
    """Train a MaskFaceNet, or train it further from a checkpoint's state.

    In a process group every rank calls this and takes its slice of each batch; the result is that of one worker on
    the whole batches, dropout's draws apart.

    Args:
        config: what to compute.
        report: called after each epoch.
        resume: the state of a checkpoint of these settings, if any.
        device: where to compute; the CPU if not said.

    Raises:
        DataError: no prepared faces, or a state that was trained with other settings.
        TrainingError: the loss is no longer a number.
    """
    world, device = World.current(), device or torch.device("cpu")
    table = CropTable(config.data, "train")
    sampler = PKSampler(table.identities.tolist(), config.batch, seed=config.seed)
    if world.rank == 0:
        print(
            f"training on {len(table):,} photos of {len(table.people):,} people, {sampler.steps:,} steps an epoch",
            flush=True,
        )
    torch.manual_seed(config.seed)
    network = MaskFaceNet(config.model)
    start = _resume(network, config, resume)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    model = distribute(network, world)
    if world.rank == 0:
        print(f"{config.model.backbone} is ready on {world.size} worker{'s' * (world.size > 1)}", flush=True)
    optimiser = torch.optim.SGD(
        network.parameters(), lr=1.0, momentum=config.optimiser.momentum, weight_decay=config.optimiser.weight_decay
    )
    if resume is not None:
        optimiser.load_state_dict(resume["optimiser"])

    for epoch in range(start, config.epochs):
        torch.manual_seed(config.seed * 1_000_003 + epoch * world.size + world.rank)  # dropout differs by rank
        began = time.monotonic()
        tally = _epoch(config, epoch, model, optimiser, table, sampler, world, device)
        seconds = time.monotonic() - began
        metrics = {
            "epoch": epoch + 1,
            "loss": tally.loss,
            "valid": tally.valid,
            "active": tally.active,
            "empty_steps": tally.empty_steps,
            "photos_per_second": tally.photos / seconds,
            **validation_accuracy(config, network, world, device),
        }
        if not math.isfinite(metrics["loss"]):
            raise TrainingError(f"the loss became {tally.loss} in epoch {epoch + 1}; lower --optimiser.learning-rate")
        report(metrics, _state(network, optimiser, config, epoch + 1))
    return network


def _epoch(
    config: LoopConfig,
    epoch: int,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    table: CropTable,
    sampler: PKSampler,
    world: World,
    device: torch.device,
) -> Tally:
    """One pass over the training photos."""
    model.train()
    tally = Tally()
    batches = sampler.epoch(epoch)
    total = sum(len(batch) for batch in batches)
    quiet = (lambda line: None) if world.rank else None
    with Progress(f"epoch {epoch + 1}/{config.epochs}", total=total, unit="photos", write=quiet) as progress:
        for step, (crops, identities, masked, size) in enumerate(_loaded(config, epoch, batches, table, world, device)):
            for group in optimiser.param_groups:
                group["lr"] = config.optimiser.rate(epoch, epoch * sampler.steps + step)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                embeddings = model(crops)
            share, result = global_quintuplet_loss(
                embeddings.float(),
                identities,
                masked,
                margin=config.loss.margin,
                mining=config.loss.rule(epoch),
                distance=config.loss.distance,
            )
            optimiser.zero_grad()
            (share * world.size).backward()  # data parallelism averages over ranks; the loss is a sum over them
            optimiser.step()
            tally.add(result.loss.item(), int(result.valid), int(result.active), size)
            progress.add(size, f"loss {tally.loss:.4f}, {result.active.item():,} active quintuplets")
    return tally


def _loaded(
    config: LoopConfig, epoch: int, batches: list[list[Shot]], table: CropTable, world: World, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
    """This rank's slice of each batch as (B, 3, S, S) uint8, (B,) identities, (B,) masked, and the whole batch's size.

    Crops are decoded one batch ahead, in a thread: decoding releases Python's lock.
    """
    from concurrent.futures import ThreadPoolExecutor

    def load(step: int) -> tuple[Tensor, Tensor, Tensor, int]:
        whole = batches[step]
        shots = rank_slice(whole, world.rank, world.size)
        pixels = table.pixels(shots, config.model.input_size)
        if config.flip:
            coins = np.random.default_rng([config.seed, epoch, step]).random(len(whole)) < 0.5
            mirrored = np.array(rank_slice(coins.tolist(), world.rank, world.size), dtype=bool)
            pixels[mirrored] = pixels[mirrored][..., ::-1]
        rows = np.array([shot.row for shot in shots], dtype=np.int64)
        return (
            torch.from_numpy(pixels).to(device),
            torch.from_numpy(table.identities[rows]).to(device),
            torch.tensor([shot.masked for shot in shots], dtype=torch.bool, device=device),
            len(whole),
        )

    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(load, 0)
        for step in range(len(batches)):
            current = ahead.result()
            if step + 1 < len(batches):
                ahead = pool.submit(load, step + 1)
            yield current


def distribute(network: nn.Module, world: World) -> nn.Module:
    """The network as all ranks train it together."""
    if world.size == 1:
        return network
    globalise_batch_norm(network)
    return nn.parallel.DistributedDataParallel(network)


def _state(network: nn.Module, optimiser: torch.optim.Optimizer, config: LoopConfig, epochs_done: int) -> State:
    return {
        "config": asdict(config),
        "epoch": epochs_done,
        "model": network.state_dict(),
        "optimiser": optimiser.state_dict(),
    }


def _resume(network: nn.Module, config: LoopConfig, resume: State | None) -> int:
    """Put a checkpoint's weights into the network and return the epoch to go on with."""
    if resume is None:
        return 0
    earlier, now = dict(resume["config"]), asdict(config)
    changed = [key for key in now if key not in ("data", "epochs") and now[key] != earlier.get(key)]
    if changed:
        raise DataError(
            f"the run of this name was trained with other settings ({', '.join(changed)} changed); choose another "
            f"--name, or the settings of before"
        )
    network.load_state_dict(resume["model"])
    return int(resume["epoch"])
