"""The training loop: plain torch, alone or in any process group; Ray Train, torchrun or a notebook call `train`."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import NamedTuple

import torch

from raymask.data.crops import CropStore
from raymask.data.remask import FreshMasks
from raymask.data.sampler import PKSampler
from raymask.errors import ConfigError, DataError
from raymask.faces.masks.looks import TRAIN_LOOKS
from raymask.models.embedder import MaskFaceNet
from raymask.progress import Progress
from raymask.train.around import Metrics, Surroundings
from raymask.train.checkpoints import State
from raymask.train.claim import changed_settings
from raymask.train.config import LoopConfig
from raymask.train.distributed import (
    World,
    gather,
    global_quintuplet_loss,
    on_any_rank,
    prepare_batch_norm,
    save_on_first_rank,
    settle_statistics,
    sum_gradients,
)
from raymask.train.health import Health, runaway
from raymask.train.loader import Batch, batches
from raymask.train.step import StepResult, learn
from raymask.train.validate import validation_accuracy

DISTANCES_EVERY = 50
"""Steps between two looks at a batch's distances."""


class Trained(NamedTuple):
    """What a training ends in."""

    network: MaskFaceNet
    finished: bool
    """False if it was asked to stop before its end."""


@dataclass
class Tally:
    """What an epoch's steps add up to; part of a checkpoint."""

    hinges: float = 0.0
    active: int = 0
    valid: int = 0
    photos: int = 0
    empty_steps: int = 0
    """Steps without a single active quintuplet, which taught nothing."""
    seconds: float = 0.0

    def add(self, result: StepResult, photos: int) -> None:
        self.hinges += result.loss * result.active
        self.active += result.active
        self.valid += result.valid
        self.photos += photos
        self.empty_steps += result.active == 0

    @property
    def loss(self) -> float:
        """Mean hinge over the epoch's active quintuplets."""
        return self.hinges / max(1, self.active)


def train(
    config: LoopConfig,
    around: Surroundings | None = None,
    *,
    resume: State | None = None,
    device: torch.device | None = None,
) -> Trained:
    """Train a MaskFaceNet, or train it further from a checkpoint's state.

    In a process group every rank calls this and takes its part of each batch. With `config.chunk` the result is the
    same on any number of workers; without, up to dropout's draws.

    Args:
        config: what to compute.
        around: what to report to.
        resume: the state of a checkpoint of these settings, equal on all ranks.
        device: where to compute; the CPU if not said.

    Raises:
        ConfigError: nothing there to compile with.
        DataError: no prepared faces, or a state that was trained with other settings.
        TrainingError: loss or weights are no longer numbers, or the embeddings have collapsed.
        UnsavedError: a checkpoint cannot be kept.
    """
    return _Loop(config, around or Surroundings(), device or torch.device("cpu"), resume).run()


