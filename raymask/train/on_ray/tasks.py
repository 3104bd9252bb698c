"""The kinds of training that there are: what of each the glue around Ray Train must know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from raymask.data.reading.joined import absolute_data
from raymask.errors import ConfigError
from raymask.faces.crop import CROP_SCALE, CROP_SIZE
from raymask.models.bundle import bundle_config
from raymask.models.digest import weights_digest
from raymask.models.spec import ModelSpec
from raymask.storage import absolute
from raymask.train.engine.checkpoints import State
from raymask.train.engine.config import LoopConfig, RunConfig, TrainConfig
from raymask.train.engine.hooks import LoopHooks, Metrics
from raymask.train.staged.aligner_config import AlignConfig, TrainAlignerConfig, without_idle
from raymask.train.staged.config import CourseConfig, StagedRunConfig
from raymask.train.staged.inpainter_config import InpaintConfig, TrainInpainterConfig
from raymask.train.staged.segmenter_config import TrainSegmenterConfig

if TYPE_CHECKING:
    import torch
    from torch import nn

    from raymask.train.staged.loop import Course


class Task(ABC):
    """A training of one kind, as it travels to the workers. Making one reads the files that it begins with.

    Raises:
        ConfigError, DataError, ModelError: what it begins with or learns from cannot be had.
    """

    settings: dict[str, Any]
    """The loop's settings as plain values, with the data's address as workers in other folders need it."""
    weights: dict[str, Any]
    """By which files' digests a run is told from one of the same settings, and what the bundle says of them."""
    free: tuple[str, ...]
    """Settings that may change when the run goes on."""
    preprocessing: dict[str, Any]
    """How crops are made for the model."""

    @abstractmethod
    def train(self, hooks: LoopHooks, resume: State | None, device: torch.device) -> bool:
        """Train to the end, or until it is asked to stop; says which. Runs in each worker."""

    @abstractmethod
    def ended(self, state: State) -> bool:
        """Whether a checkpoint is the last."""

    @abstractmethod
    def model(self, state: State) -> nn.Module:
        """The model in a checkpoint, with its `config`."""

    @abstractmethod
    def sentence(self, metrics: Metrics) -> str:
        """An epoch's or a stage's metrics as a line."""


def task_of(config: RunConfig) -> Task:
    """The task that a run's configuration asks for; raises as `Task`."""
    for kind, task in _TASKS.items():
        if isinstance(config, kind):
            return task(config)
    raise ConfigError(f"{type(config).__name__} is no kind of training")


class EmbedderTask(Task):
    """The training of a MaskFaceNet."""

    def __init__(self, config: TrainConfig) -> None:
        self.name = config.name
        self.config: LoopConfig = replace(
            config.loop(),
            data=absolute_data(config.data),
            init=config.init and _placed(config.init),
            teachers=tuple(map(_placed, config.teachers)),
            textures=_address(config.textures),
        )
        if config.losses:
            from raymask.train.embedder.terms.registry import check_losses

            check_losses(self.config)
        init, teachers = self.config.init, self.config.teachers
        self.settings = asdict(self.config)
        self.weights = {"teachers_sha256": [weights_digest(teacher) for teacher in teachers]} if teachers else {}
        self.weights |= {"init_sha256": None if init is None else weights_digest(init)} | _drawn_with(config.textures)
        self.free = (*config.free, "init", "textures")
        self.preprocessing = _CROPS | {"input_size": config.model.input_size}

    def train(self, hooks: LoopHooks, resume: State | None, device: torch.device) -> bool:
        """As `raymask.train.embedder.loop.train`."""
        from raymask.train.embedder.loop import train

        return train(self.config, hooks, resume=resume, device=device).finished

    def ended(self, state: State) -> bool:
        """Whether all epochs are done. Raises ConfigError if the run has come further than it is to."""
        epochs, done = self.config.epochs, state["epoch"] + (state["step"] > 0)
        if done > epochs:
            raise ConfigError(
                f"epochs {epochs}: the run {self.name} has begun or done {done} already; give as many or more, or "
                f"choose another --name"
            )
        return bool(state["epoch"] == epochs)

    def model(self, state: State) -> nn.Module:
        """The mean of the weights, where one was made."""
        from raymask.models.networks.maskfacenet import MaskFaceNet

        network = MaskFaceNet(self.config.model)
        network.load_state_dict(state["average"] or state["model"])
        return network

    def sentence(self, metrics: Metrics) -> str:
        """Losses, speed, validation, and what was left out."""
        words = [f"loss {metrics['loss']:.4f}"] if metrics["valid"] else []
        words += [f"{name} {metrics[name]:.4f}" for name in self.config.weights if name in metrics]
        words.append(f"{metrics['photos_per_second']:.0f} photos/s")
        if "val_bare" in metrics:
            words.append(f"validation rank-1: bare {metrics['val_bare']:.1%}, masked {metrics['val_masked']:.1%}")
        if metrics["unvisited"]:
            words.append(f"{metrics['unvisited']:,.0f} photos did not come up and are first in the next")
        if metrics["empty_steps"]:
            words.append(f"{metrics['empty_steps']:.0f} steps without an active quintuplet")
        return f"epoch {metrics['epoch']:.0f} done: {', '.join(words)}"


