"""EdgeConnect's networks, and filling a crop: what is known stays as it is, what does not fit is refused."""

import numpy as np
import pytest
import torch

from raymask.errors import ConfigError, ImageError
from raymask.models import load_bundle, save_bundle
from raymask.models.config import InpainterConfig
from raymask.models.networks.edgeconnect import Discriminator, EdgeGenerator, ImageGenerator
from raymask.models.networks.inpainter import Inpainter, prepare_hole


@pytest.fixture(scope="module")
def inpainter():
    torch.manual_seed(0)
    return Inpainter(InpainterConfig()).eval()


@pytest.fixture
def crop():
    return np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)


def lower_half(value=255):
    hole = np.zeros((224, 224), np.uint8)
    hole[120:200, 40:180] = value
    return hole


def test_generators_keep_the_size_and_stay_in_range():
    grey, image, hole = torch.rand(2, 1, 64, 64), torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    hole[:, :, 32:] = 1
    edges = EdgeGenerator(8)(grey, grey.round(), hole)
    painted = ImageGenerator(8)(image, edges, hole)
    assert edges.shape == (2, 1, 64, 64)
    assert painted.shape == (2, 3, 64, 64)
    for made in (edges, painted):
        assert 0 <= made.min() < made.max() <= 1


@pytest.mark.parametrize("part", ["edges", "image"])
def test_generators_do_not_look_into_the_hole(part):
    torch.manual_seed(0)
    hole = torch.zeros(1, 1, 32, 32)
    hole[:, :, 16:] = 1
    inside = torch.rand(1, 3, 32, 32) * hole
    face, edges = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32).round()
    other = face * (1 - hole) + inside
    if part == "edges":
        generator = EdgeGenerator(4).eval()
        made = [generator(one[:, :1], edges * (1 - hole) + one[:, :1] * hole, hole) for one in (face, other)]
    else:
        generator = ImageGenerator(4).eval()
        made = [generator(one, edges, hole) for one in (face, other)]
    assert torch.equal(*made)


def test_the_published_width_has_the_published_number_of_values():
    full = Inpainter(InpainterConfig(width="full"))
    convolutions = {
        "edge": sum(p.numel() for p in full.edge_generator.parameters()),
        "image": sum(p.numel() for p in full.image_generator.parameters()),
    }
    blocks = 16 * 256 * 256 * 9
    outside = 64 * 49 + 2 * (128 * 64 * 16) + 2 * (256 * 128 * 16)
    assert convolutions["edge"] == blocks + outside + 2 * 64 * 49 + 64 + 128 + 256 + 128 + 64 + 64 * 49 + 1
    assert (
        convolutions["image"]
        == (blocks + 16 * 256) + outside + 3 * 64 * 49 + 64 + 128 + 256 + 128 + 64 + 3 * 64 * 49 + 3
    )


def test_a_discriminator_gives_five_maps():
    maps = Discriminator(taken=3, channels=4)(torch.rand(2, 3, 64, 64))
    assert [tuple(one.shape) for one in maps] == [
        (2, 4, 32, 32), (2, 8, 16, 16), (2, 16, 8, 8), (2, 32, 7, 7), (2, 1, 6, 6)
    ]  # fmt: skip


def test_outside_the_map_every_pixel_stays(inpainter, crop):
    hole = lower_half()
    before = crop.copy()
    filled = inpainter.fill(crop, hole)
    assert np.array_equal(filled.crop[hole == 0], crop[hole == 0])
    assert (filled.crop[hole > 0] != crop[hole > 0]).any(axis=1).mean() > 0.9
    assert np.array_equal(crop, before)
    assert filled.edges.shape == (112, 112)


def test_what_lies_under_the_map_does_not_matter(inpainter, crop):
    hole = lower_half()
    other = crop.copy()
    other[hole > 0] = 7
    # The crop is shrunk for the generators, so that only pixels all of whose neighbours are known stay as they are.
    inner = np.zeros_like(hole)
    inner[124:196, 44:176] = 255
    other[(hole > 0) & (inner == 0)] = crop[(hole > 0) & (inner == 0)]
    assert np.array_equal(inpainter.fill(crop, hole).crop, inpainter.fill(other, hole).crop)


def test_an_empty_map_changes_nothing(inpainter, crop):
    filled = inpainter.fill(crop, np.zeros((224, 224), np.uint8))
    assert np.array_equal(filled.crop, crop)
    assert filled.crop is not crop


@pytest.mark.parametrize(
    ("mask_map", "said"),
    [
        (np.full((224, 224), 255, np.uint8), "covers the whole crop"),
        (np.kron(np.ones((112, 112)), [[0, 0], [0, 255]]).astype(np.uint8), "covers the whole crop"),
        (np.zeros((112, 112), np.uint8), r"the mask map is uint8 \(112, 112\), the crop \(224, 224, 3\)"),
        (np.zeros((224, 224), np.float32), "the mask map is float32"),
    ],
)
def test_maps_that_do_not_fit_are_refused(inpainter, crop, mask_map, said):
    with pytest.raises(ImageError, match=said):
        inpainter.fill(crop, mask_map)


def test_crops_of_another_type_are_refused(inpainter):
    with pytest.raises(ImageError, match="array \\(H, W, 3\\) of uint8 RGB, not float64"):
        inpainter.fill(np.zeros((224, 224, 3)), lower_half())


def test_a_hole_takes_every_pixel_that_holds_some_of_it(crop):
    hole = np.zeros((224, 224), bool)
    hole[101, 51] = True
    small, small_hole, edges = prepare_hole(crop, hole, side=112)
    assert small.shape == (112, 112, 3)
    assert np.argwhere(small_hole).tolist() == [[50, 25]]
    assert edges[50, 25] == 0


def test_a_bundle_of_another_width_is_refused(tmp_path, inpainter):
    import json

    bundle = save_bundle(tmp_path / "b", inpainter, preprocessing={})
    loaded = load_bundle(bundle, "Inpainter").model
    assert torch.equal(loaded.image_generator.encoder[1].weight, inpainter.image_generator.encoder[1].weight)
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps(config | {"arguments": {"width": "full"}}))
    from raymask.errors import ModelError

    with pytest.raises(ModelError, match="weights do not fit the arguments"):
        load_bundle(bundle)
    with pytest.raises(ModelError, match=r"holds Inpainter, not MaskSegmenter; make one with jobs/train_segmenter"):
        load_bundle(bundle, "MaskSegmenter")


def test_unknown_widths_are_refused():
    with pytest.raises(ConfigError, match="width 'huge' is unknown; choose one of small, full"):
        InpainterConfig(width="huge")
