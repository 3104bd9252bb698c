"""A training with a backbone and a loss from outside raymask."""

import pytest
import torch

from raymask import plugins
from raymask.data.reading.sampler import SamplerConfig
from raymask.errors import ModelError
from raymask.models import load_bundle, save_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.train.embedder.init_weights import begin_with
from raymask.train.embedder.loop import train
from raymask.train.engine.config import LoopConfig
from raymask.train.engine.hooks import LoopHooks

SMALL = MaskFaceNetConfig(backbone="resnet18", input_size=48, embedding_size=16, dropout=0)


def test_it_trains_leaves_a_bundle_and_begins_another_training(outside, prepared, tmp_path):
    model = MaskFaceNetConfig(backbone="python:acme_faces:Backbone", input_size=48, embedding_size=16, dropout=0)
    added = {"acme_loss": {"weight": 0.1}}
    config = LoopConfig(data=str(prepared), epochs=1, model=model, batch=SamplerConfig(people=4), losses=added)
    metrics = []
    hooks = LoopHooks(report=metrics.append, save=lambda state: None)
    done = train(config, hooks)
    assert done.finished
    assert metrics[-1]["visited"] > 0
    assert metrics[-1]["acme_loss"] > 0
    bundle = save_bundle(tmp_path / "bundle", done.network.eval(), preprocessing={})

    with pytest.raises(ModelError, match="names python:acme_faces:Backbone, which is not raymask's"):
        begin_with(MaskFaceNet(SMALL), f"bundle:{bundle}")
    begun = begin_with(MaskFaceNet(model), f"bundle:{bundle}").eval()
    plugins.allow(["python:acme_faces:Backbone"])
    trained = done.network.state_dict()
    for again in (begun, load_bundle(bundle).model):
        assert all(torch.equal(value, trained[name]) for name, value in again.state_dict().items())
