"""What models are made of. No torch here, so that command lines can show it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from raymask.errors import ConfigError, check_choice
from raymask.plugins import PYTHON, installed, unknown

BACKBONES = {
    "resnet18": 32,
    "resnet34": 32,
    "resnet50": 32,
    "resnet101": 32,
    "vgg16": 32,
    "dlib": 103,
    "facenet": 75,
    "sface": 32,
}
"""raymask's own, with the least pixels a side of what each of them takes."""
BACKBONE_GROUP = "raymask.backbones"
"""The group of entry points by which installed packages offer theirs."""
Head = Literal["table1", "linear", "map"]
Alignment = Literal["box", "dlib", "arcface"]
Width = Literal["small", "full"]


@dataclass(frozen=True, kw_only=True)
class MaskFaceNetConfig:
    """What a MaskFaceNet is made of (paper §4.1)."""

    backbone: str = "resnet50"
    """Convolutional part: torchvision's resnet18, resnet34, resnet50, resnet101 or vgg16 (the paper chose resnet50 and
    tried vgg16 too); dlib's 29 convolutions; facenet, FaceNet's InceptionResnetV1; sface, SFace's 27 convolutions,
    whose normalisations are folded in; or your own, an installed entry point or python:MODULE:ATTRIBUTE."""
    head: Head = "table1"
    """From the feature map to the embedding: Table 1's dropout, pooling, linear layer and normalisation; linear,
    without the normalisation, and without biases; or map, one linear layer on the unpooled map (backbone sface)."""
    alignment: Alignment = "box"
    """What the network sees: the square around the detector's box; or the face turned and scaled by its five points,
    to where dlib's or ArcFace's networks expect them."""
    embedding_size: int = 512
    """Values of an embedding."""
    parts: int = 1
    """Equal parts of an embedding, each scaled to length 1 by itself; a network with several teachers has a part for
    each."""
    mirrored: bool = False
    """In use, the mirror image is embedded too and added, which takes twice the time; training sees one of the two."""
    tilted: float = 0.0
    """In use, the face is embedded turned by so many degrees either way too and all are added, which takes three times
    the time, 0 to 15; 0: off."""
    dropout: float = 0.6
    """Probability that Table 1's dropout zeroes a value of the feature map, 0 to under 1; 0: off."""
    input_size: int = 224
    """Pixels on each side of a crop, 32 to 224; half the side trains four times as fast."""

    def __post_init__(self) -> None:
        if not is_backbone(self.backbone):
            raise unknown(BACKBONE_GROUP, self.backbone, BACKBONES, "backbone")
        check_choice("head", self.head, get_args(Head))
        check_choice("alignment", self.alignment, get_args(Alignment))
        if not 0 <= self.tilted <= 15:
            raise ConfigError(f"tilted must be 0 to 15 degrees, not {self.tilted}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be at least 0 and under 1, not {self.dropout}")
        if self.embedding_size < 1:
            raise ConfigError(f"embedding_size must be 1 or more, not {self.embedding_size}")
        if self.parts < 1 or self.embedding_size % self.parts:
            raise ConfigError(f"parts must divide embedding_size ({self.embedding_size}), not {self.parts}")
        if not 32 <= self.input_size <= 224:
            raise ConfigError(f"input_size must be 32 to 224, not {self.input_size}")
        if self.head == "map" and self.backbone != "sface":
            raise ConfigError(f"head map is for backbone sface, not {self.backbone}; choose table1 or linear")
        least = BACKBONES.get(self.backbone, 32)
        if self.input_size < least:
            raise ConfigError(f"input_size must be {least} or more for {self.backbone}, not {self.input_size}")


def is_backbone(name: str) -> bool:
    """Whether a backbone is raymask's, installed or of the form python:MODULE:ATTRIBUTE. Nothing is imported."""
    return name in BACKBONES or name.startswith(f"{PYTHON}:") or name in installed(BACKBONE_GROUP)


SFACE = MaskFaceNetConfig(
    backbone="sface",
    head="map",
    alignment="arcface",
    embedding_size=128,
    mirrored=True,
    dropout=0.0,
    input_size=112,
)
"""SFace as raymask uses it: the embeddings of a face and of its mirror image are added."""


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """What a segmenter is made of."""

    channels: int = 16
    """Channels at half the crop's resolution, 8 to 64; each halving has more, up to eight times as many."""

    def __post_init__(self) -> None:
        if not 8 <= self.channels <= 64:
            raise ConfigError(f"channels must be 8 to 64, not {self.channels}")


@dataclass(frozen=True, kw_only=True)
class AlignerConfig:
    """What an aligner is made of."""

    channels: int = 24
    """Channels at half the face's resolution, 8 to 64; each halving has more, up to six times as many."""
    input_size: int = 96
    """Pixels on each side of a face, a multiple of 16 from 48 to 224."""

    def __post_init__(self) -> None:
        if not 8 <= self.channels <= 64:
            raise ConfigError(f"channels must be 8 to 64, not {self.channels}")
        if not 48 <= self.input_size <= 224 or self.input_size % 16:
            raise ConfigError(f"input_size must be a multiple of 16 from 48 to 224, not {self.input_size}")


@dataclass(frozen=True, kw_only=True)
class InpainterConfig:
    """What an inpainter is made of: EdgeConnect's two generators."""

    width: Width = "small"
    """small: 24 channels, faces of 112 pixels, for CPUs; full: the published architecture, 64 channels at 256."""

    def __post_init__(self) -> None:
        check_choice("width", self.width, get_args(Width))

    @property
    def channels(self) -> int:
        """Channels of the first layer; each of two halvings doubles them."""
        return {"small": 24, "full": 64}[self.width]

    @property
    def side(self) -> int:
        """Pixels on each side of the faces that the generators fill."""
        return {"small": 112, "full": 256}[self.width]
