"""What an inpainter's training is made of; where a default is not EdgeConnect's, EdgeConnect's is named."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from raymask.data.reading.joined import Data
from raymask.errors import ConfigError, check_choice
from raymask.models.config import InpainterConfig
from raymask.models.spec import ModelSpec
from raymask.train.staged.config import CourseConfig, StagedRunConfig

Perceptual = Literal["teacher", "vgg19"]


@dataclass(frozen=True, kw_only=True)
class StagesConfig:
    """Batches of each of the four stages; 0 leaves a stage out."""

    edges: int = 4000
    """The edge generator learns."""
    image: int = 4000
    """The image generator learns, led by the true edges."""
    drawn: int = 8000
    """The image generator learns, led by the edges that the edge generator draws."""
    joint: int = 1000
    """Both learn together."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            if getattr(self, entry.name) < 0:
                raise ConfigError(f"stages.{entry.name} must be 0 or more, not {getattr(self, entry.name)}")
        if not self.chosen():
            raise ConfigError("stages must leave something to learn")

    def chosen(self) -> dict[str, int]:
        """The stages that are not left out, in their order, and their batches."""
        steps = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: count for name, count in steps.items() if count}


@dataclass(frozen=True, kw_only=True)
class InpaintLossConfig:
    """Weights of the losses; 0: off."""

    l1: float = 1.0
    """Distance of pixels in the hole."""
    image_gradient: float = 1.0
    """Distance of the differences between neighbouring pixels. EdgeConnect has none."""
    edge_adversarial: float = 0.05
    """The edge generator's game with its discriminator. EdgeConnect, at 2 million batches, has 1."""
    feature_matching: float = 0.5
    """Distance of the edge discriminator's inner maps. EdgeConnect has 10."""
    edge_entropy: float = 5.0
    """Cross-entropy of the drawn edges in the hole. EdgeConnect has none."""
    adversarial: float = 0.02
    """The image generator's game with its discriminator. EdgeConnect has 0.1, which in hours comes to a pattern."""
    perceptual: float = 0.1
    """Distance of the perceptual network's maps."""
    style: float = 30.0
    """Distance of their Gram matrices, in the hole. EdgeConnect has 250."""
    identity: float = 0.3
    """1 minus the cosine similarity of the teacher's embeddings of the filled and the bare face. EdgeConnect has
    none."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            if getattr(self, entry.name) < 0:
                raise ConfigError(f"loss.{entry.name} must be 0 or more, not {getattr(self, entry.name)}")


@dataclass(frozen=True, kw_only=True)
class InpaintConfig(CourseConfig):
    """All that decides what an inpainter's training computes."""

    teacher: str = "dlib"
    """Face network that says whom a filled face shows: dlib, onnx:FILE or bundle:DIR. Judge pictures by another."""
    perceptual: Perceptual = "teacher"
    """Network behind the perceptual and style losses: vgg19, as published, for which torchvision needs the network or
    a file that it keeps; or the teacher."""
    batch: int = 8
    """Photos in a batch, over all workers."""
    learning_rate: float = 1e-4
    """Of Adam at a stage's start; it falls to a hundredth along a cosine. The discriminators' is a tenth."""
    validation_photos: int = 100
    """Photos of the validation split that it is measured on, at most; 0: off."""
    model: InpainterConfig = field(default_factory=InpainterConfig)
    """The generators."""
    stages: StagesConfig = field(default_factory=StagesConfig)
    """How long each stage takes."""
    loss: InpaintLossConfig = field(default_factory=InpaintLossConfig)
    """Weights of the losses."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("perceptual", self.perceptual, get_args(Perceptual))
        ModelSpec.checked(self.teacher, "teacher")

    def short(self, workers: int) -> dict[str, Any]:
        """A few small batches of each stage."""
        return {
            "stages": StagesConfig(**{name: min(4, steps) for name, steps in asdict(self.stages).items()}),
            "batch": max(workers, min(self.batch, 4)),
            "validation_photos": min(self.validation_photos, 8),
        }


@dataclass(frozen=True, kw_only=True)
class TrainInpainterConfig(StagedRunConfig, InpaintConfig):
    """An inpainter's training and where it runs."""

    data: Data = ""
    """Folder (or URI) made by jobs/prepare.py, or several with commas between them; every worker must reach them."""
    from_edgeconnect: str | None = None
    """Train nothing: make the bundle from this folder of EdgeConnect's published weights (EdgeModel_gen.pth and
    InpaintingModel_gen.pth; not for commercial use)."""

    COURSE = InpaintConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.data or self.start) and self.from_edgeconnect is not None:
            raise ConfigError("data and start have no effect with from_edgeconnect, which trains nothing; leave it out")
        if not self.data and self.from_edgeconnect is None:
            raise ConfigError("data must name a folder made by jobs/prepare.py")
