"""What a training works with: made by its settings, and put back to where a checkpoint was written."""

from __future__ import annotations

import copy
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raymask.data.augment.embedder_views import Dressing, FreshFaces
from raymask.data.augment.morphs import MorphedStore
from raymask.data.prepare.textures import load_textures
from raymask.data.reading.crops import Crops
from raymask.data.reading.joined import open_crops
from raymask.data.reading.sampler import PKSampler
from raymask.errors import ConfigError, DataError
from raymask.faces.masks import TRAIN_LOOKS, Textures
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.train.embedder.init_weights import begin_with
from raymask.train.embedder.objective import Objective
from raymask.train.embedder.tally import Clock, Tally
from raymask.train.engine.checkpoints import State
from raymask.train.engine.config import LoopConfig
from raymask.train.engine.distributed import World, on_all_ranks, on_any_rank, prepare_batch_norm
from raymask.train.engine.hooks import Metrics
from raymask.train.engine.optimiser import Hold, make_optimiser
from raymask.train.engine.resume_guard import check_resumed


@dataclass
class Setup:
    """Data, weights, and what moves them."""

    store: Crops
    sampler: PKSampler
    faces: FreshFaces | None
    """Makes what the network sees; None: the crops as they were prepared."""
    network: MaskFaceNet
    objective: Objective
    average: MaskFaceNet | None
    """A running mean of the weights."""
    optimiser: torch.optim.Optimizer
    hold: Hold

    @property
    def result(self) -> MaskFaceNet:
        """What is measured and kept."""
        return self.network if self.average is None else self.average


def build(config: LoopConfig, device: torch.device, *, fresh: bool) -> Setup:
    """All of it at its beginning; called on all ranks, of which the first tells how it goes.

    Args:
        fresh: whether to begin with the weights that `config.init` names; else they come from a checkpoint.

    Raises:
        ConfigError, ModelError: no compiler where one is needed, weights that cannot be had or do not fit.
        DataError: no prepared faces, or none that can be read.
    """
    first = World.current().rank == 0
    photos = open_crops(config.data, "train")
    store, sampler = with_morphs(photos, config, quiet=not first), sampler_of(config, photos)
    if first:
        print("\n".join(opening(config, photos, sampler)), flush=True)
    dressing = dressing_of(config, load_textures(config.textures, quiet=True))
    faces = None if dressing.plain else FreshFaces(store, dressing, quiet=not first)
    torch.manual_seed(config.seed)
    network = MaskFaceNet(config.model)
    objective = Objective(config, people=len(store.people)).to(device)
    if fresh:
        on_all_ranks(lambda: begin_with(network, config.init))
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    prepare_batch_norm(network, chunked=config.chunk is not None)
    average = copy.deepcopy(network) if config.optimiser.average else None
    if config.compile:
        if on_any_rank(not _has_compiler(), device):
            raise ConfigError("compile needs a C++ compiler on every machine that trains; install g++, or leave it off")
        network.backbone.compile()  # not the head: dropout draws alike in both passes of gradient caching
    optimiser = make_optimiser(network, config.optimiser, objective.parameters())
    hold = Hold(optimiser, config.optimiser.hold, None)
    if first:
        size = World.current().size
        print(f"{config.model.backbone} is ready on {size} worker{'s' if size > 1 else ''}", flush=True)
    return Setup(store, sampler, faces, network, objective, average, optimiser, hold)


def state_of(setup: Setup, config: LoopConfig, clock: Clock, tally: Tally, metrics: Metrics) -> State:
    """What a checkpoint holds."""
    return {
        "config": asdict(config),
        "epoch": clock.epoch,
        "step": clock.step,
        "steps": setup.sampler.steps,
        "tally": asdict(tally),
        "metrics": metrics,
        "model": setup.network.state_dict(),
        "average": None if setup.average is None else setup.average.state_dict(),
        "objective": setup.objective.state(),
        "optimiser": setup.optimiser.state_dict(),
        "held": setup.hold.begun,
    }


