import json
import os

import pytest
import torch

from raymask.errors import ModelError
from raymask.models import load_bundle, save_bundle
from raymask.models.bundle import ship_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", input_size=64, embedding_size=32)).eval()


@pytest.fixture
def bundle(model, tmp_path):
    return save_bundle(tmp_path / "b", model, preprocessing={"input_size": 64}, metrics={"loss": 0.5})


def test_a_bundle_comes_back_as_the_same_network(model, bundle):
    loaded = load_bundle(bundle)
    crops = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(loaded.model(crops), model(crops))
    assert not loaded.model.training
    assert loaded.config["preprocessing"] == {"input_size": 64}
    assert loaded.config["metrics"] == {"loss": 0.5}


def test_a_bundle_is_two_files_and_no_pickle(bundle):
    assert sorted(path.name for path in bundle.iterdir()) == ["config.json", "model.safetensors"]
    assert b"pickle" not in (bundle / "model.safetensors").read_bytes()


def test_saving_again_replaces_the_bundle_whole(model, bundle):
    (bundle / "left over").touch()
    save_bundle(bundle, model, preprocessing={}, metrics={"loss": 0.25})
    assert load_bundle(bundle).config["metrics"] == {"loss": 0.25}
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["b"]
    assert not (bundle / "left over").exists()


def test_a_bundle_of_any_name_is_replaced(model, tmp_path):
    for loss in (0.5, 0.25, 0.1):
        bundle = save_bundle(tmp_path / "earlier", model, preprocessing={}, metrics={"loss": loss})
        assert load_bundle(bundle).config["metrics"] == {"loss": loss}


def test_what_was_there_comes_back_if_the_new_one_cannot_have_its_name(model, bundle, monkeypatch):
    rename, renamed = os.replace, []

    def fails_once(source, target):
        renamed.append(target)
        if len(renamed) == 2:  # after the earlier one was put aside
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "replace", fails_once)
    with pytest.raises(OSError, match="Input/output"):
        save_bundle(bundle, model, preprocessing={}, metrics={"loss": 0.25})
    assert load_bundle(bundle).config["metrics"] == {"loss": 0.5}
    assert [path.name for path in bundle.parent.iterdir()] == ["b"]


def test_a_bundle_to_give_away_is_half_as_large_and_names_no_folder(model, tmp_path):
    training = {
        "data": "/faces/prepared",
        "init": "bundle:s3://host:9000/bucket/runs/first",
        "storage": "s3://bucket/runs?scheme=http&endpoint_override=10.0.0.3:9000",
        "tracked": "s3://KEY:SECRET@bucket",
        "teachers": ["dlib", "onnx:/nets/a/face.onnx", "mrii:/x/seg,/x/in,bundle:/x/y"],
        "start": None,
        "seed": 3,
    }
    model.backbone.bn1.running_var[:] = 1e6  # more than half precision holds
    bundle = save_bundle(
        tmp_path / "b", model, preprocessing={"input_size": 64}, thresholds={"t": 0.5}, training=training
    )
    given = ship_bundle(bundle, tmp_path / "given")
    whole, half = ((folder / "model.safetensors").stat().st_size for folder in (bundle, given))
    assert half < 0.51 * whole
    loaded = load_bundle(given)
    assert loaded.config["training"] == {
        "data": "prepared",
        "init": "bundle:first",
        "storage": "runs",
        "tracked": "bucket",
        "teachers": ["dlib", "onnx:face.onnx", "mrii:seg,in,bundle:y"],
        "start": None,
        "seed": 3,
    }
    assert loaded.config["thresholds"] == {"t": 0.5}
    crops = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    similar = torch.nn.functional.cosine_similarity(load_bundle(bundle).model(crops), loaded.model(crops))
    assert similar.min() > 0.9999
    assert torch.equal(loaded.model.backbone.bn1.running_var, load_bundle(bundle).model.backbone.bn1.running_var)
    assert all(value.dtype != torch.float16 for value in loaded.model.state_dict().values())


def test_nothing_but_a_bundle_is_replaced_by_one_to_give_away(bundle, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(ModelError, match="photos is no bundle"):
        ship_bundle(bundle, tmp_path / "photos")
    assert (tmp_path / "photos" / "me.jpg").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"file/config\.json cannot be read \(Not a directory\)"):
        ship_bundle(bundle, tmp_path / "file")
    with pytest.raises(ModelError, match=r"cannot be written"):
        ship_bundle(bundle, tmp_path / "file" / "given")
    ship_bundle(bundle, bundle)
    assert load_bundle(bundle).config["metrics"] == {"loss": 0.5}


def test_a_fusion_with_files_is_not_copied_without_them(fused_bundle, tmp_path):
    with pytest.raises(ModelError, match="copy its folder as it is"):
        ship_bundle(fused_bundle, tmp_path / "given")


def test_missing_and_damaged_bundles_are_named(bundle, tmp_path):
    with pytest.raises(ModelError, match=r"nowhere is no bundle.*jobs/train.py"):
        load_bundle(tmp_path / "nowhere")
    weights = bundle / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="damaged: its checksum"):
        load_bundle(bundle)


def test_bundles_of_another_version_are_refused(bundle):
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps(config | {"format": 99}))
    with pytest.raises(ModelError, match="format 99"):
        load_bundle(bundle)


@pytest.mark.parametrize("arguments", [None, {"channels": 24}, {"backbone": "resnet1"}])
def test_bundles_of_another_architecture_are_refused(bundle, arguments):
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps(config | {"arguments": arguments}))
    with pytest.raises(ModelError, match=r"another architecture than the MaskFaceNet known here; .* jobs/train\.py"):
        load_bundle(bundle)


@pytest.mark.parametrize("key", ["arguments", "sha256", "training"])
def test_bundles_that_are_not_whole_are_refused(bundle, key):
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps({name: value for name, value in config.items() if name != key}))
    with pytest.raises(ModelError, match=f"is not whole: {key} is missing"):
        load_bundle(bundle)
