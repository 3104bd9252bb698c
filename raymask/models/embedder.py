"""MaskFaceNet: one embedding for bare and masked faces (paper §4.1, Table 1).

Shapes: B photos, S pixels a side, C channels of the backbone, D values an embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raymask.models.config import Backbone, MaskFaceNetConfig

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
"""Per channel, of RGB in 0 to 1; the statistics that torchvision's own weights expect."""


class MaskFaceNet(nn.Module):
    """A torchvision backbone whose pooling and fully connected layers are replaced by Table 1."""

    def __init__(self, config: MaskFaceNetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone, channels = _convolutions(config.backbone)
        self.head = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.AdaptiveAvgPool2d((1, 1)),
            nn.Flatten(),
            nn.Linear(channels, config.embedding_size),
            nn.BatchNorm1d(config.embedding_size),
        )
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1) * 255, persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, crop_B3SS: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 RGB crops of side `config.input_size` to (B, D) float embeddings, not normalised."""
        scaled = (crop_B3SS.to(self.mean.dtype) - self.mean) / self.std
        return self.head(self.backbone(scaled))


def _convolutions(name: Backbone) -> tuple[nn.Sequential, int]:
    """The backbone up to its last feature map, and that map's channels."""
    import torchvision.models

    network = getattr(torchvision.models, name)(weights=None)
    if name == "vgg16":
        return network.features, 512
    layers = [(part, module) for part, module in network.named_children() if part not in ("avgpool", "fc")]
    sequence = nn.Sequential()
    for part, module in layers:
        sequence.add_module(part, module)
    return sequence, network.fc.in_features
