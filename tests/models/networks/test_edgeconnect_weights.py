"""Published EdgeConnect checkpoints: what fits is taken over, everything else is named."""

from pathlib import Path

import pytest
import torch
from support import edgeconnect_layout as layout

from raymask.errors import ModelError
from raymask.models.networks.edgeconnect_weights import load_published


def put(folder: Path, edges: dict, image: dict) -> Path:
    torch.save({"iteration": 2_000_000, "generator": edges}, folder / "EdgeModel_gen.pth")
    torch.save({"iteration": 2_000_000, "generator": image}, folder / "InpaintingModel_gen.pth")
    return folder


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_published_weights_are_taken_over_value_by_value(tmp_path):
    edges, image = layout.edge_generator(), layout.image_generator()
    inpainter = load_published(put(tmp_path, edges, image))
    assert inpainter.config.width == "full"
    assert torch.equal(inpainter.image_generator.encoder[1].weight, image["encoder.1.weight"])
    assert torch.equal(inpainter.image_generator.decoder[7].bias, image["decoder.7.bias"])
    block = inpainter.edge_generator.middle[3].conv_block[5]
    original, u, v = (edges[f"middle.3.conv_block.5.weight_{part}"] for part in ("orig", "u", "v"))
    assert torch.equal(block.parametrizations.weight.original, original)
    sigma = u @ original.flatten(1) @ v  # how spectral normalisation is defined, with the file's own vectors
    assert torch.allclose(block.weight, original / sigma, rtol=1e-4)
    up = inpainter.edge_generator.decoder[0]
    turned = edges["decoder.0.weight_orig"].transpose(0, 1).flatten(1)
    sigma = edges["decoder.0.weight_u"] @ turned @ edges["decoder.0.weight_v"]
    assert torch.allclose(up.weight, edges["decoder.0.weight_orig"] / sigma, rtol=1e-4)


def test_prefixes_of_several_gpus_and_files_of_the_first_versions(tmp_path):
    old = {f"module.{name}": value for name, value in layout.edge_generator(with_v=False).items()}
    inpainter = load_published(put(tmp_path, old, layout.image_generator()))
    layer = inpainter.edge_generator.encoder[4]
    original, u = (old[f"module.encoder.4.weight_{part}"] for part in ("orig", "u"))
    v = torch.nn.functional.normalize(original.flatten(1).T @ u, dim=0)
    assert torch.allclose(layer.weight, original / (u @ original.flatten(1) @ v), rtol=1e-4)


def test_what_does_not_fit_is_named(tmp_path):
    good = layout.edge_generator(), layout.image_generator()
    with pytest.raises(ModelError, match=r"EdgeModel_gen\.pth is missing; .* InpaintingModel_gen\.pth"):
        load_published(tmp_path)
    with pytest.raises(ModelError, match=r"another width: encoder\.1.* is \(32, 3, 7, 7\), published \(64, 3, 7, 7\)"):
        load_published(put(tmp_path, layout.edge_generator(32), good[1]))
    with pytest.raises(ModelError, match=r"EdgeModel_gen\.pth is of another architecture.*missing.*unknown"):
        load_published(put(tmp_path, good[1], good[0]))
    torch.save({"state": 1}, tmp_path / "EdgeModel_gen.pth")
    with pytest.raises(ModelError, match="no checkpoint of EdgeConnect"):
        load_published(tmp_path)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"generator": Trap()}, tmp_path / "EdgeModel_gen.pth")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load_published(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_damaged_file_is_named(tmp_path):
    put(tmp_path, layout.edge_generator(), layout.image_generator())
    data = (tmp_path / "EdgeModel_gen.pth").read_bytes()
    (tmp_path / "EdgeModel_gen.pth").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"EdgeModel_gen\.pth cannot be read"):
        load_published(tmp_path)
