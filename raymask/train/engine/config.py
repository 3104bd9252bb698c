"""What a training run is made of; the defaults are the paper's (§4.1, §5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args

from raymask.data.reading.joined import Data, folders_of
from raymask.data.reading.sampler import SamplerConfig
from raymask.errors import ConfigError, check_choice
from raymask.faces.masks.looks import TRAIN_LOOKS, check_looks
from raymask.models.config import MaskFaceNetConfig
from raymask.models.spec import ModelSpec
from raymask.train.engine.schedules import cycle, dropped

Distance = Literal["squared_euclidean", "cosine"]
Schedule = Literal["hybrid", "all", "semihard", "hardest"]
Precision = Literal["float32", "bfloat16"]
Kind = Literal["sgd", "adam"]
RateSchedule = Literal["steps", "cycle"]

LEAST_CHUNK = 8
"""Photos whose statistics are worth normalising by."""


C = TypeVar("C")


def part_of(kind: type[C], config: Any) -> C:
    """The fields of `kind` out of a configuration that has them among others."""
    return kind(**{entry.name: getattr(config, entry.name) for entry in fields(kind)})  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The quintuplet loss and its schedule."""

    margin: float = 0.2
    """Alpha of §4.2, in units of the distance; positive."""
    distance: Distance = "squared_euclidean"
    """Between normalised embeddings."""
    mining: Schedule = "hybrid"
    """Which quintuplets count; hybrid: semihard first, then hardest (§5)."""
    semihard_epochs: int = 7
    """Epochs of semihard mining before the hardest, under hybrid."""
    weight: float = 1.0
    """Of this loss beside the teachers'; 0: off."""
    bare_fixed: bool = False
    """In this loss bare photos stand where the teachers put them, so that only masked ones learn from it; off: both
    learn. With one teacher."""

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ConfigError(f"loss.weight must be 0 or more, not {self.weight}")
        check_choice("loss.distance", self.distance, get_args(Distance))
        check_choice("loss.mining", self.mining, get_args(Schedule))
        if not self.margin > 0:
            raise ConfigError(f"loss.margin must be positive, not {self.margin}")
        if self.semihard_epochs < 0:
            raise ConfigError(f"loss.semihard_epochs must be 0 or more, not {self.semihard_epochs}")

    def rule(self, epoch: int) -> Literal["all", "semihard", "hardest"]:
        """The mining rule of an epoch, counted from 0."""
        if self.mining != "hybrid":
            return self.mining
        return "semihard" if epoch < self.semihard_epochs else "hardest"


@dataclass(frozen=True, kw_only=True)
class DistilConfig:
    """What is learned from teachers, networks that know bare faces."""

    as_prepared: bool = False
    """Teachers embed masked crops as they were prepared, painted faces as they were painted, so that a network becomes
    a copy of its teacher; off: they embed the bare photo of each."""
    pull: float = 1.0
    """Weight of the squared distance of each part of an embedding to its teacher's; 0: off."""
    contrast: float = 0.0
    """Weight of the cross-entropy of telling the teacher's embedding of one's own photo among the batch's; 0: off."""
    temperature: float = 0.05
    """Of that cross-entropy, on cosine similarities; positive."""

    def __post_init__(self) -> None:
        if self.pull < 0 or self.contrast < 0:
            raise ConfigError("distil.pull and distil.contrast must be 0 or more")
        if not self.temperature > 0:
            raise ConfigError(f"distil.temperature must be positive, not {self.temperature}")


