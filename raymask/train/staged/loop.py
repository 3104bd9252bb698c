"""Training in stages of so many steps on masks drawn afresh: the loop that segmenter, aligner and inpainter share.

Plain torch, alone or in any process group; what a stage teaches, and by which loss, is its `Course`'s.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from raymask.data.reading.crops import Crops
from raymask.data.reading.joined import open_crops
from raymask.data.reading.validation import validation_store
from raymask.errors import ModelError
from raymask.faces.masks import Textures
from raymask.models.bundle import bundle_config, load_bundle
from raymask.progress import Progress
from raymask.train.engine.checkpoints import State
from raymask.train.engine.distributed import World, all_sum, on_any_rank, save_on_first_rank
from raymask.train.engine.divergence import runaway
from raymask.train.engine.hooks import LoopHooks, Metrics
from raymask.train.engine.resume_guard import check_resumed
from raymask.train.staged.config import CourseConfig
from raymask.train.staged.drawn_batches import DrawnBatch, DrawnFaces

PICTURES = 6
"""Faces that are shown."""
Network = TypeVar("Network", bound=nn.Module)
_ADVICE = "train under another --name with a lower --learning-rate"


class Stage(NamedTuple):
    """A part of a training."""

    name: str
    steps: int


class Course(ABC):
    """What a training teaches, and how its state is kept."""

    config: CourseConfig
    device: torch.device
    makes: ClassVar[type[Any]]
    """The class of the model that it leaves, which is made of `config.model`."""
    teaches: ClassVar[str]
    """What, with its article."""
    name: ClassVar[str]
    """Of that model among the networks."""
    stages: Sequence[Stage]
    batch: int
    """Photos of all ranks in a step."""
    textures: Textures | None
    """The pictures that the look cloth:own is made of."""
    settings: Mapping[str, Any]
    """Plain values, kept in each checkpoint; those that may change between two sessions are left out."""
    networks: Mapping[str, nn.Module]
    """All that is trained, by name."""
    measure_every: int
    """Steps between two measurements, beside one after each stage."""

    @abstractmethod
    def __init__(self, config: Any, device: torch.device) -> None:
        """Ready to begin: `config` is its kind of CourseConfig."""

    @abstractmethod
    def faces(self, store: Crops, *, quiet: bool) -> DrawnFaces:
        """The faces of a split, as it learns from them."""

    @abstractmethod
    def measured_faces(self, store: Crops) -> DrawnFaces:
        """The faces of a split, as it is measured on them."""

    @cached_property
    def validation(self) -> DrawnFaces | None:
        """The validation people's faces, drawn once; None if there are none, or none are asked for."""
        store = validation_store(self.config.data)
        return None if store is None or not self.config.validation_photos else self.measured_faces(store)

    def measured_batches(self, faces: DrawnFaces, *, at_once: int) -> Iterator[DrawnBatch]:
        """This rank's part of as many faces as are to be measured."""
        return faces.first(self.config.validation_photos, at_once=at_once, world=World.current())

    @abstractmethod
    def begin(self, stage: int) -> Mapping[str, torch.optim.Optimizer]:
        """Make ready for a stage, whose optimisers these are, by name."""

    @abstractmethod
    def learn(self, stage: int, step: int, batch: DrawnBatch) -> dict[str, Tensor]:
        """One step on this rank's share of a batch: its share of each loss, without gradient."""

    @abstractmethod
    def measure(self, stage: int) -> Metrics:
        """How good it is on people that it does not train on; called on all ranks."""

    @abstractmethod
    def pictures(self, stage: int) -> np.ndarray | None:
        """(H, W, 3) uint8: what it makes of some faces; called on rank 0."""

    def run(self, network: nn.Module, *given: Tensor) -> Any:
        """What a network gives, its convolutions in the precision that is set."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            return network(*given)


def shown_faces(faces: DrawnFaces) -> DrawnBatch:
    """The first few, to be looked at."""
    (batch,) = faces.first(PICTURES, at_once=PICTURES, world=World(0, 1))
    return batch


def started(network: Network, bundle: str | None) -> Network:
    """The network, with the weights of a bundle if one is named.

    Raises:
        ModelError: there is no such bundle, or its network is of another kind or shape.
    """
    if bundle is not None:
        earlier = load_bundle(bundle, type(network).__name__).model
        if earlier.config != network.config:
            raise ModelError(f"start {bundle} is of {earlier.config}, model of {network.config}; they must be alike")
        network.load_state_dict(earlier.state_dict())
    return network


def settings_of(config: CourseConfig, textures: Textures | None) -> dict[str, Any]:
    """The settings that must stay while a run goes on, as plain values; a start is told by its weights, and textures,
    which `textures` holds, by their files."""
    settings = {key: value for key, value in asdict(config).items() if key != "data"}
    start = config.start and bundle_config(config.start)["sha256"]
    own = None if textures is None else textures.digest
    return settings | {"masks": list(config.masks), "start": start, "textures": own}


def run_course(course: Course, hooks: LoopHooks, *, resume: State | None) -> bool:
    """Teach all that is left of a course, or go on from a checkpoint's state.

    In a process group every rank calls this and takes its part of each batch.

    Returns:
        Whether it was taught to its end; False if it was asked to stop.

    Raises:
        DataError: no prepared faces, or the state is of other settings.
        TrainingError: a loss or a weight is no number any more.
        UnsavedError: a checkpoint cannot be kept.
    """
    return _Run(course, hooks, resume).run()


class _Run:
    """A course in its course."""

    def __init__(self, course: Course, hooks: LoopHooks, resume: State | None) -> None:
        self.course, self.hooks = course, hooks
        self.world = World.current()
        self.faces = course.faces(open_crops(course.config.data, "train"), quiet=self.world.rank > 0)
        if self.world.rank == 0:
            print(f"training {course.teaches} on {len(self.faces):,} photos, masks drawn afresh", flush=True)
        self.metrics = Metrics()
        self.stage = self.step = 0
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {}
        if resume is not None:
            self._restore(resume)

    def run(self) -> bool:
        """All stages that are left."""
        while self.stage < len(self.course.stages):
            if not self.optimisers:
                self.optimisers = self.course.begin(self.stage)
            if not self._stage():
                self._save()
                return False
            self._measure()
            self.stage, self.step, self.optimisers = self.stage + 1, 0, {}
            self._save()
            self.hooks.report(self.metrics)
        return True

    def _stage(self) -> bool:
        """What is left of the current stage; whether it was done to its end."""
        stage = self.course.stages[self.stage]
        quiet = (lambda line: None) if self.world.rank else None
        before = sum(earlier.steps for earlier in self.course.stages[: self.stage])
        batches = self.faces.batches(
            self.course.batch, range(before + self.step, before + stage.steps), world=self.world
        )
        task = f"{stage.name} ({self.stage + 1}/{len(self.course.stages)})"
        with Progress(task, total=stage.steps * self.course.batch, unit="photos", write=quiet) as progress:
            progress.skip(self.step * self.course.batch)
            begun = time.monotonic()
            for batch in batches:
                losses = self._learn(batch)
                overall = before + self.step
                self.step += 1
                progress.add(self.course.batch, ", ".join(f"{name} {value:.4f}" for name, value in losses.items()))
                if self.hooks.run_log is not None:
                    rate = self.course.batch / max(time.monotonic() - begun, 1e-9)
                    self.hooks.run_log.losses(overall, stage.name, losses, photos_per_second=rate)
                if self.step < stage.steps:
                    if self.step % self.course.measure_every == 0:
                        self._measure()
                    if self.step % self.hooks.save_every == 0:
                        self._save()
                    if self._any(self.world.rank == 0 and self.hooks.stop()):
                        return False
                begun = time.monotonic()  # before the next batch is drawn: its time counts, what was measured does not
        return True

    def _learn(self, batch: DrawnBatch) -> dict[str, float]:
        """One step; all ranks' losses."""
        shares = self.course.learn(self.stage, self.step, batch)
        total = all_sum(torch.stack([share.float() for share in shares.values()]))
        losses = dict(zip(shares, total.tolist(), strict=True))
        for name, value in losses.items():
            if not math.isfinite(value):
                raise runaway(f"the loss {name} became {value} in {self._where()}", _ADVICE)
        return losses

    def _measure(self) -> None:
        """Measure and show; the numbers stand for the steps done so far."""
        measured = self.course.measure(self.stage)
        done = sum(stage.steps for stage in self.course.stages[: self.stage]) + self.step
        self.metrics = {"stage": self.stage + 1, "steps": done, **measured}
        if self.world.rank == 0 and measured:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in measured.items())
            print(f"{self.course.stages[self.stage].name}, step {self.step:,}: {figures}", flush=True)
        if self.hooks.run_log is not None:
            self.hooks.run_log.measured(done, measured)
            if self.hooks.run_log.wants_pictures:
                pictures = self.course.pictures(self.stage)
                if pictures is not None:
                    self.hooks.run_log.pictures(done, self.course.stages[self.stage].name, pictures)

    def _save(self) -> None:
        """Keep a checkpoint, but never one of broken weights; if it cannot be kept, all ranks end."""
        weights = (value for network in self.course.networks.values() for value in network.state_dict().values())
        if self._any(not all(bool(value.isfinite().all()) for value in weights)):
            raise runaway(f"the weights are no numbers any more at {self._where()}", _ADVICE)
        save_on_first_rank(self.hooks.save, self._state, self._device)

    def _state(self) -> State:
        """Stages are to a checkpoint's name what epochs are."""
        return {
            "settings": dict(self.course.settings),
            "epoch": self.stage,
            "step": self.step,
            "metrics": self.metrics,
            "networks": {name: network.state_dict() for name, network in self.course.networks.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }

    def _restore(self, resume: State) -> None:
        check_resumed(self.course.settings, resume["settings"])
        for name, network in self.course.networks.items():
            network.load_state_dict(resume["networks"][name])
        self.metrics, self.stage, self.step = dict(resume["metrics"]), resume["epoch"], resume["step"]
        if self.step:
            self.optimisers = self.course.begin(self.stage)
            for name, optimiser in self.optimisers.items():
                optimiser.load_state_dict(resume["optimisers"][name])

    def _where(self) -> str:
        return f"stage {self.stage + 1}, step {self.step + 1}"

    def _any(self, mine: bool) -> bool:
        """Whether it is so on any rank."""
        return on_any_rank(mine, self._device)

    @property
    def _device(self) -> torch.device:
        return next(next(iter(self.course.networks.values())).parameters()).device
