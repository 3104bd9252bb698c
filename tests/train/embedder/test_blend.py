"""A blend lies between the weights that a training began with and those that it came to."""

import pytest
import torch

from raymask.errors import ConfigError
from raymask.models.bundle import bundle_config, load_bundle, save_bundle
from raymask.models.config import SFACE
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.sface_weights import load_sface
from raymask.train.embedder.blend import blend
from raymask.train.embedder.blend_config import BlendConfig


def test_a_blend_has_the_mean_of_both_weights(tmp_path):
    torch.manual_seed(0)
    trained, begun = MaskFaceNet(SFACE), load_sface()
    save_bundle(tmp_path / "trained", trained, preprocessing={"input_size": 112}, training={"seed": 3})
    made = blend(BlendConfig(bundle=str(tmp_path / "trained"), init="sface", share=0.3, out=str(tmp_path / "blend")))
    found = load_bundle(made).model.state_dict()
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(found[name], 0.3 * value + 0.7 * begun.state_dict()[name])
    training = bundle_config(made)["training"]
    assert training["seed"] == 3
    assert training["blended"]["share"] == 0.3


@pytest.mark.parametrize(("share", "same_as"), [(0.0, "begun"), (1.0, "trained")])
def test_the_ends_of_a_blend(share, same_as, tmp_path):
    trained = MaskFaceNet(SFACE)
    networks = {"trained": trained, "begun": load_sface()}
    save_bundle(tmp_path / "trained", trained, preprocessing={})
    made = blend(BlendConfig(bundle=str(tmp_path / "trained"), init="sface", share=share, out=str(tmp_path / "blend")))
    found = load_bundle(made).model.state_dict()
    for name, value in networks[same_as].state_dict().items():
        torch.testing.assert_close(found[name], value)


def test_wrong_blends_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="share must be 0 to 1"):
        BlendConfig(bundle="a", init="sface", out="b", share=1.5)
    with pytest.raises(ConfigError, match="init 'nobody' is unknown"):
        BlendConfig(bundle="a", init="nobody", out="b")
    save_bundle(tmp_path / "sface", MaskFaceNet(SFACE), preprocessing={})
    with pytest.raises(ConfigError, match=r"init dlib is for model.backbone dlib"):
        blend(BlendConfig(bundle=str(tmp_path / "sface"), init="dlib", out=str(tmp_path / "out")))
