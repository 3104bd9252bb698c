"""The training loop: plain torch, alone or in any process group; Ray Train, torchrun or a notebook call `train`."""

from __future__ import annotations

import copy
import math
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from raymask.data.augment.embedder_views import Dressing, FreshFaces
from raymask.data.augment.morphs import MorphedStore
from raymask.data.prepare.textures import load_textures
from raymask.data.reading.crops import Crops
from raymask.data.reading.joined import open_crops
from raymask.data.reading.sampler import PKSampler
from raymask.errors import ConfigError, DataError
from raymask.faces.masks import TRAIN_LOOKS, Textures
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.spec import ModelSpec
from raymask.progress import Progress
from raymask.train.embedder.grad_cache import StepResult, learn
from raymask.train.embedder.init_weights import begin_with
from raymask.train.embedder.loader import Batch, batches
from raymask.train.embedder.objective import BatchLoss, Objective
from raymask.train.embedder.teacher_targets import Targets, Told
from raymask.train.embedder.validate import validation_accuracy
from raymask.train.embedder.warm_start import FIRST_BATCHES, fit_last, fit_statistics
from raymask.train.engine.checkpoints import State
from raymask.train.engine.config import LoopConfig
from raymask.train.engine.distributed import (
    World,
    gather,
    on_all_ranks,
    on_any_rank,
    prepare_batch_norm,
    save_on_first_rank,
    settle_statistics,
    sum_gradients,
)
from raymask.train.engine.divergence import Health
from raymask.train.engine.hooks import LoopHooks, Metrics
from raymask.train.engine.optimiser import Hold, make_optimiser, move_average
from raymask.train.engine.resume_guard import check_resumed

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
    """Steps without a single active quintuplet, which taught nothing by them."""
    pull: float = 0.0
    """Squared distances to the teachers' embeddings, summed over photos."""
    contrast: float = 0.0
    """Cross-entropies of telling them, summed over photos."""
    softmax: float = 0.0
    """Cross-entropies of telling people, summed over photos."""
    seconds: float = 0.0

    def add(self, lost: BatchLoss, photos: int) -> None:
        self.hinges += lost.quintuplets * lost.active
        self.active += lost.active
        self.valid += lost.valid
        self.photos += photos
        self.empty_steps += lost.active == 0
        self.pull += lost.pull * photos
        self.contrast += lost.contrast * photos
        self.softmax += lost.softmax * photos

    def means(self, config: LoopConfig) -> Metrics:
        """Of the losses beside the quintuplets', over the epoch's photos; those that are on."""
        sums = {"pull": self.pull, "contrast": self.contrast, "softmax": self.softmax}
        return {name: total / max(1, self.photos) for name, total in sums.items() if name in config.losses}

    def sentence(self, config: LoopConfig, last: BatchLoss) -> str:
        """How it goes: means of the epoch so far."""
        words = []
        if "quintuplets" in config.losses:
            words.append(f"loss {self.loss:.4f}, {last.active:,} active quintuplets")
        words += [f"{name} {value:.4f}" for name, value in self.means(config).items()]
        return ", ".join(words)

    @property
    def loss(self) -> float:
        """Mean hinge over the epoch's active quintuplets."""
        return self.hinges / max(1, self.active)


def train(
    config: LoopConfig,
    hooks: LoopHooks | None = None,
    *,
    resume: State | None = None,
    device: torch.device | None = None,
    targets: Told | None = None,
) -> Trained:
    """Train a MaskFaceNet, or train it further from a checkpoint's state.

    In a process group every rank calls this and takes its part of each batch. With `config.chunk` the result is the
    same on any number of workers; without, up to dropout's draws.

    Args:
        config: what to compute.
        hooks: what to report to.
        resume: the state of a checkpoint of these settings, equal on all ranks.
        device: where to compute; the CPU if not said.
        targets: what the teachers make of the photos, if they were asked already.

    Raises:
        ConfigError: nothing there to compile with, or a start or teachers that do not fit the network.
        ModelError: a start or a teacher cannot be had.
        DataError: no prepared faces, or a state that was trained with other settings.
        TrainingError: loss or weights are no longer numbers, or the embeddings have collapsed.
        UnsavedError: a checkpoint cannot be kept.
    """
    return _Loop(config, hooks or LoopHooks(), device or torch.device("cpu"), resume, targets).run()


