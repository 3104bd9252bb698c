"""A segmenter and an inpainter trained for seconds: real networks that do their work badly."""

from __future__ import annotations

from pathlib import Path

import torch

from raymask.models.bundle import save_bundle
from raymask.models.digest import weights_digest
from raymask.storage import Folder
from raymask.train.engine.checkpoints import Checkpoints
from raymask.train.engine.hooks import LoopHooks
from raymask.train.on_ray.tasks import task_of
from raymask.train.staged.inpainter import train_inpainter
from raymask.train.staged.inpainter_config import InpaintConfig, StagesConfig, TrainInpainterConfig
from raymask.train.staged.segmenter import train_segmenter
from raymask.train.staged.segmenter_config import SegmentConfig, TrainSegmenterConfig

CPU = torch.device("cpu")


def segmenter_bundle(data: str, folder: Path, *, steps: int) -> Path:
    """Trains without Ray; FOLDER/segmenter."""
    run = Folder(folder / "segmenter-run")
    config = SegmentConfig(data=data, steps=steps, batch=8, validation_photos=0)
    train_segmenter(config, LoopHooks(save=Checkpoints(run).save, save_every=10**6), device=CPU)
    work = task_of(TrainSegmenterConfig(data=data, steps=steps, storage="unused", name="unused"))
    return save_bundle(folder / "segmenter", work.model(Checkpoints(run).newest()[1]), preprocessing={})


def inpainter_bundle(data: str, folder: Path, *, steps: int, teacher: str) -> Path:
    """Trains without Ray; FOLDER/inpainter."""
    run = Folder(folder / "inpainter-run")
    stages = StagesConfig(edges=1, image=steps, drawn=1, joint=0)
    config = InpaintConfig(data=data, stages=stages, batch=4, validation_photos=0, teacher=teacher, learning_rate=1e-3)
    train_inpainter(config, LoopHooks(save=Checkpoints(run).save, save_every=10**6), device=CPU)
    work = task_of(TrainInpainterConfig(data=data, stages=stages, storage="unused", name="unused"))
    return save_bundle(
        folder / "inpainter",
        work.model(Checkpoints(run).newest()[1]),
        preprocessing={},
        training={"teachers_sha256": [weights_digest(teacher)]},
    )
