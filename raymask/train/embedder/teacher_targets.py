"""What teachers make of the faces that a network learns from; each is shown to them once.

Shapes: N photos of the store, B of a chunk, D values of all teachers' embeddings together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raymask.data.reading.crops import Crops
from raymask.data.reading.sampler import BatchPhoto
from raymask.errors import ConfigError
from raymask.faces.alignment import mirrored
from raymask.faces.crop import CROP_SIZE
from raymask.models.config import MaskFaceNetConfig
from raymask.models.teacher import load_teacher
from raymask.progress import Progress
from raymask.train.engine.distributed import World, gather, on_all_ranks

Told = Callable[[np.ndarray, Tensor], Tensor]
"""(B,) rows of the store, and (B,) bool whether it is their masked crops that are learned from, to (B, D) float32: what
the teachers make of these photos."""

_TILT = 3.0
"""Degrees by which faces are turned either way."""

_TOGETHER = 32
"""Faces that a teacher sees at a time."""


class Targets:
    """The teachers' embeddings of a store's photos; 4 D bytes a crop."""

    def __init__(self, bare: Tensor, masked: Tensor | None = None) -> None:
        """
        Args:
            bare: (N, D) float32, each teacher's part of length 1; of the bare crops.
            masked: as `bare`, of the masked ones; None: these, too, are learned from the bare ones' embeddings.
        """
        self._of = (bare, bare if masked is None else masked)

    def __call__(self, rows: np.ndarray, masked: Tensor) -> Tensor:
        """(B,) rows of the store and (B,) bool which of their crops to (B, D)."""
        bare, wearing = self._of
        return torch.where(masked.cpu()[:, None], wearing[rows], bare[rows])

    @classmethod
    def ask(
        cls,
        teachers: Sequence[str],
        store: Crops,
        model: MaskFaceNetConfig,
        device: torch.device,
        *,
        as_prepared: bool = False,
        precision: torch.dtype | None = None,
        compiled: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> Targets | None:
        """Show the teachers all photos, each rank its share; None if it was asked to stop.

        Args:
            teachers: as `load_teacher` takes them.
            model: of the network that is to follow them, a part of its embedding each.
            as_prepared: show them the masked crops, too.
            precision: of their convolutions under autocast; None for float32.
            compiled: run them through torch.compile.
            stop: asked on all ranks alike, and answered so.

        Raises:
            ConfigError: its embeddings have another size.
            DataError: the store's points cannot be read.
            ModelError: a teacher cannot be had.
        """
        school = on_all_ranks(lambda: _School(teachers, store, device, precision, compiled))
        sizes = [part.shape[1] for part in school.taught(np.zeros(1, dtype=np.int64), masked=False)]
        if sizes != [model.embedding_size // model.parts] * model.parts:
            raise ConfigError(
                f"the teachers' embeddings have {' and '.join(map(str, sizes))} values; set model.parts to "
                f"{len(sizes)} and model.embedding-size to {sum(sizes)}, with teachers of equal sizes"
            )
        shown = []
        with Progress("teachers", total=len(store) * (1 + as_prepared), unit="photos", write=_quiet()) as progress:
            for masked in (False, True)[: 1 + as_prepared]:
                own = _shown(school, len(store), masked=masked, progress=progress, stop=stop)
                if own is None:
                    return None
                shown.append(gather(torch.cat([torch.zeros(0, sum(sizes), device=device), *own]))[0].cpu())
        return cls(*shown)


def _quiet() -> Callable[[str], None] | None:
    """One rank tells how it goes."""
    return (lambda line: None) if World.current().rank else None


def _shown(
    school: _School, photos: int, *, masked: bool, progress: Progress, stop: Callable[[], bool]
) -> list[Tensor] | None:
    """What the teachers make of this rank's share of the photos, in pieces of (b, D); None if it was asked to stop."""
    world = World.current()
    own, parts = np.array_split(np.arange(photos), world.size)[world.rank], []
    for start in range(0, -(-photos // world.size), _TOGETHER):  # as often on each rank: `stop` is collective
        rows = own[start : start + _TOGETHER]
        if len(rows):
            parts.append(torch.cat(school.taught(rows, masked=masked), dim=1))
        progress.add(min(len(rows) * world.size, photos - start * world.size))  # others are about as far
        if stop():
            return None
    return parts


class _School:
    """Teachers, and the photos that they are shown."""

    def __init__(
        self,
        teachers: Sequence[str],
        store: Crops,
        device: torch.device,
        precision: torch.dtype | None,
        compiled: bool,
    ) -> None:
        self._teachers = [load_teacher(name).to(device) for name in teachers]
        if compiled:
            for teacher in self._teachers:
                teacher.network.compile()
        self._store, self._points = store, store.points(quiet=World.current().rank > 0)
        self._device, self._precision = device, precision

    @torch.no_grad()
    def taught(self, rows: np.ndarray, *, masked: bool) -> list[Tensor]:
        """Of each teacher, the mean of what it makes of the faces and of their mirror images, each turned a little
        either way, (B, D) of length 1: no single look at a face is as sure."""
        crops = self._store.pixels([BatchPhoto(int(row), masked) for row in rows], CROP_SIZE)
        faces = torch.from_numpy(crops).to(self._device).float() / 255
        points = self._points[rows].astype(np.float32)
        looks = [_tilted(points, degrees) for degrees in (_TILT, -_TILT)]
        made = []
        for teacher in self._teachers:
            total = torch.zeros((), device=self._device)
            with torch.autocast(
                self._device.type, self._precision or torch.bfloat16, enabled=self._precision is not None
            ):
                for five in looks:
                    total = total + teacher.embed(faces, torch.from_numpy(five)).float()
                    flipped = torch.from_numpy(mirrored(five, CROP_SIZE))
                    total = total + teacher.embed(faces.flip(3), flipped).float()
            made.append(normalize(total, dim=1))
        return made


def _tilted(points: np.ndarray, degrees: float) -> np.ndarray:
    """(B, 5, 2) points turned about their middle, by which a face is aligned that much askew."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], points.dtype)
    middle = points.mean(axis=1, keepdims=True)
    turned: np.ndarray = (points - middle) @ turn + middle
    return turned
