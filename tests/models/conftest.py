"""A small network, and its bundle."""

import pytest
import torch

from raymask.models import save_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", input_size=64, embedding_size=32)).eval()


@pytest.fixture
def bundle(model, tmp_path):
    return save_bundle(tmp_path / "b", model, preprocessing={"input_size": 64}, metrics={"loss": 0.5})
