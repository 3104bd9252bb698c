"""MaskFaceNet: one embedding for bare and masked faces (paper §4.1, Table 1).

Shapes: B photos, S pixels a side, C channels of the backbone, D values an embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, normalize

from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.backbones import make_backbone
from raymask.models.networks.sface import SfaceConvolutions

_VIEWS_AT_ONCE = 32
"""That go through the network together in use, so that memory does not grow with their number."""


class MaskFaceNet(nn.Module):
    """A backbone whose pooling and fully connected layers are replaced by Table 1, or by one linear layer, which may
    see the map unpooled."""

    def __init__(self, config: MaskFaceNetConfig) -> None:
        super().__init__()
        self.config = config
        backbone = make_backbone(config.backbone)
        self.backbone = backbone.convolutions
        unpooled = config.head == "map"
        places = (config.input_size // SfaceConvolutions.shrinks) ** 2 if unpooled else 1
        self.head = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Identity() if unpooled else nn.AdaptiveAvgPool2d((1, 1)),
            nn.Flatten(),
            nn.Linear(backbone.channels * places, config.embedding_size, bias=config.head != "linear"),
            nn.BatchNorm1d(config.embedding_size) if config.head == "table1" else nn.Identity(),
        )
        for name, values in (("mean", backbone.mean), ("std", backbone.deviation)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    @property
    def last(self) -> nn.Linear:
        """The layer that makes embeddings of what the backbone sees."""
        layer = self.head[3]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, crop_B3SS: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 RGB crops of side `config.input_size` to (B, D) float embeddings, not normalised but for
        the parts of one that has several, whose lengths are 1."""
        scaled = self._scaled(crop_B3SS)
        made = self.head(self.backbone(scaled)) if self.training else self._in_use(scaled)
        if self.config.parts == 1:
            return made
        return normalize(made.unflatten(1, (self.config.parts, -1)), dim=2).flatten(1)

    def pooled(self, crop_B3SS: Tensor) -> Tensor:
        """What the last layer is given of such crops, each looked at once: (B, C)."""
        pooled: Tensor = self.head[1:3](self.backbone(self._scaled(crop_B3SS)))
        return pooled

    def _scaled(self, crop_B3SS: Tensor) -> Tensor:
        return (crop_B3SS.to(self.mean.dtype) - self.mean) / self.std

    def _in_use(self, face: Tensor) -> Tensor:
        """The sum of what it makes of all views, (B, D)."""
        views = self._views(face)
        made = torch.cat([self.head(self.backbone(some)) for some in torch.cat(views).split(_VIEWS_AT_ONCE)])
        return made.unflatten(0, (len(views), len(face))).sum(0)

    def _views(self, face: Tensor) -> list[Tensor]:
        """What is embedded of a face in use, (B, 3, S, S) each; their embeddings' sum errs less than any of them."""
        tilt = self.config.tilted
        views = [face, _turned(face, tilt), _turned(face, -tilt)] if tilt else [face]
        return views + [view.flip(3) for view in views] if self.config.mirrored else views


def _turned(faces: Tensor, degrees: float) -> Tensor:
    """(B, 3, S, S) faces turned about their centre; what comes into the picture is its reflection."""
    angle = math.radians(degrees)
    matrix = faces.new_tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]])
    grid = affine_grid(matrix.expand(len(faces), 2, 3), list(faces.shape), align_corners=False)
    return grid_sample(faces, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
