import pytest
import torch

from raymask.errors import ConfigError
from raymask.models import load_bundle, save_bundle
from raymask.models.config import SegmenterConfig
from raymask.models.networks.segmenter import MaskSegmenter


@pytest.mark.parametrize("side", [32, 96, 224])
def test_every_pixel_has_a_logit(side):
    crops = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    logits = MaskSegmenter(SegmenterConfig(channels=8))(crops)
    assert logits.shape == (2, 1, side, side)
    assert logits.dtype == torch.float32


def test_neighbouring_pixels_can_differ():
    torch.manual_seed(0)
    logits = MaskSegmenter(SegmenterConfig(channels=8))(torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8))
    squares = logits[0, 0].reshape(32, 2, 32, 2)
    assert (squares.amax((1, 3)) > squares.amin((1, 3))).all()


def test_a_bundle_comes_back_as_the_same_network(tmp_path):
    network = MaskSegmenter(SegmenterConfig(channels=8)).eval()
    loaded = load_bundle(save_bundle(tmp_path / "b", network, preprocessing={}), "MaskSegmenter").model
    crops = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(loaded(crops), network(crops))


@pytest.mark.parametrize("channels", [7, 65])
def test_widths_out_of_range_are_refused(channels):
    with pytest.raises(ConfigError, match=f"channels must be 8 to 64, not {channels}"):
        SegmenterConfig(channels=channels)