class _Loop:
    """A training in its course."""

    def __init__(
        self,
        config: LoopConfig,
        hooks: LoopHooks,
        device: torch.device,
        resume: State | None,
        targets: Told | None,
    ) -> None:
        self.config, self.hooks, self.device = config, hooks, device
        self.world = World.current()
        self.precision = torch.bfloat16 if config.precision == "bfloat16" else None
        photos, quiet = open_crops(config.data, "train"), self.world.rank > 0
        self.store = with_morphs(photos, config, quiet=quiet)
        self.sampler = sampler_of(config, photos)
        for line in opening(config, photos, self.sampler):
            self._say(line)
        dressing = dressing_of(config, load_textures(config.textures, quiet=True))
        self.faces = None if dressing.plain else FreshFaces(self.store, dressing, quiet=quiet)
        self.targets = targets
        torch.manual_seed(config.seed)
        self.network = MaskFaceNet(config.model)
        self.objective = Objective(
            config.loss,
            config.distil,
            config.softmax,
            teachers=len(config.teachers),
            people=len(self.store.people),
            embedding_size=config.model.embedding_size,
        ).to(device)
        if resume is None:
            on_all_ranks(lambda: begin_with(self.network, config.init))
        self.tally, self.metrics, self.health = Tally(), Metrics(), Health(config.loss.margin, config.optimiser)
        self.epoch = self.step = 0
        if resume is not None:
            self._restore(resume, photos)
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        prepare_batch_norm(self.network, chunked=config.chunk is not None)
        self.average = copy.deepcopy(self.network) if config.optimiser.average else None
        if self.average is not None and resume is not None:
            self.average.load_state_dict(resume["average"])
        if config.compile:
            if self._any(not _has_compiler()):
                raise ConfigError(
                    "compile needs a C++ compiler on every machine that trains; install g++, or leave it off"
                )
            self.network.backbone.compile()  # not the head: dropout draws alike in both passes of gradient caching
        self.optimiser = make_optimiser(self.network, config.optimiser, self.objective.parameters())
        if resume is not None:
            self.optimiser.load_state_dict(resume["optimiser"])
        self.hold = Hold(self.optimiser, config.optimiser.hold, None if resume is None else resume.get("held"))
        workers = "1 worker" if self.world.size == 1 else f"{self.world.size} workers"
        self._say(f"{config.model.backbone} is ready on {workers}")

    def _restore(self, resume: State, photos: Crops) -> None:
        """Be where a checkpoint was written. Raises DataError for one of a run with other settings."""
        check_resumed(asdict(self.config), resume["config"], free=("data", "init", "textures", *self.config.free))
        check_steps(resume, self.config, photos, self.sampler)
        if resume["model"].keys() != self.network.state_dict().keys():
            raise DataError("the run of this name has the network of another version of raymask; choose another --name")
        self.network.load_state_dict(resume["model"])
        self.objective.load_state_dict(resume["objective"])
        self.tally, self.metrics = Tally(**resume["tally"]), dict(resume["metrics"])
        self.epoch, self.step = resume["epoch"], resume["step"]

    def run(self) -> Trained:
        """All epochs that are left; before, the teachers are asked."""
        if self.config.teachers and self.targets is None:
            asked = Targets.ask(
                self.config.teachers,
                self.store,
                self.config.model,
                self.device,
                as_prepared=self.config.distil.as_prepared,
                precision=self.precision,
                compiled=self.config.compile,
                stop=self._stops,
            )
            if asked is None:
                return Trained(self.result, finished=False)
            self.targets = asked
        if self.config.init is not None and not self.epoch and not self.step:
            self._fit_start()
        while self.epoch < self.config.epochs:
            if not self._epoch():
                self.health.end(self._where())
                self._save()
                return Trained(self.result, finished=False)
            self._close_epoch()
        self.health.end("the last step")
        return Trained(self.result, finished=True)

    @property
    def result(self) -> MaskFaceNet:
        """What is measured and kept."""
        return self.network if self.average is None else self.average

    def _fit_start(self) -> None:
        """What can be computed of the weights that it begins with need not be learned."""
        config, steps = self.config, min(FIRST_BATCHES, self.sampler.steps)
        with torch.compiler.set_stance("force_eager"):  # what looks into layers must not be compiled into them
            fit_statistics(self.network, next(self._batches(steps=1)), self.device)
            if config.teachers and config.model.head == "linear" and ModelSpec.of(str(config.init)).kind != "bundle":
                photos = sum(len(self.sampler.batch(0, step)) for step in range(steps))
                first = self._batches(steps=steps)
                fit_last(self.network, first, photos=photos, device=self.device, precision=self.precision)
        if self.average is not None:
            self.average.load_state_dict(self.network.state_dict())
        self.hold = Hold(self.optimiser, config.optimiser.hold, None)

    def _epoch(self) -> bool:
        """What is left of the current epoch; whether it was done to its end."""
        self.network.train()
        begun = time.monotonic() - self.tally.seconds
        quiet = (lambda line: None) if self.world.rank else None
        task = f"epoch {self.epoch + 1}/{self.config.epochs}"
        with Progress(task, total=self.sampler.photos(self.epoch), unit="photos", write=quiet) as progress:
            progress.skip(self.tally.photos)
            for batch in self._batches():
                result = self._learn(batch)
                self.step += 1
                self.tally.seconds = time.monotonic() - begun
                self._watch(result)
                progress.add(batch.photos, self.tally.sentence(self.config, result.loss))
                if self.step < self.sampler.steps and self.step % self.hooks.save_every == 0:
                    self._save()
                if self._stops():
                    return self.step == self.sampler.steps
        return True

    def _batches(self, steps: int | None = None) -> Iterator[Batch]:
        """What is left of the current epoch, or its next few steps."""
        return batches(
            self.config,
            self.store,
            self.sampler,
            epoch=self.epoch,
            start=self.step,
            steps=steps,
            world=self.world,
            device=self.device,
            faces=self.faces,
            targets=self.targets,
        )

    def _learn(self, batch: Batch) -> StepResult:
        """One step: all ranks' gradients of the whole batch's loss, and the optimiser's move."""
        config, overall = self.config, self.epoch * self.sampler.steps + self.step
        rate = config.optimiser.rate(self.epoch, overall, config.epochs * self.sampler.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self.optimiser.zero_grad()
        result = learn(
            self.network,
            batch.chunks,
            partial(self.objective, epoch=self.epoch),
            seed=(config.seed, overall),
            device=self.device,
            precision=self.precision,
        )
        lost = result.loss
        self.health.judge(self._where(), self._losses(lost), active=lost.active, spread=result.spread)
        sum_gradients(self.network)
        sum_gradients(self.objective)
        settle_statistics(self.network, batch.all_chunks)
        self.optimiser.step()
        self.hold.pull()
        if self.average is not None:
            move_average(self.average, self.network, config.optimiser.average, step=overall)
        self.tally.add(lost, batch.photos)
        return result

    def _losses(self, lost: BatchLoss) -> dict[str, float]:
        """Those that are on."""
        return {name: getattr(lost, name) for name in self.config.losses}

    def _watch(self, result: StepResult) -> None:
        """Show the step just done."""
        watch, overall = self.hooks.watch, self.epoch * self.sampler.steps + self.step - 1
        if watch is not None:
            watch.step(
                overall,
                rule=self.config.loss.rule(self.epoch),
                losses=self._losses(result.loss),
                valid=result.loss.valid,
                active=result.loss.active,
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
            "empty_steps": self.tally.empty_steps if self.config.loss.weight else 0,
            **self.tally.means(self.config),
            "visited": visited,
            "unvisited": self.sampler.photos_in_all - visited,
            "photos_per_second": self.tally.photos / max(self.tally.seconds, 1e-9),
            **validation_accuracy(self.config, self.result, self.world, self.device),
        }
        self.epoch, self.step, self.tally = self.epoch + 1, 0, Tally()
        if self.hooks.watch is not None:  # before the checkpoint, which takes back what was shown after it
            self.hooks.watch.epoch(self.epoch * self.sampler.steps, self.metrics)
        self._save()
        self.hooks.report(self.metrics)

    def _save(self) -> None:
        """Keep a checkpoint, but never one of collapsed or broken weights; if it cannot be kept, all ranks end."""
        if not self.health.good:
            return
        broken = not all(bool(value.isfinite().all()) for value in self.network.state_dict().values())
        if self._any(broken):  # after the step, whose loss was still a number
            raise self.health.runaway(f"the weights are no numbers any more at {self._where()}")
        save_on_first_rank(self.hooks.save, self._state, self.device)

    def _state(self) -> State:
        return {
            "config": asdict(self.config),
            "epoch": self.epoch,
            "step": self.step,
            "steps": self.sampler.steps,
            "tally": asdict(self.tally),
            "metrics": self.metrics,
            "model": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "held": self.hold.begun,
        }

    def _where(self) -> str:
        return f"epoch {self.epoch + 1}, step {self.step + 1}"

    def _stops(self) -> bool:
        return self._any(self.world.rank == 0 and self.hooks.stop())

    def _any(self, mine: bool) -> bool:
        """Whether it is so on any rank."""
        return on_any_rank(mine, self.device)

    def _say(self, line: str) -> None:
        if self.world.rank == 0:
            print(line, flush=True)


def check_steps(resume: State, config: LoopConfig, photos: Crops, sampler: PKSampler) -> None:
    """Raise DataError if a checkpoint is of other batches; those that name no number of steps had full batches."""
    earlier = resume.get("steps", None if config.morphs else -(-len(photos) // config.batch.photos))
    if earlier != sampler.steps:
        raise DataError("the run of this name has batches of another version of raymask; choose another --name")


def opening(config: LoopConfig, photos: Crops, sampler: PKSampler) -> list[str]:
    """What a training says first: on what it trains, and what the shape of its batches and the people's photos cost."""
    people, together, full = len(photos.people), sampler.group_sizes, config.batch.bare + config.batch.masked
    seen, a_batch = math.floor(100 * sampler.people(0) / people), sampler.photos(0) / sampler.steps
    morphs = f" and {config.morphs:,} morphs" if config.morphs else ""
    on = f"{len(photos):,} photos of {people:,} people{morphs}, {sampler.steps:,} steps of about {a_batch:.0f} photos"
    lines = [f"training on {on} an epoch, each epoch sees about {seen}% of the people"]
    equal = people - len(set(photos.people))
    if equal:
        lines.append(f"{equal:,} names occur again in another folder of the data; they count as different people")
    if together.mean() < full / 2:
        lines.append(
            f"batches hold less than half of {config.batch.photos:,} photos, because {np.mean(together < full):.0%} of "
            f"the people have fewer than {full} (batch.bare + batch.masked); for larger ones raise --batch.people"
        )
    lone = int(np.count_nonzero(together < 3))
    if lone and "quintuplets" in config.losses:
        lines.append(
            f"{lone:,} people have fewer than 3 photos in a batch, which a quintuplet takes of its anchor's person: "
            f"its loss only pushes others away from them"
        )
    return lines


def with_morphs(photos: Crops, config: LoopConfig, *, quiet: bool = False) -> Crops:
    """What a training of these settings learns from. Raises DataError if landmarks or points cannot be read."""
    return MorphedStore(photos, config.morphs, config.seed, quiet=quiet) if config.morphs else photos


def sampler_of(config: LoopConfig, photos: Crops) -> PKSampler:
    """The batches of a training of these settings on these photos."""
    return PKSampler(photos.identities, config.batch, seed=config.seed, morphs=config.morphs)


def dressing_of(config: LoopConfig, textures: Textures | None) -> Dressing:
    """What becomes of a prepared face in a training of these settings; `textures`: what they name."""
    return Dressing(
        looks=(config.masks or TRAIN_LOOKS) if config.remask else None,
        textures=textures,
        alignment=None if config.model.alignment == "box" else config.model.alignment,
        altered=config.alter,
    )


def _has_compiler() -> bool:
    return any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++")))
