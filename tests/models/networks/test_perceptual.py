"""VGG-19's maps, and weights that cannot be had; with random weights, since nothing is downloaded here."""

from urllib.error import URLError

import pytest
import torch
import torchvision.models

from raymask.errors import ModelError
from raymask.models.networks.perceptual import CONTENT, STYLE, Vgg19, load_perceptual

FILE = "vgg19-dcbb9e9d.pth"


@pytest.fixture(scope="module")
def features():
    torch.manual_seed(0)
    return torchvision.models.vgg19().features


def test_maps_are_those_of_the_published_names(features):
    names, block, number = {}, 1, 0
    for place, layer in enumerate(features):
        if isinstance(layer, torch.nn.MaxPool2d):
            block, number = block + 1, 0
        elif isinstance(layer, torch.nn.ReLU):
            number += 1
            names[place] = f"relu{block}_{number}"
    assert [names[place] for place in CONTENT] == ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    assert [names[place] for place in STYLE] == ["relu2_2", "relu3_4", "relu4_4", "relu5_2"]


def test_maps_are_the_networks_own(features):
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        wanted = features[:2](image)
        maps = Vgg19(features)(image)
    assert torch.equal(maps.content[0], wanted)
    assert (maps.content[0] >= 0).all()
    assert [one.shape[1] for one in maps.content] == [64, 128, 256, 512, 512]
    assert [one.shape[1] for one in maps.style] == [128, 256, 512, 512]


def test_weights_that_cannot_be_downloaded_are_named(monkeypatch, tmp_path):
    def refused(*_args, **_kwargs):
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refused)
    monkeypatch.setattr("torch.hub.urlopen", refused)
    with pytest.raises(ModelError, match=rf"cannot be downloaded here .*{FILE} into .*--perceptual teacher"):
        load_perceptual()


@pytest.mark.parametrize("content", ["damaged", "other"])
def test_a_file_with_another_checksum_is_refused(monkeypatch, tmp_path, content):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    if content == "other":
        torch.save({"weight": torch.zeros(1)}, tmp_path / "checkpoints" / FILE)
    else:
        (tmp_path / "checkpoints" / FILE).write_bytes(b"half a file")
    with pytest.raises(ModelError, match=rf"{FILE} is damaged"):
        load_perceptual()
