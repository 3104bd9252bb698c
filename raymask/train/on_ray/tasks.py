"""The kinds of training that there are: what of each the glue around Ray Train must know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from raymask.data.reading.joined import absolute_data
from raymask.errors import ConfigError
from raymask.faces.crop import CROP_SCALE, CROP_SIZE
from raymask.models.bundle import bundle_config
from raymask.models.digest import weights_digest
from raymask.models.spec import ModelSpec
from raymask.storage import absolute
from raymask.train.engine.checkpoints import State
from raymask.train.engine.config import RunConfig, TrainConfig, loop_config
from raymask.train.engine.hooks import LoopHooks, Metrics
from raymask.train.staged.aligner_config import TrainAlignerConfig, align_config, without_idle
from raymask.train.staged.config import CourseConfig
from raymask.train.staged.inpainter_config import TrainInpainterConfig, inpaint_config
from raymask.train.staged.segmenter_config import TrainSegmenterConfig, segment_config

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Task:
    """A training of one kind."""

    settings: dict[str, Any]
    """The loop's settings as plain values, with the data's address as workers in other folders need it."""
    loop: Callable[[dict[str, Any], LoopHooks, State | None, torch.device], bool]
    """Trains by `settings` to the end, or until it is asked to stop; says which. Runs in each worker."""
    ended: Callable[[State], bool]
    """Whether a checkpoint is the last."""
    model: Callable[[State], nn.Module]
    """The model in a checkpoint, with its `config`."""
    preprocessing: dict[str, Any]
    """How crops are made for the model."""
    sentence: Callable[[Metrics], str]
    """An epoch's or a stage's metrics as a line."""
    weights: dict[str, Any] = field(default_factory=dict)
    """By which files' digests a run is told from one of the same settings, and what the bundle says of them."""
    free: tuple[str, ...] = ()
    """Settings that may change when the run goes on."""


def task_of(config: RunConfig) -> Task:
    """The task that a run's configuration asks for."""
    if isinstance(config, TrainConfig):
        return _embedder(config)
    if isinstance(config, TrainAlignerConfig):
        return _aligner(config)
    if isinstance(config, TrainSegmenterConfig):
        return _segmenter(config)
    if isinstance(config, TrainInpainterConfig):
        return _inpainter(config)
    raise ConfigError(f"{type(config).__name__} is no kind of training")


def _embedder(config: TrainConfig) -> Task:
    def model(state: State) -> nn.Module:
        from raymask.models.networks.maskfacenet import MaskFaceNet

        network = MaskFaceNet(config.model)
        network.load_state_dict(state["average"] or state["model"])
        return network

    def ended(state: State) -> bool:
        done = state["epoch"] + (state["step"] > 0)
        if done > config.epochs:
            raise ConfigError(
                f"epochs {config.epochs}: the run {config.name} has begun or done {done} already; give as many or "
                f"more, or choose another --name"
            )
        return bool(state["epoch"] == config.epochs)

    init, teachers = config.init and _placed(config.init), tuple(map(_placed, config.teachers))
    taught = {"teachers_sha256": [weights_digest(teacher) for teacher in teachers]} if teachers else {}
    return Task(
        settings=asdict(config.loop())
        | {
            "data": absolute_data(config.data),
            "init": init,
            "teachers": teachers,
            "textures": _address(config.textures),
        },
        loop=_train_embedder,
        ended=ended,
        model=model,
        preprocessing={"crop_scale": CROP_SCALE, "crop_size": CROP_SIZE, "input_size": config.model.input_size},
        sentence=_epoch_sentence,
        weights=taught | {"init_sha256": None if init is None else weights_digest(init)} | _drawn_with(config.textures),
        free=(*config.free, "init", "textures"),
    )


def _placed(name: str) -> str:
    """A network's name with its path as workers in other folders need it. Raises ModelError if nothing is there."""
    return str(ModelSpec.of(name).absolute())


def _train_embedder(settings: dict[str, Any], hooks: LoopHooks, resume: State | None, device: torch.device) -> bool:
    from raymask.train.embedder.loop import train

    return train(loop_config(settings), hooks, resume=resume, device=device).finished


def _epoch_sentence(metrics: Metrics) -> str:
    words = [f"loss {metrics['loss']:.4f}"] if metrics["valid"] else []
    words += [f"{name} {metrics[name]:.4f}" for name in ("pull", "contrast", "softmax") if name in metrics]
    words.append(f"{metrics['photos_per_second']:.0f} photos/s")
    if "val_bare" in metrics:
        words.append(f"validation rank-1: bare {metrics['val_bare']:.1%}, masked {metrics['val_masked']:.1%}")
    if metrics["unvisited"]:
        words.append(f"{metrics['unvisited']:,.0f} photos did not come up and are first in the next")
    if metrics["empty_steps"]:
        words.append(f"{metrics['empty_steps']:.0f} steps without an active quintuplet")
    return f"epoch {metrics['epoch']:.0f} done: {', '.join(words)}"


