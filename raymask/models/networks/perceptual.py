"""VGG-19 as EdgeConnect's perceptual network: its maps of a picture, before and after.

Shapes: B pictures, S pixels a side.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import torch
from torch import Tensor, nn

from raymask.errors import ModelError

CONTENT = (1, 6, 11, 20, 29)
"""Places of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 among VGG-19's layers."""

STYLE = (8, 17, 26, 31)
"""Places of relu2_2, relu3_4, relu4_4 and relu5_2."""


class Maps(NamedTuple):
    """A picture's inner maps, (B, C, h, w) each, finest first."""

    content: list[Tensor]
    style: list[Tensor]


class Vgg19(nn.Module):
    """VGG-19's convolutions, which do not learn."""

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features[: max(CONTENT + STYLE) + 1].eval().requires_grad_(False)
        for layer in self.features:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # the maps before it are kept too

    def forward(self, image: Tensor) -> Maps:
        """(B, 3, S, S) RGB in 0 to 1, as EdgeConnect gives it: without ImageNet's mean and deviation."""
        maps = Maps([], [])
        for place, layer in enumerate(self.features):
            image = layer(image)
            if place in CONTENT:
                maps.content.append(image)
            if place in STYLE:
                maps.style.append(image)
        return maps


def load_perceptual() -> Vgg19:
    """VGG-19 with torchvision's ImageNet weights, from its own download or from the file that it keeps of it.

    Raises:
        ModelError: they cannot be downloaded here, or the file is damaged.
    """
    from torchvision.models import VGG19_Weights, vgg19

    weights = VGG19_Weights.IMAGENET1K_V1
    file = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        raise ModelError(
            f"VGG-19's weights cannot be downloaded here ({error}); put torchvision's {file.name} into {file.parent}, "
            f"or train with --perceptual teacher"
        ) from None
    except Exception as error:  # whatever reading a damaged file comes to
        raise ModelError(f"{file} is damaged ({type(error).__name__}); delete it") from None
    # torchvision compares the checksum only when it has just downloaded the file.
    if not hashlib.sha256(file.read_bytes()).hexdigest().startswith(file.stem.rpartition("-")[2]):
        raise ModelError(f"{file} is damaged: its checksum is not that of its name; delete it")
    network = vgg19()
    network.load_state_dict(state)
    return Vgg19(network.features)