def restore(setup: Setup, config: LoopConfig, resume: State) -> tuple[Clock, Tally, Metrics]:
    """Be where a checkpoint was written, also an earlier version's.

    Raises:
        DataError: it is of a run with other settings, other batches, or another network.
    """
    check_resumed(asdict(config), resume["config"], free=("data", "init", "textures", *config.free))
    check_steps(resume, config, setup.store, setup.sampler)
    if resume["model"].keys() != setup.network.state_dict().keys():
        raise DataError("the run of this name has the network of another version of raymask; choose another --name")
    setup.network.load_state_dict(resume["model"])
    if setup.average is not None:
        setup.average.load_state_dict(resume["average"])
    setup.objective.restore(resume["objective"])
    optimiser, held = resume["optimiser"], resume.get("held")
    if _holds_nobody(resume["objective"]):
        optimiser, held = _without_nobody(optimiser, held, setup.optimiser)
    setup.optimiser.load_state_dict(optimiser)
    setup.hold = Hold(setup.optimiser, config.optimiser.hold, held)
    tally = Tally.restored(resume["tally"], config.weights)
    return Clock(resume["epoch"], resume["step"]), tally, dict(resume["metrics"])


def _holds_nobody(objective: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is of a version that had a softmax's vectors, none, also in trainings without a softmax."""
    people = objective.get("people")
    return isinstance(people, Tensor) and not len(people)


def _without_nobody(
    state: Mapping[str, Any], held: list[list[Tensor]] | None, optimiser: torch.optim.Optimizer
) -> tuple[dict[str, Any], list[list[Tensor]] | None]:
    """An optimiser's state and the weights that are held, without those vectors, which were the last of a group."""
    sizes = [len(group["params"]) for group in optimiser.param_groups]
    pairs = zip(state["param_groups"], sizes, strict=True)
    groups = [{**group, "params": group["params"][:size]} for group, size in pairs]
    kept = held and [weights[:size] for weights, size in zip(held, sizes, strict=True)]
    return {**state, "param_groups": groups}, kept


def check_steps(resume: State, config: LoopConfig, photos: Crops, sampler: PKSampler) -> None:
    """Raise DataError if a checkpoint is of other batches; those that name no number of steps had full batches."""
    earlier = resume.get("steps", None if config.morphs else -(-len(photos) // config.batch.photos))
    if earlier != sampler.steps:
        raise DataError("the run of this name has batches of another version of raymask; choose another --name")


def opening(config: LoopConfig, photos: Crops, sampler: PKSampler) -> list[str]:
    """What a training says first: on what it trains, and what the shape of its batches and the people's photos cost."""
    people, together, full = len(photos.people), sampler.group_sizes, config.batch.bare + config.batch.masked
    seen, a_batch = math.floor(100 * sampler.people(0) / people), sampler.photos(0) / sampler.steps
    morphs = f" and {config.morphs:,} morphs" if config.morphs else ""
    on = f"{len(photos):,} photos of {people:,} people{morphs}, {sampler.steps:,} steps of about {a_batch:.0f} photos"
    lines = [f"training on {on} an epoch, each epoch sees about {seen}% of the people"]
    equal = people - len(set(photos.people))
    if equal:
        lines.append(f"{equal:,} names occur again in another folder of the data; they count as different people")
    if together.mean() < full / 2:
        lines.append(
            f"batches hold less than half of {config.batch.photos:,} photos, because {np.mean(together < full):.0%} of "
            f"the people have fewer than {full} (batch.bare + batch.masked); for larger ones raise --batch.people"
        )
    lone = int(np.count_nonzero(together < 3))
    if lone and "quintuplets" in config.weights:
        lines.append(
            f"{lone:,} people have fewer than 3 photos in a batch, which a quintuplet takes of its anchor's person: "
            f"its loss only pushes others away from them"
        )
    return lines


def with_morphs(photos: Crops, config: LoopConfig, *, quiet: bool = False) -> Crops:
    """What a training of these settings learns from. Raises DataError if landmarks or points cannot be read."""
    return MorphedStore(photos, config.morphs, config.seed, quiet=quiet) if config.morphs else photos


def sampler_of(config: LoopConfig, photos: Crops) -> PKSampler:
    """The batches of a training of these settings on these photos."""
    return PKSampler(photos.identities, config.batch, seed=config.seed, morphs=config.morphs)


def dressing_of(config: LoopConfig, textures: Textures | None) -> Dressing:
    """What becomes of a prepared face in a training of these settings; `textures`: what they name."""
    return Dressing(
        looks=(config.masks or TRAIN_LOOKS) if config.remask else None,
        textures=textures,
        alignment=None if config.model.alignment == "box" else config.model.alignment,
        altered=config.alter,
    )


def _has_compiler() -> bool:
    return any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++")))
