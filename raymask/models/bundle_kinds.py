"""The kinds of models that bundles hold. Networks are imported when they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from raymask.models.config import AlignerConfig, InpainterConfig, MaskFaceNetConfig, SegmenterConfig
from raymask.settings import from_mapping

if TYPE_CHECKING:
    from torch import nn


class BundleKind(NamedTuple):
    """How a model comes to be."""

    make: Callable[[dict[str, Any]], nn.Module]
    """From the fields of its config, with weights as they are drawn."""
    made_by: str
    """The job that trains it, for messages."""


def _embedder(arguments: dict[str, Any]) -> nn.Module:
    from raymask.models.networks.maskfacenet import MaskFaceNet

    return MaskFaceNet(from_mapping(MaskFaceNetConfig, arguments))


def _segmenter(arguments: dict[str, Any]) -> nn.Module:
    from raymask.models.networks.segmenter import MaskSegmenter

    return MaskSegmenter(from_mapping(SegmenterConfig, arguments))


def _aligner(arguments: dict[str, Any]) -> nn.Module:
    from raymask.models.networks.aligner import FaceAligner

    return FaceAligner(from_mapping(AlignerConfig, arguments))


def _inpainter(arguments: dict[str, Any]) -> nn.Module:
    from raymask.models.networks.inpainter import Inpainter

    return Inpainter(from_mapping(InpainterConfig, arguments))


def _fusion(arguments: dict[str, Any]) -> nn.Module:
    from raymask.models.fusion import Fusion, FusionConfig

    return Fusion(from_mapping(FusionConfig, arguments))


BUNDLED: dict[str, BundleKind] = {
    "MaskFaceNet": BundleKind(_embedder, "jobs/train.py"),
    "FaceAligner": BundleKind(_aligner, "jobs/train_aligner.py"),
    "MaskSegmenter": BundleKind(_segmenter, "jobs/train_segmenter.py"),
    "Inpainter": BundleKind(_inpainter, "jobs/train_inpainter.py"),
    "Fusion": BundleKind(_fusion, "jobs/fuse.py"),
}
"""By the name of the model's class."""