def _aligner(config: TrainAlignerConfig) -> Task:
    def model(state: State) -> nn.Module:
        from raymask.models.networks.aligner import FaceAligner

        network = FaceAligner(config.model)
        network.load_state_dict(state["networks"]["aligner"])
        return network

    return Task(
        settings=without_idle(_reachable(config.course(), "FaceAligner") | {"worn": _address(config.worn)}),
        loop=_train_aligner,
        ended=lambda state: state["epoch"] >= 1,
        model=model,
        preprocessing={"input_size": config.model.input_size},
        sentence=_stage_sentence,
        weights=_begun_with(config.start) | _drawn_with(config.textures),
        free=("start", "textures"),
    )


def _train_aligner(settings: dict[str, Any], hooks: LoopHooks, resume: State | None, device: torch.device) -> bool:
    from raymask.train.staged.aligner import train_aligner

    return train_aligner(align_config(settings), hooks, resume=resume, device=device)


def _segmenter(config: TrainSegmenterConfig) -> Task:
    def model(state: State) -> nn.Module:
        from raymask.models.networks.segmenter import MaskSegmenter

        network = MaskSegmenter(config.model)
        network.load_state_dict(state["networks"]["segmenter"])
        return network

    return Task(
        settings=_reachable(config.course(), "MaskSegmenter"),
        loop=_train_segmenter,
        ended=lambda state: state["epoch"] >= 1,
        model=model,
        preprocessing={"crop_scale": CROP_SCALE, "crop_size": CROP_SIZE},
        sentence=_stage_sentence,
        weights=_begun_with(config.start) | _drawn_with(config.textures),
        free=("start", "textures"),
    )


def _reachable(config: CourseConfig, kind: str) -> dict[str, Any]:
    """Settings with paths as workers in other folders need them. Raises ModelError if the start is no bundle."""
    start = config.start and absolute(config.start)
    if start is not None:
        bundle_config(start, kind)  # named before any worker starts
    return asdict(config) | {
        "data": absolute_data(config.data),
        "start": start,
        "textures": _address(config.textures),
    }


def _begun_with(start: str | None) -> dict[str, Any]:
    """A start by its weights, wherever its bundle lies."""
    return {"start_sha256": None if start is None else bundle_config(absolute(start))["sha256"]}


def _address(folder: str | None) -> str | None:
    """As workers in other folders need it."""
    return None if folder is None else absolute(folder)


def _drawn_with(folder: str | None) -> dict[str, Any]:
    """A user's own textures by their files, wherever they lie. Raises DataError if they cannot be read."""
    from raymask.data.prepare.textures import load_textures

    textures = load_textures(folder)
    return {} if textures is None else {"textures_sha256": textures.digest}


def _train_segmenter(settings: dict[str, Any], hooks: LoopHooks, resume: State | None, device: torch.device) -> bool:
    from raymask.train.staged.segmenter import train_segmenter

    return train_segmenter(segment_config(settings), hooks, resume=resume, device=device)


def _inpainter(config: TrainInpainterConfig) -> Task:
    from raymask.train.staged.inpainter import teachers_of

    def model(state: State) -> nn.Module:
        from raymask.models.networks.inpainter import Inpainter

        network = Inpainter(config.model)
        network.load_state_dict(state["networks"]["inpainter"])
        return network

    teacher = _placed(config.teacher)
    return Task(
        settings=_reachable(config.course(), "Inpainter") | {"teacher": teacher},
        loop=_train_inpainter,
        ended=lambda state: state["epoch"] >= len(config.stages.chosen()),
        model=model,
        preprocessing={"crop_scale": CROP_SCALE, "crop_size": CROP_SIZE},
        sentence=_stage_sentence,
        weights=_begun_with(config.start)
        | {"teachers_sha256": teachers_of(replace(config, teacher=teacher))}
        | _drawn_with(config.textures),
        free=("start", "teacher", "textures"),
    )


def _train_inpainter(settings: dict[str, Any], hooks: LoopHooks, resume: State | None, device: torch.device) -> bool:
    from raymask.train.staged.inpainter import train_inpainter

    return train_inpainter(inpaint_config(settings), hooks, resume=resume, device=device)


def _stage_sentence(metrics: Metrics) -> str:
    return f"stage {metrics['stage']:.0f} done after {metrics['steps']:,.0f} steps"
