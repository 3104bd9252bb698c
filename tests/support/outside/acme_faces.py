"""An embedder, a backbone and a loss that raymask does not know."""

import numpy as np
from torch import Tensor, nn

from raymask.train.embedder.terms.base import LossBatch, Lost, Term, mean_loss


class Embedder:
    """How light the parts of a face are: enough to show how an embedder is added, and of no other use."""

    alignment = "arcface"
    input_size = 112
    embedding_size = 48
    version = "1"

    def embed_aligned(self, faces: np.ndarray) -> np.ndarray:
        """(N, 112, 112, 3) uint8 RGB to (N, 48) float32."""
        parts = faces.reshape(len(faces), 4, 28, 4, 28, 3).mean(axis=(2, 4)).reshape(len(faces), 48)
        return (parts - parts.mean(axis=1, keepdims=True)).astype(np.float32)


class Backbone(nn.Sequential):
    """Two convolutions, (B, 3, S, S) to (B, 32, S / 16, S / 16)."""

    channels = 32

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(3, 16, 3, stride=4, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, stride=4, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        )


class Loss(Term):
    """Mean squared value of the embeddings, which keeps them short."""

    def forward(self, batch: LossBatch) -> tuple[Tensor, Lost]:
        """This worker's share, with gradient, and what the whole batch lost."""
        return mean_loss(batch.embeddings.square().mean(1))
