"""Bundles to give away: half as large, without folders, and in nobody's way."""

import pytest
import torch

from raymask.errors import ModelError
from raymask.models import load_bundle, save_bundle
from raymask.models.ship import ship_bundle


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