@dataclass(frozen=True, kw_only=True)
class SoftmaxConfig:
    """Telling the training's people apart by a vector each, with a margin (CosFace)."""

    weight: float = 0.0
    """Of this loss; 0: off."""
    margin: float = 0.35
    """By which the cosine to one's own vector is lessened, 0 to 1."""
    scale: float = 30.0
    """Of the cosines before the softmax; positive."""

    def __post_init__(self) -> None:
        if self.weight < 0 or not 0 <= self.margin <= 1 or not self.scale > 0:
            raise ConfigError("softmax.weight must be 0 or more, softmax.margin 0 to 1, softmax.scale positive")


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """Stochastic gradient descent with a stepwise decay, or Adam; the rate may go through one cycle instead."""

    kind: Kind = "sgd"
    """sgd or adam."""
    schedule: RateSchedule = "steps"
    """Of the learning rate: steps, which drop it every few epochs; or cycle: up over a fifth of the training, then down
    to nothing along a cosine."""
    learning_rate: float = 0.05
    """At the start, or at the top of the cycle; positive."""
    convolutions: float = 1.0
    """The backbone's convolutions learn at this share of the rate; those of a network that knows faces already, at
    little of it."""
    affine: float = 1.0
    """The backbone's other weights, factors and terms by channel, learn at this share of the rate."""
    last: float = 1.0
    """The head learns at this share of the rate, which for a network that knows faces already holds most weights; 0:
    it stays as it is."""
    frozen: int = 0
    """The first so many layers of the backbone, as it lists them, stay as they are and cost no backward pass; for a
    network that knows faces already. 0: off."""
    hold: float = 0.0
    """Decay towards the weights that the training began with, by the rate of each part of the network, instead of
    towards 0 (L2-SP, arXiv 1802.01483); needs init. 0: off."""
    drop_every: int = 2
    """Epochs between drops, under steps; 0: never."""
    drop_factor: float = 10.0
    """What a drop divides the learning rate by, under steps; over 1."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0; 0: off."""
    average: float = 0.0
    """What is measured and kept is a running mean of the weights, which at each step keeps this share of itself, 0 to
    under 1, but at most (1 + step) / (10 + step), so that a short training forgets its start; 0: the last weights."""
    momentum: float = 0.0
    """Of sgd, 0 to under 1; 0: off, for the paper names none."""
    weight_decay: float = 0.0
    """L2 penalty under sgd; under adam, AdamW's decay by the rate of each part of the network; 0: off."""

    def __post_init__(self) -> None:
        check_choice("optimiser.kind", self.kind, get_args(Kind))
        check_choice("optimiser.schedule", self.schedule, get_args(RateSchedule))
        if self.convolutions < 0 or self.affine < 0 or self.last < 0:
            raise ConfigError("optimiser.convolutions, optimiser.affine and optimiser.last must be 0 or more")
        if self.frozen < 0 or self.hold < 0:
            raise ConfigError("optimiser.frozen and optimiser.hold must be 0 or more")
        if not self.learning_rate > 0:
            raise ConfigError(f"optimiser.learning_rate must be positive, not {self.learning_rate}")
        if self.drop_every < 0 or self.warmup_steps < 0 or self.weight_decay < 0:
            raise ConfigError("optimiser.drop_every, warmup_steps and weight_decay must be 0 or more")
        if self.schedule == "cycle" and self.warmup_steps:
            raise ConfigError("optimiser.warmup_steps has no effect on schedule cycle, which begins low; leave it out")
        if self.kind == "adam" and self.momentum:
            raise ConfigError("optimiser.momentum has no effect on adam; leave it out")
        if not self.drop_factor > 1:
            raise ConfigError(f"optimiser.drop_factor must be over 1, not {self.drop_factor}")
        for name in ("momentum", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"optimiser.{name} must be at least 0 and under 1, not {getattr(self, name)}")

    def rate(self, epoch: int, step: int, steps: int) -> float:
        """Learning rate of a step; `epoch` and the overall `step` of `steps` count from 0."""
        if self.schedule == "cycle":
            return self.learning_rate * cycle(step, steps)
        warm, divisor = dropped(epoch, step, every=self.drop_every, factor=self.drop_factor, warmup=self.warmup_steps)
        return self.learning_rate * warm / divisor


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """Where a run can be watched from while it goes on: numbers and settings, no embedding, nobody's name."""

    tensorboard: bool = True
    """Event files in STORAGE/NAME/tensorboard."""
    mlflow: str | None = None
    """MLflow tracking address, such as http://host:5000 or sqlite:////FOLDER/runs.db; null: off."""
    every: int = 10
    """Steps between two points of a curve."""
    pictures: bool = True
    """Show what segmenter, aligner and inpainter make of some validation faces; off: no photo leaves the data."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError(f"watch.every must be 1 or more, not {self.every}")


OWN_OPTIONS = {
    "quintuplets": ("loss", "weight"),
    "pull": ("distil", "pull"),
    "contrast": ("distil", "contrast"),
    "softmax": ("softmax", "weight"),
}
"""The first losses, by name: which fields of `LoopConfig` hold their settings, and which of these is the weight. All
others are in `losses`."""

_METRICS = ("epoch", "loss", "valid", "active", "empty_steps", "visited", "unvisited", "photos_per_second")
"""Names that no loss can have, beside those that begin with `val_`: an epoch's metrics have them."""


def loss_label(name: str) -> str:
    """What a loss is called in metrics and curves: of python:MODULE:ATTRIBUTE the attribute."""
    return name.rpartition(":")[2]


