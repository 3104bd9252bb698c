"""What a network knows when its training begins."""

from dataclasses import replace

import dlib
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from raymask.errors import ConfigError, ModelError
from raymask.faces.landmarks.dlib_models import dlib_model
from raymask.models import save_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.dlib_network import DLIB_FILE
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.train.embedder.init_weights import begin_with
from raymask.train.engine.config import LoopConfig

SMALL = MaskFaceNetConfig(backbone="resnet18", input_size=32, embedding_size=16, dropout=0)


def test_a_start_from_dlib_embeds_as_dlib_does():
    config = MaskFaceNetConfig(
        backbone="dlib", head="linear", alignment="dlib", input_size=150, embedding_size=256, parts=2, dropout=0
    )
    network = begin_with(MaskFaceNet(config), "dlib").eval()
    chip = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    wanted = np.array(dlib.face_recognition_model_v1(str(dlib_model(DLIB_FILE))).compute_face_descriptor(chip))
    with torch.no_grad():
        found = network(torch.from_numpy(chip).permute(2, 0, 1)[None])[0]
    assert found[:128].norm() == pytest.approx(1, abs=1e-5)
    assert found[128:].norm() == pytest.approx(1, abs=1e-5)
    assert found[:128].numpy() == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-4)
    table1 = begin_with(MaskFaceNet(replace(config, head="table1", embedding_size=128, parts=1)), "dlib").eval()
    with torch.no_grad():
        embedding = normalize(table1(torch.from_numpy(chip).permute(2, 0, 1)[None]), dim=1)[0]
    assert embedding.numpy() == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-4)


def test_a_start_from_facenet_embeds_as_facenet_does(facenet_state, tmp_path):
    from facenet_pytorch import InceptionResnetV1

    torch.save(facenet_state, tmp_path / "facenet.pt")
    known = InceptionResnetV1(pretrained=None).eval()
    known.load_state_dict(facenet_state)
    faces = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 160, 160), dtype=np.uint8))
    whole = MaskFaceNetConfig(backbone="facenet", input_size=160, embedding_size=512)
    network = begin_with(MaskFaceNet(whole), f"facenet:{tmp_path}/facenet.pt").eval()
    with torch.no_grad():
        wanted, found = known((faces - 127.5) / 128), network(faces)
    torch.testing.assert_close(normalize(found, dim=1), wanted, rtol=1e-3, atol=1e-5)
    small = MaskFaceNetConfig(backbone="facenet", head="linear", input_size=96, embedding_size=16, dropout=0)
    other = begin_with(MaskFaceNet(small), f"facenet:{tmp_path}/facenet.pt")
    assert torch.equal(other.last.weight, known.last_linear.weight[:16])
    with pytest.raises(ModelError, match=r"facenet weights 'no\.pt': no such file"):
        begin_with(MaskFaceNet(small), "facenet:no.pt")


def test_a_start_from_a_bundle_takes_over_what_fits(tmp_path):
    torch.manual_seed(0)
    known = MaskFaceNet(SMALL)
    bundle = save_bundle(tmp_path / "known", known, preprocessing={})
    alike = begin_with(MaskFaceNet(replace(SMALL, mirrored=True, tilted=4, dropout=0.5)), f"bundle:{bundle}")
    for name, value in known.state_dict().items():
        assert torch.equal(alike.state_dict()[name], value)
    larger = MaskFaceNetConfig(backbone="resnet18", input_size=32, embedding_size=24, dropout=0)
    other = begin_with(MaskFaceNet(larger), f"bundle:{bundle}")
    assert torch.equal(other.backbone.conv1.weight, known.backbone.conv1.weight)
    assert torch.equal(other.last.weight[:16], known.last.weight)
    assert torch.equal(other.last.bias[:16], known.last.bias)


def test_a_start_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"init dlib is for model\.backbone dlib, not resnet18"):
        begin_with(MaskFaceNet(SMALL), "dlib")
    with pytest.raises(ModelError, match="is no bundle"):
        begin_with(MaskFaceNet(SMALL), f"bundle:{tmp_path}")
    bundle = save_bundle(tmp_path / "known", MaskFaceNet(SMALL), preprocessing={})
    deeper = MaskFaceNetConfig(backbone="resnet34", input_size=32, dropout=0)
    with pytest.raises(ModelError, match=r"has backbone resnet18, model\.backbone is resnet34"):
        begin_with(MaskFaceNet(deeper), f"bundle:{bundle}")
    with pytest.raises(ConfigError, match=r"init facenet is for model\.backbone facenet, not resnet18"):
        begin_with(MaskFaceNet(SMALL), "facenet:vggface2")
    for wrong in ("dlib:x", "dlib:", "bundle:", "facenet:", "arcface"):
        with pytest.raises(ConfigError, match=r"init .* it takes one of sface\[:FILE\], dlib, facenet\["):
            LoopConfig(data="x", init=wrong)
