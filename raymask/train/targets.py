"""What teachers make of the bare faces that a network learns from; each face is shown to them once.

Shapes: B photos, D values of all teachers' embeddings together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raymask.data.crops import CropStore
from raymask.data.sampler import Shot
from raymask.errors import ConfigError
from raymask.faces.alignment import mirrored
from raymask.faces.crop import CROP_SIZE
from raymask.models.teacher import load_teacher
from raymask.train.distributed import on_all_ranks

_TOGETHER = 64
"""Faces that a teacher sees at a time."""


class Targets:
    """The teachers' embeddings of a store's photos, worked out when they are first asked for; 4 D bytes a photo."""

    def __init__(self, teachers: Sequence[str], store: CropStore, device: torch.device, *, quiet: bool = False) -> None:
        """
        Args:
            teachers: as `load_teacher` takes them.

        Raises:
            DataError: the store's points cannot be read.
            ModelError: a teacher cannot be had.
        """
        self._teachers = [teacher.to(device) for teacher in on_all_ranks(lambda: [load_teacher(n) for n in teachers])]
        self._store, self._points, self._device = store, store.points(quiet=quiet), device
        first = self._taught(np.zeros(1, dtype=np.int64))
        self.sizes = [part.shape[1] for part in first]
        """Values of each teacher's embedding."""
        self._known = np.zeros(len(store), dtype=bool)
        self._rows = torch.zeros(len(store), sum(self.sizes))

    def check(self, embedding_size: int, parts: int) -> None:
        """Raise ConfigError if embeddings of this size in so many parts cannot follow the teachers."""
        if self.sizes != [embedding_size // parts] * parts:
            raise ConfigError(
                f"the teachers' embeddings have {' and '.join(map(str, self.sizes))} values; set model.parts to "
                f"{len(self.sizes)} and model.embedding-size to {sum(self.sizes)}, with teachers of equal sizes"
            )

    def __call__(self, rows: np.ndarray) -> Tensor:
        """(B,) rows of the store to (B, D) float32, each teacher's part of length 1."""
        new = np.unique(rows[~self._known[rows]])
        for start in range(0, len(new), _TOGETHER):
            part = new[start : start + _TOGETHER]
            self._rows[part] = torch.cat(self._taught(part), dim=1)
            self._known[part] = True
        return self._rows[rows]

    @torch.no_grad()
    def _taught(self, rows: np.ndarray) -> list[Tensor]:
        """Of each teacher, the sum of what it makes of the faces and of their mirror images."""
        crops = self._store.pixels([Shot(int(row), masked=False) for row in rows], CROP_SIZE)
        faces = torch.from_numpy(crops).to(self._device).float() / 255
        points = self._points[rows].astype(np.float32)
        upright, flipped = torch.from_numpy(points), torch.from_numpy(mirrored(points, CROP_SIZE))
        made = []
        for teacher in self._teachers:
            both = teacher(faces, upright).embedding + teacher(faces.flip(3), flipped).embedding
            made.append(normalize(both, dim=1).cpu())
        return made
