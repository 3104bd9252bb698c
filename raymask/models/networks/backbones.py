"""Backbones by name: the convolutions of a MaskFaceNet, up to their last feature map. `docs/own_models.md` shows how to
add one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from raymask.errors import ConfigError
from raymask.models.config import BACKBONE_GROUP, BACKBONES
from raymask.models.networks.dlib_network import DlibConvolutions
from raymask.models.networks.sface import SfaceConvolutions
from raymask.plugins import find

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
"""Per channel, of RGB in 0 to 1; the statistics that torchvision's own weights expect."""
_MEAN = tuple(255 * value for value in IMAGE_MEAN)
_STD = tuple(255 * value for value in IMAGE_STD)


class Backbone(NamedTuple):
    """Convolutions, and what they expect."""

    convolutions: nn.Module
    """(B, 3, S, S) float to (B, C, h, w)."""
    channels: int
    """C."""
    mean: tuple[float, ...] = _MEAN
    deviation: tuple[float, ...] = _STD
    """Of RGB in 0 to 255, by channel: what is subtracted from pixels, and what they are divided by then."""


def make_backbone(name: str) -> Backbone:
    """A backbone with weights at random.

    Args:
        name: as `MaskFaceNetConfig.backbone`; code of others is imported.

    Raises:
        ConfigError: code of others cannot be imported or makes something else.
    """
    return _OURS[name]() if name in _OURS else _own(name)


def _torchvision(name: str) -> Backbone:
    import torchvision.models

    network = getattr(torchvision.models, name)(weights=None)
    if name == "vgg16":
        return Backbone(network.features, 512)
    return Backbone(_without(network, "avgpool", "fc"), network.fc.in_features)


def _published(kind: type[DlibConvolutions] | type[SfaceConvolutions]) -> Backbone:
    return Backbone(kind(), kind.channels, kind.mean, kind.deviation)


def _facenet() -> Backbone:
    from facenet_pytorch import InceptionResnetV1

    whole = InceptionResnetV1(pretrained=None)
    convolutions = _without(whole, "avgpool_1a", "dropout", "last_linear", "last_bn")
    return Backbone(convolutions, whole.last_linear.in_features, (127.5,) * 3, (128.0,) * 3)


def _own(name: str) -> Backbone:
    """A module that others wrote: it says how many `channels` it gives, and may say its `mean` and `deviation`."""
    make = find(BACKBONE_GROUP, name, BACKBONES, "backbone")
    made = make() if callable(make) else make
    if not isinstance(made, nn.Module):
        raise ConfigError(f"backbone {name}: it makes a {type(made).__name__}, not a torch.nn.Module")
    channels: Any = getattr(made, "channels", None)
    if not isinstance(channels, int) or channels < 1:
        raise ConfigError(
            f"backbone {name}: its attribute channels must say how many its feature map has, 1 or more, not "
            f"{channels!r}"
        )
    return Backbone(made, channels, getattr(made, "mean", _MEAN), getattr(made, "deviation", _STD))


def _without(network: nn.Module, *parts: str) -> nn.Sequential:
    """A network's other parts, one after another, under their names."""
    sequence = nn.Sequential()
    for part, module in network.named_children():
        if part not in parts:
            sequence.add_module(part, module)
    return sequence


_OURS: dict[str, Callable[[], Backbone]] = {
    **{name: partial(_torchvision, name) for name in ("resnet18", "resnet34", "resnet50", "resnet101", "vgg16")},
    "dlib": partial(_published, DlibConvolutions),
    "facenet": _facenet,
    "sface": partial(_published, SfaceConvolutions),
}
"""Those that `BACKBONES` lists."""
