"""Backbones that others add, and bundles that name them."""

import json

import pytest
import torch

from raymask import plugins
from raymask.errors import ConfigError, ModelError
from raymask.evaluate import load_recogniser
from raymask.models import load_bundle, save_bundle
from raymask.models.config import BACKBONES, MaskFaceNetConfig
from raymask.models.networks import backbones
from raymask.models.networks.backbones import IMAGE_MEAN, make_backbone
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.teacher import load_teacher

SMALL = {"input_size": 32, "embedding_size": 8, "dropout": 0.0}
SPIES = ("spy", "python:spy_code:Backbone")


def test_all_that_are_listed_can_be_made():
    assert backbones._OURS.keys() == BACKBONES.keys()


def test_one_of_others_makes_embeddings(outside):
    network = MaskFaceNet(MaskFaceNetConfig(backbone="acme_net", **SMALL)).eval()
    assert network.last.in_features == 32
    assert network.mean.flatten().tolist() == pytest.approx([255 * value for value in IMAGE_MEAN])
    assert network(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape == (2, 8)
    import acme_faces

    assert isinstance(network.backbone, acme_faces.Backbone)


def test_its_bundle_names_it_and_is_loaded_when_the_operator_names_it_too(outside, tmp_path):
    network = MaskFaceNet(MaskFaceNetConfig(backbone="acme_net", **SMALL)).eval()
    bundle = save_bundle(tmp_path / "bundle", network, preprocessing={})
    with pytest.raises(ModelError, match=r"bundle names acme_net, which is not raymask's .* --own acme_net"):
        load_bundle(bundle)
    plugins.allow(["acme_net"])
    loaded = load_bundle(bundle, "MaskFaceNet")
    assert loaded.config["arguments"]["backbone"] == "acme_net"
    faces = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(loaded.model(faces), network(faces))


@pytest.mark.parametrize("name", SPIES)
def test_a_bundle_imports_no_backbone_unless_the_operator_names_the_same(spy, tmp_path, name):
    network = MaskFaceNet(MaskFaceNetConfig(backbone="acme_net", **SMALL))
    bundle = save_bundle(tmp_path / "bundle", network, preprocessing={})
    config = json.loads((bundle / "config.json").read_text())
    config["arguments"]["backbone"] = name
    (bundle / "config.json").write_text(json.dumps(config))
    plugins.allow(["acme_net"])
    for load in (load_bundle, *(lambda path, by=by: by(f"bundle:{path}") for by in (load_recogniser, load_teacher))):
        with pytest.raises(ModelError, match=f"names {name}, which is not raymask's"):
            load(bundle)
        assert not spy.exists()
    plugins.allow([name])
    load_bundle(bundle)
    assert spy.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acme_nett", "backbone 'acme_nett' is unknown; the nearest are acme_net"),
        ("acme_broken", "backbone acme_broken: its package cannot be imported: RuntimeError: its driver is missing"),
        ("python:acme_faces:Embedder", "it makes a Embedder, not a torch.nn.Module"),
        ("python:torch.nn:Identity", "its attribute channels must say how many .* 1 or more, not None"),
    ],
)
def test_unknown_and_broken_ones_are_named_and_the_others_work(outside, name, said):
    with pytest.raises(ConfigError, match=said):
        MaskFaceNet(MaskFaceNetConfig(backbone=name, **SMALL))
    assert make_backbone("acme_net").channels == 32
