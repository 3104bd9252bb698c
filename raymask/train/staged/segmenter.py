"""Training the segmenter: a course of one stage."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from raymask.data.augment.redraw import Redraw
from raymask.data.reading.crops import Crops
from raymask.faces.crop import CROP_SIZE
from raymask.losses.segmentation import segmentation_loss
from raymask.models.networks.segmenter import MaskSegmenter
from raymask.train.engine.checkpoints import State
from raymask.train.engine.distributed import all_sum
from raymask.train.engine.hooks import LoopHooks, Metrics
from raymask.train.staged.drawn_batches import DrawnBatch, FreshlyDrawn
from raymask.train.staged.loop import run_course, shown_faces
from raymask.train.staged.picture_grid import picture_grid
from raymask.train.staged.segmenter_config import SegmentConfig
from raymask.train.staged.single_stage import SingleStage

_CHUNK = 20
"""Photos that are measured at a time."""


def train_segmenter(
    config: SegmentConfig, hooks: LoopHooks | None = None, *, resume: State | None = None, device: torch.device
) -> bool:
    """Train a segmenter to its end; as `run_course`. Raises ModelError too: the start is no segmenter of this shape."""
    return run_course(SegmenterCourse(config, device), hooks or LoopHooks(), resume=resume)


class SegmenterCourse(SingleStage):
    """Teaches a segmenter to find masks."""

    config: SegmentConfig
    makes, teaches = MaskSegmenter, "a segmenter"
    name, loss_name = "segmenter", "loss"

    def faces(self, store: Crops, *, quiet: bool) -> FreshlyDrawn:
        """A split's faces, drawn as differently as can be."""
        config = self.config
        redraw = Redraw(
            side=CROP_SIZE,
            looks=config.masks,
            textures=self.textures,
            bare=config.bare,
            strong=True,
            turn=8.0,
            shift=0.06,
            zoom=0.15,
        )
        return FreshlyDrawn(store, redraw, seed=config.seed, device=self.device, quiet=quiet)

    def losses(self, batch: DrawnBatch) -> Tensor:
        """As `segmentation_loss`."""
        return segmentation_loss(self.run(self.network, batch.masked), (batch.mask_map > 127).float())

    def measured_faces(self, store: Crops) -> FreshlyDrawn:
        """A split's faces, half of them bare."""
        redraw = Redraw(side=CROP_SIZE, looks=self.config.masks, textures=self.textures, bare=0.5)
        return FreshlyDrawn(store, redraw, seed=self.config.seed, device=self.device, quiet=True)

    @torch.no_grad()
    def measure(self, stage: int) -> Metrics:
        """`iou`: pooled over pixels of masked faces; `bare_empty`: share of bare faces of which under 0.5% is covered.

        Each rank measures its part of the photos.
        """
        if self.validation is None:
            return {}
        self.network.eval()
        sums = torch.zeros(4, dtype=torch.float64, device=self.device)  # both, either, empty bare faces, bare faces
        for batch in self.measured_batches(self.validation, at_once=_CHUNK):
            found, true = self.network(batch.masked) > 0, batch.mask_map > 127
            worn = true.any(3).any(2).any(1)
            sums[0] += (found & true).sum()
            sums[1] += ((found | true) & worn[:, None, None, None]).sum()
            sums[2] += (found.float().mean((1, 2, 3)) < 0.005)[~worn].sum()
            sums[3] += (~worn).sum()
        both, either, empty, bare = all_sum(sums).tolist()
        return {"iou": both / max(either, 1), "bare_empty": empty / max(bare, 1)}

    @torch.no_grad()
    def pictures(self, stage: int) -> np.ndarray | None:
        """Faces of the validation split, the map found and the true one."""
        if self.validation is None:
            return None
        self.network.eval()
        batch = shown_faces(self.validation)
        found = (self.network(batch.masked).sigmoid() * 255).to(torch.uint8).expand_as(batch.masked)
        return picture_grid([batch.masked, found, batch.mask_map.expand_as(batch.masked)])
