import json
import os

import pytest
import torch

from raymask.errors import ModelError
from raymask.models import load_bundle, save_bundle


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


def test_a_config_that_is_nested_too_deep_is_refused(bundle):
    (bundle / "config.json").write_text("[" * 200_000)
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        load_bundle(bundle)


@pytest.mark.parametrize("key", ["arguments", "sha256", "training"])
def test_bundles_that_are_not_whole_are_refused(bundle, key):
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps({name: value for name, value in config.items() if name != key}))
    with pytest.raises(ModelError, match=f"is not whole: {key} is missing"):
        load_bundle(bundle)