class StagedTask(Task):
    """What the trainings in stages have in common."""

    config: CourseConfig
    stages = 1

    def __init__(self, config: StagedRunConfig) -> None:
        course = config.course()
        start = course.start and absolute(course.start)
        begun_with = None if start is None else bundle_config(start, self.course().makes.__name__)["sha256"]
        self.config = replace(course, data=absolute_data(course.data), start=start, textures=_address(course.textures))
        self.settings = asdict(self.config)
        self.weights = {"start_sha256": begun_with} | _drawn_with(course.textures)
        self.free = ("start", "textures")
        self.preprocessing = dict(_CROPS)

    @staticmethod
    @abstractmethod
    def course() -> type[Course]:
        """What is taught; imports torch."""

    def train(self, hooks: LoopHooks, resume: State | None, device: torch.device) -> bool:
        """As `raymask.train.staged.loop.run_course`."""
        from raymask.train.staged.loop import run_course

        return run_course(self.course()(self.config, device), hooks, resume=resume)

    def ended(self, state: State) -> bool:
        """Whether all stages are done; a state counts them as epochs."""
        return bool(state["epoch"] >= self.stages)

    def model(self, state: State) -> nn.Module:
        """What judges it in training is left behind."""
        course = self.course()
        model = course.makes(self.config.model)
        model.load_state_dict(state["networks"][course.name])
        return model

    def sentence(self, metrics: Metrics) -> str:
        """Which stage is done."""
        return f"stage {metrics['stage']:.0f} done after {metrics['steps']:,.0f} steps"


class SegmenterTask(StagedTask):
    """The training of a segmenter."""

    @staticmethod
    def course() -> type[Course]:
        """Finding masks."""
        from raymask.train.staged.segmenter import SegmenterCourse

        return SegmenterCourse


class AlignerTask(StagedTask):
    """The training of an aligner."""

    config: AlignConfig

    def __init__(self, config: TrainAlignerConfig) -> None:
        super().__init__(config)
        self.config = replace(self.config, worn=_address(config.worn))
        self.settings = without_idle(asdict(self.config))
        self.preprocessing = {"input_size": config.model.input_size}

    @staticmethod
    def course() -> type[Course]:
        """Finding five points."""
        from raymask.train.staged.aligner import AlignerCourse

        return AlignerCourse


class InpainterTask(StagedTask):
    """The training of an inpainter."""

    config: InpaintConfig

    def __init__(self, config: TrainInpainterConfig) -> None:
        from raymask.train.staged.inpainter import teachers_of

        super().__init__(config)
        self.config = replace(self.config, teacher=_placed(config.teacher))
        self.settings = asdict(self.config)
        self.weights["teachers_sha256"] = teachers_of(self.config)
        self.free = ("start", "teacher", "textures")
        self.stages = len(config.stages.chosen())

    @staticmethod
    def course() -> type[Course]:
        """Painting faces."""
        from raymask.train.staged.inpainter import InpainterCourse

        return InpainterCourse


_TASKS: dict[type[RunConfig], Any] = {
    TrainConfig: EmbedderTask,
    TrainAlignerConfig: AlignerTask,
    TrainSegmenterConfig: SegmenterTask,
    TrainInpainterConfig: InpainterTask,
}
"""By the configuration that asks for it."""
_CROPS = {"crop_scale": CROP_SCALE, "crop_size": CROP_SIZE}


def _placed(name: str) -> str:
    """A network's name with its path as workers in other folders need it. Raises ModelError if nothing is there."""
    return str(ModelSpec.of(name).absolute())


def _address(folder: str | None) -> str | None:
    """As workers in other folders need it."""
    return None if folder is None else absolute(folder)


def _drawn_with(folder: str | None) -> dict[str, Any]:
    """A user's own textures by their files, wherever they lie. Raises DataError if they cannot be read."""
    if folder is None:
        return {}
    from raymask.data.prepare.textures import load_textures

    textures = load_textures(folder)
    return {} if textures is None else {"textures_sha256": textures.digest}
