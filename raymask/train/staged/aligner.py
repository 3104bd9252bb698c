"""Training the aligner: a course of one stage, on faces that are roughly aligned, as a detector's points do it."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor

from raymask.data.augment.redraw import Redraw
from raymask.data.reading.crops import Crops, CropStore
from raymask.faces.alignment import places
from raymask.losses.points import disagreement, distances
from raymask.models.networks.aligner import TEMPLATE, FaceAligner
from raymask.train.engine.checkpoints import State
from raymask.train.engine.distributed import all_sum
from raymask.train.engine.hooks import LoopHooks, Metrics
from raymask.train.engine.resume_guard import contents
from raymask.train.staged.aligner_config import AlignConfig, without_idle
from raymask.train.staged.drawn_batches import DrawnBatch, DrawnFaces, FreshlyDrawn
from raymask.train.staged.loop import run_course, shown_faces
from raymask.train.staged.picture_grid import picture_grid
from raymask.train.staged.single_stage import SingleStage
from raymask.train.staged.worn_views import TwoViews, WornAmongDrawn, learned_and_kept

_CHUNK = 50
"""Photos that are measured at a time."""


def train_aligner(
    config: AlignConfig, hooks: LoopHooks | None = None, *, resume: State | None = None, device: torch.device
) -> bool:
    """Train an aligner to its end; as `run_course`. Raises ModelError too: the start is no aligner of this shape."""
    return run_course(AlignerCourse(config, device), hooks or LoopHooks(), resume=resume)


class AlignerCourse(SingleStage):
    """Teaches an aligner to find the five points."""

    config: AlignConfig
    makes, teaches = FaceAligner, "an aligner"
    name, loss_name = "aligner", "away"

    def __init__(self, config: AlignConfig, device: torch.device) -> None:
        super().__init__(config, device)
        worn = None if config.worn is None else contents(config.worn)
        self.settings = without_idle({**self.settings, "worn": worn})

    def faces(self, store: Crops, *, quiet: bool) -> DrawnFaces:
        """A split's faces, drawn as differently as can be, and misplaced a little farther than a detector does; among
        them those in real masks, if there are any."""
        redraw = self._redraw(strong=True, bare=self.config.bare)
        drawn = FreshlyDrawn(store, redraw, seed=self.config.seed, device=self.device, quiet=quiet)
        if self.config.worn is None:
            return drawn
        worn = self._worn(kept=False, quiet=quiet)
        if not quiet:
            print(f"two views each of {len(worn):,} photos in real masks are to agree", flush=True)
        return WornAmongDrawn(drawn, worn, self.config.worn_share, device=self.device)

    def _worn(self, *, kept: bool, quiet: bool) -> TwoViews:
        """Faces in real masks: those to measure on, or those to learn from."""
        assert self.config.worn is not None
        store = CropStore(self.config.worn, "train")
        rows = learned_and_kept(len(store))[1 if kept else 0]
        redraw = self._redraw(strong=not kept, bare=1.0, mirror=False)
        return TwoViews(store, rows, redraw, seed=self.config.seed, device=self.device, quiet=quiet)

    def _redraw(self, *, strong: bool, bare: float, mirror: bool = True) -> Redraw:
        return Redraw(
            side=self.config.model.input_size,
            looks=self.config.masks,
            textures=self.textures,
            strong=strong,
            bare=bare,
            mirror=mirror,
            smallest=48,
            alignment=TEMPLATE,
            turn=5.0,
            shift=0.08,
            zoom=0.18,
            stray=0.02,
        )

    def losses(self, batch: DrawnBatch) -> Tensor:
        """Mean distance of a face's points from the true ones, or of two views' points from each other, as
        `distances`."""
        if "worn" not in batch.more:
            return distances(self.run(self.network, batch.masked), batch.points).mean(1)
        worn, across = batch.more["worn"], batch.more["across"]
        found = self.run(self.network, torch.cat([batch.masked, batch.more["second"][worn]]))
        first, second = found.split([len(worn), len(found) - len(worn)])
        away = distances(first[~worn], batch.points[~worn]).mean(1)
        apart = disagreement(first[worn], second, across[worn], batch.points[worn]).mean(1)
        return torch.cat([away, self.config.worn_weight * apart])

    def measured_faces(self, store: Crops) -> FreshlyDrawn:
        """A split's faces, half of them bare."""
        redraw = self._redraw(strong=False, bare=0.5)
        return FreshlyDrawn(store, redraw, seed=self.config.seed, device=self.device, quiet=True)

    @cached_property
    def _worn_validation(self) -> TwoViews | None:
        """Two views, drawn once, each of the faces in real masks that nothing is learned from."""
        if self.config.worn is None or not self.config.validation_photos:
            return None
        faces = self._worn(kept=True, quiet=True)
        return faces if len(faces) else None

    @torch.no_grad()
    def measure(self, stage: int) -> Metrics:
        """`away_bare` and `away_masked`: mean distance of a point, in distances of the eyes; where each of them would
        lie without the network is `begun_away`. `away_worn`: mean distance between the points of two views of a real
        mask.

        Each rank measures its part of the photos.
        """
        self.network.eval()
        return self._measured() | self._worn_measured()

    def _measured(self) -> Metrics:
        """On faces whose points are known."""
        if self.validation is None:
            return {}
        begun_at = torch.from_numpy(places(TEMPLATE, self.config.model.input_size)).float().to(self.device)
        sums = torch.zeros(2, 3, dtype=torch.float64, device=self.device)  # bare, masked: found, begun, faces
        for batch in self.measured_batches(self.validation, at_once=_CHUNK):
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

    def _worn_measured(self) -> Metrics:
        """On faces in real masks."""
        if self._worn_validation is None:
            return {}
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)  # apart, faces
        for batch in self.measured_batches(self._worn_validation, at_once=_CHUNK):
            first, second = self.network(batch.masked), self.network(batch.more["second"])
            apart = disagreement(first, second, batch.more["across"], batch.points).mean(1)
            sums += torch.stack([apart.double().sum(), sums.new_tensor(len(apart))])
        apart, faces = all_sum(sums).tolist()
        return {"away_worn": apart / max(faces, 1)}

    @torch.no_grad()
    def pictures(self, stage: int) -> np.ndarray | None:
        """Faces of the validation split with the points found, and with the true ones; beside them two views of faces
        in real masks, with the points found in each."""
        self.network.eval()
        grids = []
        if self.validation is not None:
            batch = shown_faces(self.validation)
            found = self.network(batch.masked)
            grids.append(picture_grid([_marked(batch.masked, points) for points in (found, batch.points)]))
        if self._worn_validation is not None:
            batch = shown_faces(self._worn_validation)
            views = batch.masked, batch.more["second"]
            grids.append(picture_grid([_marked(view, self.network(view)) for view in views]))
        return _beside(grids) if grids else None


def _beside(grids: list[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) side by side, black below the shorter."""
    height = max(len(grid) for grid in grids)
    return np.concatenate([np.pad(grid, ((0, height - len(grid)), (0, 0), (0, 0))) for grid in grids], axis=1)


def _marked(faces: Tensor, points: Tensor) -> Tensor:
    """(B, 3, S, S) uint8 with a cross at each of (B, 5, 2)."""
    marked = faces.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    for face, five in zip(marked, points.cpu().numpy(), strict=True):
        for x, y in five:
            cv2.drawMarker(face, (round(float(x)), round(float(y))), (0, 255, 0), cv2.MARKER_CROSS, 5)
    return torch.from_numpy(marked).permute(0, 3, 1, 2)
