"""One network for masked faces, another for bare ones: dlib's and SFace's, whose embeddings tell who was asked."""

import numpy as np
import pytest
import torch

from raymask.errors import ConfigError
from raymask.evaluate import load_recogniser
from raymask.evaluate.report.table import short_names
from raymask.faces import detect, draw_mask, subject
from raymask.faces.images import decode_photo
from raymask.models import save_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.spec import check_movable
from raymask.recognisers.fused_bundle import collect, is_named, moved
from raymask.recognisers.kinds import calibration_digest, embedding_digest


def test_the_segmenter_says_which_network_embeds_a_face(demo_faces):
    paths = [sorted(person.glob("*.jpg"))[0] for person in sorted(demo_faces.iterdir())[:3]]
    bare = [decode_photo(path.read_bytes(), path.name) for path in paths]
    masked = [draw_mask(photo, subject(detect(photo), photo.shape).landmarks, "surgical", 4)[0] for photo in bare]
    nobody = np.zeros((90, 90, 3), np.uint8)
    mixed = [bare[0], masked[1], nobody, masked[2], bare[2]]
    embeddings, found = load_recogniser("routed:dlib,sface").embed(mixed)
    by_dlib, found_by_dlib = load_recogniser("dlib").embed(mixed)
    by_sface, _ = load_recogniser("sface").embed(mixed)
    assert found.tolist() == found_by_dlib.tolist()
    assert found.sum() >= 3
    assert not found[2]
    wanted = np.where(np.array([[False], [True], [False], [True], [False]]), by_dlib, by_sface)
    assert np.abs(embeddings - wanted).max() < 1e-5
    assert np.abs(by_dlib[found] - by_sface[found]).max() > 0.1


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("routed:sface", "it takes routed:MASKED,BARE, two networks of one space"),
        ("routed:,sface", "it takes routed:MASKED,BARE"),
        ("routed:mrii,sface", "embedder 'mrii' is unknown"),
        ("routed:sface,pyhton:m:x", "embedder 'pyhton:m:x' is unknown"),
    ],
)
def test_other_forms_are_refused(spec, said):
    for take in (load_recogniser, check_movable):
        with pytest.raises(ConfigError, match=said):
            take(spec)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A network whose embeddings have another size."""
    torch.manual_seed(0)
    network = MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", input_size=64))
    return save_bundle(tmp_path_factory.mktemp("other") / "other", network, preprocessing={})


def test_networks_of_two_sizes_are_not_of_one_space(other):
    with pytest.raises(ConfigError, match="of 512 and of 128 values are not of one space"):
        load_recogniser(f"routed:bundle:{other},sface")


def test_its_space_is_that_of_bare_faces_and_its_thresholds_hold_for_both_networks():
    assert embedding_digest("routed:dlib,sface") == embedding_digest("sface")
    calibrated = [calibration_digest(f"routed:{masked},sface") for masked in ("dlib", "maskfacenet", "sface")]
    assert len({*calibrated, calibration_digest("sface")}) == 4


def test_a_fusion_copies_its_files_and_names_what_comes_with_raymask(other, tmp_path):
    assert is_named("routed:maskfacenet,sface")
    assert collect("routed:maskfacenet,sface", tmp_path, "parts/0") == "routed:maskfacenet,sface"
    assert list(tmp_path.iterdir()) == []
    own = f"routed:bundle:{other},sface"
    assert not is_named(own)
    assert collect(own, tmp_path, "parts/0") == "routed:bundle:parts/0/masked,sface"
    there = moved("routed:bundle:parts/0/masked,sface", tmp_path)
    assert there == f"routed:bundle:{tmp_path}/parts/0/masked,sface"
    assert calibration_digest(there) == calibration_digest(own)
    assert short_names([own]) == {own: "routed:bundle:other,sface"}
