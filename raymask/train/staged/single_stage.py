"""A course of one stage, in which one network learns from a loss of each photo: what segmenter and aligner share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from raymask.data.prepare.textures import load_textures
from raymask.train.engine.distributed import on_all_ranks, prepare_batch_norm, sum_gradients
from raymask.train.engine.schedules import warm_cosine
from raymask.train.staged.config import SingleStageConfig
from raymask.train.staged.drawn_batches import DrawnBatch
from raymask.train.staged.loop import Course, Stage, settings_of, started


class SingleStage(Course):
    """AdamW, with a rate that rises over a twentieth of the steps and falls to 0 along a cosine. The stage and its
    network have the name of what is taught."""

    config: SingleStageConfig
    loss_name: ClassVar[str]
    """What curves and progress call the loss."""

    def __init__(self, config: SingleStageConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.batch, self.measure_every = config.batch, config.measure_every
        self.stages = [Stage(self.name, config.steps)]
        torch.manual_seed(config.seed)
        self.network = on_all_ranks(lambda: started(type(self).makes(config.model), config.start))
        self.textures = load_textures(config.textures, quiet=True)
        self.settings = settings_of(config, self.textures)
        self.network.to(device, memory_format=torch.channels_last)
        prepare_batch_norm(self.network, chunked=False)
        self.networks: Mapping[str, nn.Module] = {self.name: self.network}

    @abstractmethod
    def losses(self, batch: DrawnBatch) -> Tensor:
        """Of each photo of the batch, with gradient; their mean is learned from."""

    def begin(self, stage: int) -> Mapping[str, torch.optim.Optimizer]:
        """Weight decay as AdamW's authors set it."""
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.config.learning_rate)
        return {self.name: self.optimiser}

    def learn(self, stage: int, step: int, batch: DrawnBatch) -> dict[str, Tensor]:
        """One step, on this rank's share of the photos."""
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * warm_cosine(step, self.config.steps)
        self.optimiser.zero_grad()
        share = self.losses(batch).mean() * batch.share
        share.backward()
        sum_gradients(self.network)
        self.optimiser.step()
        return {self.loss_name: share.detach()}
