"""The training loop: plain torch, alone or in any process group; Ray Train, torchrun or a notebook call `train`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch

from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.spec import ModelSpec
from raymask.progress import Progress
from raymask.train.embedder.grad_cache import StepResult, learn
from raymask.train.embedder.loader import Batch, batches
from raymask.train.embedder.setup import Setup, build, restore, state_of
from raymask.train.embedder.tally import Clock, Tally
from raymask.train.embedder.teacher_targets import Targets, Told
from raymask.train.embedder.validate import validation_accuracy
from raymask.train.embedder.warm_start import FIRST_BATCHES, fit_last, fit_statistics
from raymask.train.engine.checkpoints import State
from raymask.train.engine.config import LoopConfig
from raymask.train.engine.distributed import (
    World,
    gather,
    on_any_rank,
    save_on_first_rank,
    settle_statistics,
    sum_gradients,
)
from raymask.train.engine.divergence import Health
from raymask.train.engine.hooks import LoopHooks, Metrics
from raymask.train.engine.optimiser import Hold, move_average

DISTANCES_EVERY = 50
"""Steps between two looks at a batch's distances."""

_WITHOUT_QUINTUPLETS: Metrics = {"loss": 0.0, "valid": 0, "active": 0, "empty_steps": 0}
"""Metrics that are there without quintuplets, too: whoever reads metrics has always found them."""


class Trained(NamedTuple):
    """What a training ends in."""

    network: MaskFaceNet
    finished: bool
    """False if it was asked to stop before its end."""


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
    device = device or torch.device("cpu")
    setup = build(config, device, fresh=resume is None)
    clock, tally, metrics = (Clock(), Tally(), Metrics()) if resume is None else restore(setup, config, resume)
    return _Loop(config, hooks or LoopHooks(), device, setup, targets, clock, tally, metrics).run()


