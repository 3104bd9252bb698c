"""Training the aligner: a course of one stage, on faces that are roughly aligned, as a detector's points do it."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor

from raymask.data.crops import Crops
from raymask.data.redraw import Redraw
from raymask.faces.alignment import places
from raymask.models.aligner import TEMPLATE, FaceAligner
from raymask.train.align_config import AlignConfig
from raymask.train.around import Metrics, Surroundings
from raymask.train.checkpoints import State
from raymask.train.course import run_course
from raymask.train.distributed import World, all_sum
from raymask.train.drawn_batches import DrawnBatch, FreshlyDrawn
from raymask.train.picture_grid import picture_grid
from raymask.train.single_stage import SingleStage
from raymask.train.validate import validation_store

PICTURES = 6
"""Faces that are shown."""
_CHUNK = 50
"""Photos that are measured at a time."""


def train_aligner(
    config: AlignConfig, around: Surroundings | None = None, *, resume: State | None = None, device: torch.device
) -> bool:
    """Train an aligner, or train it further from a checkpoint's state; returns whether it was done to its end.

    In a process group every rank calls this and takes its part of each batch.

    Raises:
        ModelError: the start is no aligner of this shape.
        DataError: no prepared faces, or a state that was trained with other settings.
        TrainingError: loss or weights are no longer numbers.
        UnsavedError: a checkpoint cannot be kept.
    """
    return run_course(AlignerCourse(config, device), around or Surroundings(), resume=resume)


class AlignerCourse(SingleStage):
    """Teaches an aligner to find the five points."""

    config: AlignConfig
    teaches = "an aligner"
    name, loss_name = "aligner", "away"

    def __init__(self, config: AlignConfig, device: torch.device) -> None:
        super().__init__(config, device, lambda: FaceAligner(config.model))

    def faces(self, store: Crops, *, quiet: bool) -> FreshlyDrawn:
        """A split's faces, drawn as differently as can be, and misplaced a little farther than a detector does."""
        redraw = self._redraw(strong=True, bare=self.config.bare)
        return FreshlyDrawn(store, redraw, seed=self.config.seed, device=self.device, quiet=quiet)

    def _redraw(self, *, strong: bool, bare: float) -> Redraw:
        return Redraw(
            side=self.config.model.input_size,
            looks=self.config.masks,
            textures=self.textures,
            strong=strong,
            bare=bare,
            smallest=48,
            alignment=TEMPLATE,
            turn=5.0,
            shift=0.08,
            zoom=0.18,
            stray=0.02,
        )

    def losses(self, batch: DrawnBatch) -> Tensor:
        """Mean distance of a face's points, as `distances`."""
        return distances(self.run(self.network, batch.masked), batch.points).mean(1)

    @cached_property
    def _validation(self) -> FreshlyDrawn | None:
        """The validation people's faces, drawn once, half of them bare."""
        store = validation_store(self.config.data)
        if store is None or not self.config.validation_photos:
            return None
        redraw = self._redraw(strong=False, bare=0.5)
        return FreshlyDrawn(store, redraw, seed=self.config.seed, device=self.device, quiet=True)

    @torch.no_grad()
    def measure(self, stage: int) -> Metrics:
        """`away_bare` and `away_masked`: mean distance of a point, in distances of the eyes; where each of them would
        lie without the network is `begun_away`.

        Each rank measures its part of the photos.
        """
        if self._validation is None:
            return {}
        self.network.eval()
        begun_at = torch.from_numpy(places(TEMPLATE, self.config.model.input_size)).float().to(self.device)
        sums = torch.zeros(2, 3, dtype=torch.float64, device=self.device)  # bare, masked: found, begun, faces
        for batch in self._validation.first(self.config.validation_photos, at_once=_CHUNK, world=World.current()):
            worn = (batch.mask_map > 0).flatten(1).any(1).long()
            found = distances(self.network(batch.masked), batch.points).mean(1)
            begun = distances(begun_at.expand_as(batch.points), batch.points).mean(1)
            sums.index_add_(0, worn, torch.stack([found, begun, torch.ones_like(found)], dim=1).double())
        bare, masked = all_sum(sums).tolist()
        return {
            "away_bare": bare[0] / max(bare[2], 1),
            "away_masked": masked[0] / max(masked[2], 1),
            "begun_away": (bare[1] + masked[1]) / max(bare[2] + masked[2], 1),
        }

    @torch.no_grad()
    def pictures(self, stage: int) -> np.ndarray | None:
        """Faces of the validation split with the points found, and with the true ones."""
        if self._validation is None:
            return None
        self.network.eval()
        (batch,) = self._validation.first(PICTURES, at_once=PICTURES, world=World(0, 1))
        found = self.network(batch.masked)
        return picture_grid([_marked(batch.masked, points) for points in (found, batch.points)])


def distances(found: Tensor, true: Tensor) -> Tensor:
    """(B, 5, 2) twice to (B, 5): how far points lie from the true ones, in distances of the true eyes."""
    eyes = (true[:, 1] - true[:, 0]).norm(dim=1, keepdim=True)
    return ((found.float() - true).square().sum(2) + 1e-6).sqrt() / eyes


def _marked(faces: Tensor, points: Tensor) -> Tensor:
    """(B, 3, S, S) uint8 with a cross at each of (B, 5, 2)."""
    marked = faces.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    for face, five in zip(marked, points.cpu().numpy(), strict=True):
        for x, y in five:
            cv2.drawMarker(face, (round(float(x)), round(float(y))), (0, 255, 0), cv2.MARKER_CROSS, 5)
    return torch.from_numpy(marked).permute(0, 3, 1, 2)
