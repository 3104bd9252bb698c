import json

import pytest
import torch
from torch.nn.functional import normalize

from raymask.errors import ConfigError, ModelError
from raymask.models import load_bundle, save_bundle
from raymask.models.fusion import Fusion, FusionConfig


@pytest.fixture
def fusion():
    made = Fusion(FusionConfig(parts=("dlib", "onnx:x.onnx", "facenet")))
    made.scales.copy_(torch.tensor([0.6, 0.2, 0.2]).sqrt())
    return made


def rows(seed):
    generator = torch.Generator().manual_seed(seed)
    return [normalize(torch.randn(4, size, generator=generator), dim=1) for size in (8, 16, 4)]


def test_one_cosine_is_the_weighted_mean_of_the_parts(fusion):
    first, second = rows(0), rows(1)
    found = (fusion(first) * fusion(second)).sum(1)
    wanted = sum(w * (a * b).sum(1) for w, a, b in zip((0.6, 0.2, 0.2), first, second, strict=True))
    assert torch.allclose(found, wanted, atol=1e-6)
    assert torch.allclose(fusion(first).norm(dim=1), torch.ones(4))


def test_a_face_that_one_part_did_not_find_is_judged_by_the_others(fusion):
    first, second = rows(0), rows(1)
    first[0][2] = second[0][2] = 0
    fused = fusion(first)
    assert fused[2].norm().item() == pytest.approx(1)
    wanted = sum(0.5 * (a[2] * b[2]).sum() for a, b in zip(first[1:], second[1:], strict=True))
    assert float((fused[2] * fusion(second)[2]).sum()) == pytest.approx(float(wanted), abs=1e-6)


def test_a_bundle_keeps_parts_and_scales(fusion, tmp_path):
    made = save_bundle(tmp_path / "b", fusion, preprocessing={}, thresholds={"masked_1e-2": 0.4})
    loaded = load_bundle(made, "Fusion")
    assert loaded.model.config.parts == ("dlib", "onnx:x.onnx", "facenet")
    assert torch.equal(loaded.model.scales, fusion.scales)
    assert loaded.config["thresholds"] == {"masked_1e-2": 0.4}


def test_a_fusion_of_one_part_leaves_its_embeddings_as_they_are(tmp_path):
    made = save_bundle(tmp_path / "b", Fusion(FusionConfig(parts=("dlib",))), preprocessing={})
    first = rows(0)[0]
    first[2] = 0  # a face that was not found
    assert torch.allclose(load_bundle(made, "Fusion").model([first]), first, atol=1e-6)


def test_no_part_is_no_fusion():
    with pytest.raises(ConfigError, match="parts is empty; a fusion has one part or more"):
        FusionConfig(parts=())


@pytest.mark.parametrize("part", ["fused:itself", "mrii:a,b,fused:itself"])
def test_a_fusion_is_no_part_of_a_bundle(fusion, tmp_path, part):
    made = save_bundle(tmp_path / "b", fusion, preprocessing={})
    config = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps(config | {"arguments": {"parts": ["dlib", part, "facenet"]}}))
    with pytest.raises(ModelError, match="another architecture than the Fusion known here"):
        load_bundle(made)