def _check_losses(losses: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ConfigError for names or weights that cannot be. No loss is looked up here: that may import anything."""
    labels = [loss_label(name) for name in losses]
    for name, label in zip(losses, labels, strict=True):
        if label in OWN_OPTIONS:
            raise ConfigError(f"losses.{name}: this loss has an option of its own, {'.'.join(OWN_OPTIONS[label])}")
        taken = label in _METRICS or label.startswith("val_") or labels.count(label) > 1
        if taken or not re.fullmatch(r"[A-Za-z][\w-]*", label):
            why = "is taken" if taken else "must be letters, digits, dashes and underscores"
            raise ConfigError(f"losses.{name}: the name {label!r} {why}; choose another")
        settings = losses[name]
        weight = settings.get("weight") if isinstance(settings, Mapping) else None
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise ConfigError(f"losses.{name} needs a weight of 0 or more, as in {{weight: 0.1}}, not {weight!r}")


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """All that decides what a training run computes, and nothing about where it runs."""

    data: Data
    """Folder (or URI) made by jobs/prepare.py, or several with commas between them; every worker must reach them.
    People of different folders are different people, even under equal names."""
    epochs: int = 10
    """Passes over the training photos."""
    seed: int = 0
    """Decides initial weights, batches, flips and dropout."""
    flip: bool = True
    """Mirror half of the photos, chosen anew at every visit."""
    remask: bool = False
    """Draw a fresh mask at each visit of a photo, from its stored landmarks; off: the one that it was prepared with."""
    masks: tuple[str, ...] | None = None
    """Masks that remask draws, as jobs/prepare.py takes them; null: those that it draws by itself."""
    textures: str | None = None
    """Folder (or URI) with your own pictures (JPEG, PNG, WebP), which masks of the look cloth:own are made of; every
    worker must reach it. null: off."""
    morphs: int = 0
    """Faces blended of two people's each, a person each, of which every batch holds some beside its people's photos, so
    that all come about once an epoch; with remask, or, as they were painted, with --distil.as-prepared. 0: off."""
    alter: bool = False
    """Alter each face at each visit as cameras, editors and detectors do: its size, place, light, colour and sharpness;
    fresh masks take colours and prints that no look has, and hands and things come before bare faces."""
    init: str | None = None
    """Weights to begin with: sface[:FILE], dlib or facenet[:WEIGHTS] (for a backbone of that name; WEIGHTS is vggface2,
    casia-webface or a file) or bundle:DIR; null: random ones."""
    teachers: tuple[str, ...] = ()
    """Networks for bare faces to learn from, as sface[:FILE], dlib, onnx:FILE or bundle:DIR: each has a part of the
    embedding; empty: off."""
    chunk: int | None = None
    """Photos that go through the network at once, and that it normalises together; a batch of any size trains in the
    memory of one chunk and is the same on any number of workers. null: each worker's share of the batch at once,
    normalised over all workers."""
    precision: Precision = "float32"
    """Arithmetic of the convolutions; bfloat16 is faster on processors that have it. The loss is always float32."""
    compile: bool = False
    """Compile the convolutions with torch.compile, which takes a minute at each start and needs a C++ compiler."""
    validation_photos: int = 600
    """Photos of the validation split that each epoch is measured on, at most, spread evenly over people; 0: off."""
    model: MaskFaceNetConfig = field(default_factory=MaskFaceNetConfig)
    """The network."""
    batch: SamplerConfig = field(default_factory=SamplerConfig)
    """The P x K batches."""
    loss: LossConfig = field(default_factory=LossConfig)
    """The quintuplet loss."""
    distil: DistilConfig = field(default_factory=DistilConfig)
    """What is learned from teachers."""
    softmax: SoftmaxConfig = field(default_factory=SoftmaxConfig)
    """Telling the training's people apart."""
    losses: dict[str, dict[str, Any]] = field(default_factory=dict)
    """More losses: of each its weight, 0 or more, and its settings, as NAME: {weight: 0.1, ...}. NAME is what an
    installed package offers, or python:MODULE:ATTRIBUTE, which every worker must be able to import. Empty: none."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    """How the weights move."""

    def __post_init__(self) -> None:
        folders_of(self.data)
        if self.init is not None:
            ModelSpec.checked(self.init, "init")
        elif self.optimiser.frozen or self.optimiser.hold:
            raise ConfigError("optimiser.frozen and optimiser.hold keep weights that a training begins with; set init")
        for teacher in self.teachers:
            ModelSpec.checked(teacher, "teacher")
        if self.teachers and len(self.teachers) != self.model.parts:
            raise ConfigError(
                f"model.parts must be the number of teachers ({len(self.teachers)}), not {self.model.parts}"
            )
        if self.loss.bare_fixed and len(self.teachers) != 1:
            raise ConfigError("loss.bare_fixed needs one teacher, which says where bare photos stand")
        _check_losses(self.losses)
        if not self.weights:
            raise ConfigError(
                "nothing is learned: loss.weight and softmax.weight are 0, losses names none, and there are no "
                "teachers, or distil.pull and distil.contrast are 0"
            )
        if self.remask and self.distil.as_prepared:
            raise ConfigError(
                "distil.as_prepared has no effect on masks that remask draws afresh; leave one of them out"
            )
        if self.distil.as_prepared and not self.teachers:
            raise ConfigError("distil.as_prepared has no effect without teachers; leave it out")
        check_choice("precision", self.precision, get_args(Precision))
        if self.masks is not None and not (self.remask and self.masks):
            raise ConfigError("masks must name at least one mask, for remask to draw")
        if self.masks is not None or self.textures is not None:
            check_looks(self.masks or TRAIN_LOOKS, self.textures)
        if self.morphs < 0 or (self.morphs and not (self.remask or self.distil.as_prepared)):
            raise ConfigError(
                "morphs must be 0 or more, and wear only masks that remask draws, or painted faces that teachers embed "
                "as prepared: set remask or distil.as_prepared too"
            )
        if self.seed < 0:
            raise ConfigError(f"seed must be 0 or more, not {self.seed}")
        if self.chunk is not None and self.chunk < LEAST_CHUNK:
            raise ConfigError(
                f"chunk must be {LEAST_CHUNK} or more, for its photos are normalised together, not {self.chunk}"
            )
        if self.epochs < 1:
            raise ConfigError(f"epochs must be 1 or more, not {self.epochs}")
        if self.validation_photos < 0:
            raise ConfigError(f"validation_photos must be 0 or more, not {self.validation_photos}")

    @property
    def free(self) -> tuple[str, ...]:
        """Settings that may change when a run goes on: how long it is, but not in a cycle, whose rate hangs on its
        end."""
        return () if self.optimiser.schedule == "cycle" else ("epochs",)

    @property
    def weights(self) -> dict[str, float]:
        """Of the losses that are on, by name, in the order in which they are added."""
        own = {name: getattr(getattr(self, part), field) for name, (part, field) in OWN_OPTIONS.items()}
        if not self.teachers:
            del own["pull"], own["contrast"]
        weights = own | {loss_label(name): settings["weight"] for name, settings in self.losses.items()}
        return {name: weight for name, weight in weights.items() if weight}

    @property
    def loss_metrics(self) -> dict[str, str]:
        """Under which names an epoch's metrics hold the losses that are on; the quintuplets' was the only one once."""
        return {name: "loss" if name == "quintuplets" else name for name in self.weights}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where a training runs and what it leaves; the same for every kind of training."""

    storage: str
    """Folder (or URI) for checkpoints and the bundle; shared by all machines of the cluster."""
    name: str
    """Name of the run; the same name continues it."""
    workers: int = 1
    """Processes that train together on one batch; any number gives the same loss and gradients."""
    cpus_per_worker: int = 1
    """CPU cores of each worker."""
    min_workers: int | None = None
    """Go on with as few when machines are lost, and take them in again; null: wait until all `workers` are there."""
    gpu: bool = False
    """Give each worker a GPU."""
    checkpoint_every: int = 200
    """Steps between checkpoints, beside one after each epoch or stage."""
    own: tuple[str, ...] = ()
    """Your own backbones that bundles may name, commas between them: installed entry points or
    python:MODULE:ATTRIBUTE. What a bundle names and this does not is never imported."""
    watch: WatchConfig = field(default_factory=WatchConfig)
    """TensorBoard and MLflow."""

    def __post_init__(self) -> None:
        for name in ("workers", "cpus_per_worker", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.min_workers is not None and not 1 <= self.min_workers <= self.workers:
            raise ConfigError(f"min_workers must be 1 to workers ({self.workers}), not {self.min_workers}")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.name):
            raise ConfigError(f"name {self.name!r} must be letters, digits, dots, dashes and underscores")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig, LoopConfig):
    """A training run of MaskFaceNet and where it runs."""

    def __post_init__(self) -> None:
        LoopConfig.__post_init__(self)
        RunConfig.__post_init__(self)

    def loop(self) -> LoopConfig:
        """The part that the loop needs."""
        return part_of(LoopConfig, self)