class _Loop:
    """A training in its course."""

    def __init__(self, config: LoopConfig, around: Surroundings, device: torch.device, resume: State | None) -> None:
        self.config, self.around, self.device = config, around, device
        self.world = World.current()
        self.store = CropStore(config.data, "train")
        self.sampler = PKSampler(self.store.identities, config.batch, seed=config.seed)
        self.masks = (
            FreshMasks(self.store, config.masks or TRAIN_LOOKS, quiet=self.world.rank > 0) if config.remask else None
        )
        self._say(
            f"training on {len(self.store):,} photos of {len(self.store.people):,} people, "
            f"{self.sampler.steps:,} steps an epoch"
        )
        torch.manual_seed(config.seed)
        self.network = MaskFaceNet(config.model)
        self.tally, self.metrics, self.health = Tally(), Metrics(), Health(config.loss.margin)
        self.epoch = self.step = 0
        if resume is not None:
            _check_settings(config, resume)
            self.network.load_state_dict(resume["model"])
            self.tally, self.metrics = Tally(**resume["tally"]), dict(resume["metrics"])
            self.epoch, self.step = resume["epoch"], resume["step"]
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        prepare_batch_norm(self.network, chunked=config.chunk is not None)
        if config.compile:
            if self._any(not _has_compiler()):
                raise ConfigError(
                    "compile needs a C++ compiler on every machine that trains; install g++, or leave it off"
                )
            self.network.backbone.compile()  # not the head: dropout draws alike in both passes of gradient caching
        self.optimiser = torch.optim.SGD(
            self.network.parameters(),
            lr=1.0,
            momentum=config.optimiser.momentum,
            weight_decay=config.optimiser.weight_decay,
            fused=True,
        )
        if resume is not None:
            self.optimiser.load_state_dict(resume["optimiser"])
        workers = "1 worker" if self.world.size == 1 else f"{self.world.size} workers"
        self._say(f"{config.model.backbone} is ready on {workers}")

    def run(self) -> Trained:
        """All epochs that are left."""
        while self.epoch < self.config.epochs:
            if not self._epoch():
                self.health.end(self._where())
                self._save()
                return Trained(self.network, finished=False)
            self._close_epoch()
        self.health.end("the last step")
        return Trained(self.network, finished=True)

    def _epoch(self) -> bool:
        """What is left of the current epoch; whether it was done to its end."""
        self.network.train()
        begun = time.monotonic() - self.tally.seconds
        quiet = (lambda line: None) if self.world.rank else None
        task = f"epoch {self.epoch + 1}/{self.config.epochs}"
        loaded = batches(
            self.config,
            self.store,
            self.sampler,
            epoch=self.epoch,
            start=self.step,
            world=self.world,
            device=self.device,
            masks=self.masks,
        )
        with Progress(task, total=self.sampler.photos(self.epoch), unit="photos", write=quiet) as progress:
            progress.skip(self.tally.photos)
            for batch in loaded:
                result = self._learn(batch)
                self.step += 1
                self.tally.seconds = time.monotonic() - begun
                self._watch(result)
                progress.add(batch.photos, f"loss {self.tally.loss:.4f}, {result.active:,} active quintuplets")
                if self.step < self.sampler.steps and self.step % self.around.save_every == 0:
                    self._save()
                if self._stops():
                    return self.step == self.sampler.steps
        return True

    def _learn(self, batch: Batch) -> StepResult:
        """One step: all ranks' gradients of the whole batch's loss, and the optimiser's move."""
        config, overall = self.config, self.epoch * self.sampler.steps + self.step
        rate = config.optimiser.rate(self.epoch, overall)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        result = learn(
            self.network,
            batch.chunks,
            partial(
                global_quintuplet_loss,
                margin=config.loss.margin,
                mining=config.loss.rule(self.epoch),
                distance=config.loss.distance,
            ),
            seed=(config.seed, overall),
            device=self.device,
            precision=torch.bfloat16 if config.precision == "bfloat16" else None,
        )
        self.health.judge(self._where(), loss=result.loss, active=result.active, spread=result.spread)
        sum_gradients(self.network)
        settle_statistics(self.network, batch.all_chunks)
        self.optimiser.step()
        self.tally.add(result, batch.photos)
        return result

    def _watch(self, result: StepResult) -> None:
        """Show the step just done."""
        watch, overall = self.around.watch, self.epoch * self.sampler.steps + self.step - 1
        if watch is not None:
            watch.step(
                overall,
                rule=self.config.loss.rule(self.epoch),
                loss=result.loss,
                valid=result.valid,
                active=result.active,
                learning_rate=self.optimiser.param_groups[0]["lr"],
                photos_per_second=self.tally.photos / max(self.tally.seconds, 1e-9),
            )
        if overall % DISTANCES_EVERY == 0:
            parts = result.embeddings, result.identities, result.masked.to(torch.uint8)
            embeddings, identities, masked = (gather(part)[0] for part in parts)
            if watch is not None:
                watch.distances(overall, embeddings, identities, masked.bool(), self.config.loss.distance)

    def _close_epoch(self) -> None:
        """Validate, keep and tell what the epoch came to."""
        visited = self.sampler.visited(self.epoch)
        self.metrics = {
            "epoch": self.epoch + 1,
            "loss": self.tally.loss,
            "valid": self.tally.valid,
            "active": self.tally.active,
            "empty_steps": self.tally.empty_steps,
            "visited": visited,
            "unvisited": len(self.store) - visited,
            "photos_per_second": self.tally.photos / max(self.tally.seconds, 1e-9),
            **validation_accuracy(self.config, self.network, self.world, self.device),
        }
        self.epoch, self.step, self.tally = self.epoch + 1, 0, Tally()
        if self.around.watch is not None:  # before the checkpoint, which takes back what was shown after it
            self.around.watch.epoch(self.epoch * self.sampler.steps, self.metrics)
        self._save()
        self.around.report(self.metrics)

    def _save(self) -> None:
        """Keep a checkpoint, but never one of collapsed or broken weights; if it cannot be kept, all ranks end."""
        if not self.health.good:
            return
        broken = not all(bool(value.isfinite().all()) for value in self.network.state_dict().values())
        if self._any(broken):  # after the step, whose loss was still a number
            raise runaway(f"the weights are no numbers any more at {self._where()}")
        save_on_first_rank(self.around.save, self._state, self.device)

    def _state(self) -> State:
        return {
            "config": asdict(self.config),
            "epoch": self.epoch,
            "step": self.step,
            "tally": asdict(self.tally),
            "metrics": self.metrics,
            "model": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def _where(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.step + 1}"

    def _stops(self) -> bool:
        return self._any(self.world.rank == 0 and self.around.stop())

    def _any(self, mine: bool) -> bool:
        """Whether it is so on any rank."""
        return on_any_rank(mine, self.device)

    def _say(self, line: str) -> None:
        if self.world.rank == 0:
            print(line, flush=True)


def _has_compiler() -> bool:
    return any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++")))


def _check_settings(config: LoopConfig, resume: State) -> None:
    """Refuse a checkpoint that other settings made; its data may have been moved, and its epochs may be more."""
    earlier, now = dict(resume["config"]), asdict(config)
    changed = changed_settings(now, earlier, free=("data", "epochs"))
    if changed:
        raise DataError(
            f"the run of this name was trained with other settings ({', '.join(changed)} changed); choose another "
            f"--name, or the settings of before"
        )