class _Loop:
    """A training in its course."""

    def __init__(
        self,
        config: LoopConfig,
        hooks: LoopHooks,
        device: torch.device,
        setup: Setup,
        targets: Told | None,
        clock: Clock,
        tally: Tally,
        metrics: Metrics,
    ) -> None:
        self.config, self.hooks, self.device, self.setup, self.targets = config, hooks, device, setup, targets
        self.clock, self.tally, self.metrics = clock, tally, metrics
        self.names = config.loss_metrics
        self.health = Health(config.loss.margin, config.optimiser)
        self.world = World.current()
        self.precision = torch.bfloat16 if config.precision == "bfloat16" else None

    def run(self) -> Trained:
        """All epochs that are left; before, the teachers are asked."""
        if self.config.teachers and self.targets is None:
            asked = Targets.ask(
                self.config.teachers,
                self.setup.store,
                self.config.model,
                self.device,
                as_prepared=self.config.distil.as_prepared,
                precision=self.precision,
                compiled=self.config.compile,
                stop=self._stops,
            )
            if asked is None:
                return Trained(self.setup.result, finished=False)
            self.targets = asked
        if self.config.init is not None and self.clock == Clock():
            self._fit_start()
        while self.clock.epoch < self.config.epochs:
            if not self._epoch():
                self.health.end(str(self.clock))
                self._save()
                return Trained(self.setup.result, finished=False)
            self._close_epoch()
        self.health.end("the last step")
        return Trained(self.setup.result, finished=True)

    def _fit_start(self) -> None:
        """What can be computed of the weights that it begins with need not be learned."""
        config, setup = self.config, self.setup
        steps = min(FIRST_BATCHES, setup.sampler.steps)
        with torch.compiler.set_stance("force_eager"):  # what looks into layers must not be compiled into them
            fit_statistics(setup.network, next(self._batches(steps=1)), self.device)
            if config.teachers and config.model.head == "linear" and ModelSpec.of(str(config.init)).kind != "bundle":
                photos = sum(len(setup.sampler.batch(0, step)) for step in range(steps))
                first = self._batches(steps=steps)
                fit_last(setup.network, first, photos=photos, device=self.device, precision=self.precision)
        if setup.average is not None:
            setup.average.load_state_dict(setup.network.state_dict())
        setup.hold = Hold(setup.optimiser, config.optimiser.hold, None)

    def _epoch(self) -> bool:
        """What is left of the current epoch; whether it was done to its end."""
        steps, sampler = self.setup.sampler.steps, self.setup.sampler
        self.setup.network.train()
        begun = time.monotonic() - self.tally.seconds
        quiet = (lambda line: None) if self.world.rank else None
        task = f"epoch {self.clock.epoch + 1}/{self.config.epochs}"
        with Progress(task, total=sampler.photos(self.clock.epoch), unit="photos", write=quiet) as progress:
            progress.skip(self.tally.photos)
            for batch in self._batches():
                result = self._learn(batch)
                self.tally.seconds = time.monotonic() - begun
                self._log(result)
                self.clock = self.clock.next_step()
                progress.add(batch.photos, self.tally.sentence(self.names, result.losses))
                if self.clock.step < steps and self.clock.step % self.hooks.save_every == 0:
                    self._save()
                if self._stops():
                    return self.clock.step == steps
        return True

    def _batches(self, steps: int | None = None) -> Iterator[Batch]:
        """What is left of the current epoch, or its next few steps."""
        return batches(
            self.config,
            self.setup.store,
            self.setup.sampler,
            epoch=self.clock.epoch,
            start=self.clock.step,
            steps=steps,
            world=self.world,
            device=self.device,
            faces=self.setup.faces,
            targets=self.targets,
        )

    def _learn(self, batch: Batch) -> StepResult:
        """One step: all ranks' gradients of the whole batch's loss, and the optimiser's move."""
        config, setup, overall = self.config, self.setup, self._overall
        rate = config.optimiser.rate(self.clock.epoch, overall, config.epochs * setup.sampler.steps)
        for group in setup.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        setup.optimiser.zero_grad()
        result = learn(
            setup.network,
            batch.chunks,
            partial(setup.objective, epoch=self.clock.epoch),
            seed=(config.seed, overall),
            device=self.device,
            precision=self.precision,
        )
        values = {name: lost.value for name, lost in result.losses.items()}
        active = result.losses["quintuplets"].count if "quintuplets" in values else 0
        self.health.judge(str(self.clock), values, active=active, spread=result.spread)
        sum_gradients(setup.network)
        sum_gradients(setup.objective)
        settle_statistics(setup.network, batch.all_chunks)
        setup.optimiser.step()
        setup.hold.pull()
        if setup.average is not None:
            move_average(setup.average, setup.network, config.optimiser.average, step=overall)
        self.tally.add(result.losses, batch.photos)
        return result

    def _log(self, result: StepResult) -> None:
        """Show the step just done."""
        run_log, overall = self.hooks.run_log, self._overall
        if run_log is not None:
            run_log.step(
                overall,
                losses={lost.curve or name: lost.value for name, lost in result.losses.items()},
                figures={f"{name}/{key}": n for name, lost in result.losses.items() for key, n in lost.figures.items()},
                learning_rate=self.setup.optimiser.param_groups[0]["lr"],
                photos_per_second=self._photos_per_second,
            )
        if overall % DISTANCES_EVERY == 0:
            parts = result.embeddings, result.identities, result.masked.to(torch.uint8)
            embeddings, identities, masked = (gather(part)[0] for part in parts)
            if run_log is not None:
                run_log.distances(overall, embeddings, identities, masked.bool(), self.config.loss.distance)

    def _close_epoch(self) -> None:
        """Validate, keep and tell what the epoch came to."""
        sampler = self.setup.sampler
        visited = sampler.visited(self.clock.epoch)
        self.metrics = {
            "epoch": self.clock.epoch + 1,
            **_WITHOUT_QUINTUPLETS,
            **self.tally.totals,
            **self.tally.means(self.names),
            "visited": visited,
            "unvisited": sampler.photos_in_all - visited,
            "photos_per_second": self._photos_per_second,
            **validation_accuracy(self.config, self.setup.result, self.world, self.device),
        }
        self.clock, self.tally = self.clock.next_epoch(), Tally()
        if self.hooks.run_log is not None:  # before the checkpoint, which takes back what was shown after it
            self.hooks.run_log.epoch(self._overall, self.metrics, losses=self.names.values())
        self._save()
        self.hooks.report(self.metrics)

    def _save(self) -> None:
        """Keep a checkpoint, but never one of collapsed or broken weights; if it cannot be kept, all ranks end."""
        if not self.health.good:
            return
        broken = not all(bool(value.isfinite().all()) for value in self.setup.network.state_dict().values())
        if self._any(broken):  # after the step, whose loss was still a number
            raise self.health.runaway(f"the weights are no numbers any more at {self.clock}")
        save_on_first_rank(self.hooks.save, self._state, self.device)

    def _state(self) -> State:
        return state_of(self.setup, self.config, self.clock, self.tally, self.metrics)

    @property
    def _overall(self) -> int:
        """The next step, over all epochs."""
        return self.clock.overall(self.setup.sampler.steps)

    @property
    def _photos_per_second(self) -> float:
        return self.tally.photos / max(self.tally.seconds, 1e-9)

    def _stops(self) -> bool:
        return self._any(self.world.rank == 0 and self.hooks.stop())

    def _any(self, mine: bool) -> bool:
        """Whether it is so on any rank."""
        return on_any_rank(mine, self.device)
