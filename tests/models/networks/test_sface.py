"""SFace in torch is SFace: what ONNX Runtime makes of the same file, with gradients; other files end in a sentence."""

import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.numpy_helper import from_array, to_array
from onnx.reference import ReferenceEvaluator
from support.tiny_onnx import average_pooling
from torch.nn.functional import normalize

from raymask.errors import ConfigError, ModelError
from raymask.evaluate import load_recogniser
from raymask.faces.alignment import ARCFACE_POINTS
from raymask.faces.zoo_models import zoo_model
from raymask.models.bundle import load_bundle, save_bundle
from raymask.models.config import SFACE, MaskFaceNetConfig
from raymask.models.digest import weights_digest
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.sface_weights import give_sface, load_sface
from raymask.models.spec import check_movable
from raymask.models.teacher import load_teacher
from raymask.recognisers.fused_bundle import collect, moved
from raymask.recognisers.kinds import embedding_digest, embedding_size
from raymask.train.embedder.init_weights import begin_with


@pytest.fixture(scope="module")
def sface() -> MaskFaceNet:
    return load_sface()


@pytest.fixture(scope="module")
def unquantised(tmp_path_factory) -> Path:
    """The same network with plain weights and for any number of faces, as ONNX Runtime takes it."""
    model = onnx.load(zoo_model("sface"))
    graph = model.graph
    constants = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    for node in list(graph.node):
        if all(name in constants for name in node.input):  # dequantises weights and gives them their shapes
            (constants[node.output[0]],) = ReferenceEvaluator(node).run(
                None, {name: constants[name] for name in node.input}
            )
            graph.node.remove(node)
    kept = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in constants:
                node.input[place] = re.sub("_(dequantized|reshaped)$", "", name)
                kept[node.input[place]] = constants[name]
    del graph.initializer[:], graph.input[1:]
    graph.initializer.extend(from_array(np.asarray(value, np.float32), name) for name, value in kept.items())
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    path = tmp_path_factory.mktemp("sface") / "plain.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    """(3, 3, 112, 112) uint8: noise of three finenesses."""
    rng = np.random.default_rng(0)
    made = [
        np.kron(rng.integers(0, 256, (3, 112 // side, 112 // side)), np.ones((1, side, side), np.int64))
        for side in (1, 4, 16)
    ]
    return torch.from_numpy(np.stack(made).astype(np.uint8))


def test_the_torch_network_is_that_of_onnx_runtime(sface, unquantised, faces):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(unquantised, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    (one,) = session.run(None, {given.name: faces.float().numpy()})
    (mirrored,) = session.run(None, {given.name: faces.flip(3).float().numpy()})
    with torch.inference_mode():
        found = sface(faces)
    wanted = torch.from_numpy(one + mirrored)
    assert (normalize(found, dim=1) - normalize(wanted, dim=1)).abs().max() < 1e-4
    assert ((found - wanted).abs().amax(1) / wanted.norm(dim=1)).max() < 1e-4


def test_a_file_of_ones_own_may_be_unquantised(sface, unquantised):
    own = load_sface(str(unquantised)).state_dict()
    for name, value in sface.state_dict().items():
        torch.testing.assert_close(own[name], value, rtol=1e-5, atol=1e-6)


def test_gradients_reach_pixels_and_weights(sface, faces):
    pixels = faces.float().requires_grad_()
    sface(pixels).square().sum().backward()
    assert pixels.grad is not None
    assert (pixels.grad.abs().sum((1, 2, 3)) > 0).all()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in sface.parameters())
    sface.zero_grad()


def test_a_bundle_keeps_it(sface, faces, tmp_path):
    kept = load_bundle(save_bundle(tmp_path / "b", sface, preprocessing={}), "MaskFaceNet").model.eval()
    assert kept.config == SFACE
    with torch.inference_mode():
        assert torch.equal(kept(faces), sface(faces))


@pytest.mark.parametrize("content", [None, b"", b"nothing", "tiny", "yunet"])
def test_files_that_are_not_sfaces_end_in_a_sentence(content, tmp_path):
    own = tmp_path / "own.onnx"
    if content == "yunet":
        own = zoo_model("yunet")
    elif content == "tiny":
        own.write_bytes(average_pooling((1, 3, 112, 112), (1, 48)))
    elif content is not None:
        own.write_bytes(content)
    said = {
        None: ": there is no such file$",
        b"nothing": r" cannot be read as ONNX \(",
    }.get(content, " is not SFace's network; name the ONNX file of OpenCV Zoo$")
    with pytest.raises(ModelError, match=f"^sface:{own}{said}"):
        load_recogniser(f"sface:{own}")


def test_teachers_and_starts_name_the_missing_file_too():
    for load in (load_teacher, lambda name: begin_with(MaskFaceNet(SFACE), name)):
        with pytest.raises(ModelError, match=r"^sface:no\.onnx: there is no such file$"):
            load("sface:no.onnx")


def test_a_teacher_shows_one_look_and_not_the_mirror_image(sface, faces):
    teacher = load_teacher("sface")
    assert teacher.side == 112
    points = torch.from_numpy(np.tile(np.float32(ARCFACE_POINTS), (len(faces), 1, 1)))
    seen = teacher(faces.float() / 255, points)
    with torch.inference_mode():
        once = sface.head(sface.backbone((faces.float() - 127.5) / 128))
    assert (seen.embedding @ normalize(once, dim=1).T).diagonal().min() > 0.999
    assert [one.shape[-1] for one in seen.maps] == [112, 56, 28, 14, 7]


def test_a_start_is_the_whole_network_or_as_much_as_fits(sface):
    whole = begin_with(MaskFaceNet(SFACE), "sface").state_dict()
    assert all(torch.equal(whole[name], value) for name, value in sface.state_dict().items())
    torch.manual_seed(0)
    pooled = MaskFaceNet(
        MaskFaceNetConfig(backbone="sface", head="linear", alignment="arcface", embedding_size=16, input_size=64)
    )
    before = pooled.last.weight.clone()
    begin_with(pooled, "sface")
    for name, value in sface.backbone.state_dict().items():
        assert torch.equal(pooled.backbone.state_dict()[name], value)
    assert torch.equal(pooled.last.weight, before)
    with pytest.raises(ConfigError, match=r"init sface is for model\.backbone sface, not resnet18"):
        begin_with(MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", input_size=32)), "sface")


def test_a_file_that_lacks_a_layer_is_refused(unquantised, tmp_path):
    model = onnx.load(unquantised)
    (last,) = [tensor for tensor in model.graph.initializer if tensor.name == "pre_fc1_weight"]
    model.graph.initializer.remove(last)
    onnx.save(model, tmp_path / "cut.onnx")
    with pytest.raises(ModelError, match=r"cut\.onnx is not SFace's network"):
        give_sface(MaskFaceNet(SFACE), str(tmp_path / "cut.onnx"))


def test_its_space_is_known_by_file_and_use(unquantised, tmp_path):
    copy = shutil.copy(zoo_model("sface"), tmp_path / "copy.onnx")
    assert weights_digest(f"sface:{copy}") == weights_digest("sface")
    assert embedding_digest(f"sface:{copy}") == embedding_digest("sface")
    assert embedding_digest(f"sface:{unquantised}") != embedding_digest("sface")
    assert embedding_digest("sface") != weights_digest("sface"), "the aligner and the mirror image count"
    assert embedding_size("sface") == embedding_size(f"sface:{copy}") == 128


def test_a_fusion_names_it_or_takes_ones_own_file_along(tmp_path):
    check_movable("sface")
    assert collect("sface", tmp_path / "made", "parts/0") == "sface"
    own = tmp_path / "own.onnx"
    own.write_bytes(b"weights")
    assert collect(f"sface:{own}", tmp_path / "made", "parts/1") == "sface:parts/1/own.onnx"
    assert (tmp_path / "made/parts/1/own.onnx").read_bytes() == b"weights"
    assert moved("sface:parts/1/own.onnx", tmp_path / "made") == f"sface:{tmp_path / 'made/parts/1/own.onnx'}"
    assert moved("sface", tmp_path) == "sface"
