"""Batches as the loop gets them, of real prepared faces, with masks drawn afresh."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from raymask.data.augment.embedder_views import Dressing, FreshFaces
from raymask.data.reading.crops import CropStore
from raymask.data.reading.sampler import BatchPhoto, PKSampler, SamplerConfig
from raymask.errors import ConfigError
from raymask.faces.masks import TRAIN_LOOKS
from raymask.models.config import MaskFaceNetConfig
from raymask.train.embedder import loader
from raymask.train.embedder.loader import batches
from raymask.train.engine.config import LoopConfig
from raymask.train.engine.distributed import World


@pytest.fixture(scope="module")
def config(prepared) -> LoopConfig:
    return LoopConfig(
        data=str(prepared),
        remask=True,
        flip=False,
        model=MaskFaceNetConfig(backbone="resnet18", input_size=64),
        batch=SamplerConfig(people=4),
    )


@pytest.fixture(scope="module")
def store(config) -> CropStore:
    return CropStore(config.data, "train")


def load(config: LoopConfig, store: CropStore, *, epoch: int = 0, world: World | None = None) -> dict[int, np.ndarray]:
    """Crops of an epoch's first batch by the number of their chunk."""
    sampler = PKSampler(store.identities, config.batch, seed=config.seed)
    faces = FreshFaces(store, Dressing(looks=TRAIN_LOOKS), quiet=True) if config.remask else None
    first = next(
        batches(
            config,
            store,
            sampler,
            epoch=epoch,
            start=0,
            world=world or World(0, 1),
            device=torch.device("cpu"),
            faces=faces,
        )
    )
    return {chunk.place: chunk.crops.numpy() for chunk in first.chunks}


def test_bare_photos_are_the_stored_ones_and_masked_ones_wear_another_mask(config, store):
    shots = PKSampler(store.identities, config.batch, seed=config.seed).batch(0, 0)
    masked = np.array([shot.masked for shot in shots])
    (fresh,), (stored,) = load(config, store).values(), load(replace(config, remask=False), store).values()
    assert np.array_equal(fresh[~masked], stored[~masked])
    bare = store.pixels([BatchPhoto(shot.row, masked=False) for shot in shots], 64)
    for new, old, without in zip(fresh[masked], stored[masked], bare[masked], strict=True):
        changed = np.abs(new.astype(int) - without).max(axis=0) > 20
        assert changed[32:].mean() > 0.2, "a mask is there"
        assert changed[:16].mean() < 0.1, "not on the forehead"
        assert np.abs(new.astype(int) - old).mean() > 1, "and it is another"


def test_a_mask_is_fixed_by_epoch_and_place_on_any_number_of_workers(config, store):
    config = replace(config, chunk=8)
    alone = load(config, store)
    together = load(config, store, world=World(0, 2)) | load(config, store, world=World(1, 2))
    assert alone.keys() == together.keys()
    assert all(np.array_equal(alone[number], together[number]) for number in alone)


def test_the_same_photo_comes_in_another_mask_the_next_time(config, store):
    faces = FreshFaces(store, Dressing(looks=TRAIN_LOOKS), quiet=True)
    shot = BatchPhoto(3, masked=True)
    visits = faces.pixels([shot] * 4, 64, np.arange(4))
    assert len({visit.tobytes() for visit in visits}) == 4


def test_masks_that_cannot_be_drawn_are_refused_before_the_training(prepared):
    with pytest.raises(ConfigError, match="Unknown mask kind 'scarf'"):
        LoopConfig(data=str(prepared), remask=True, masks=("scarf",))
    for options in ({"remask": True, "masks": ()}, {"masks": ("cloth",)}):
        with pytest.raises(ConfigError, match="at least one mask, for remask"):
            LoopConfig(data=str(prepared), **options)


def test_who_leaves_an_epoch_waits_for_no_faces_that_nobody_will_see(config, store, monkeypatch):
    made, fill = [], loader._fill

    def slowly(*given):
        time.sleep(0.02)
        made.append(1)
        fill(*given)

    monkeypatch.setattr(loader, "_PIECE", 1)
    monkeypatch.setattr(loader, "_fill", slowly)
    sampler = PKSampler(store.identities, SamplerConfig(people=2), seed=0)
    plain = replace(config, remask=False)
    epoch = batches(plain, store, sampler, epoch=0, start=0, world=World(0, 1), device=torch.device("cpu"))
    first = next(epoch)
    epoch.close()
    assert first.photos <= len(made) <= first.photos + 2
