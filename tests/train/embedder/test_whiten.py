"""Whitening an embedder by what differs between photos of one person."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from raymask.data.reading.crops import CropStore
from raymask.errors import ConfigError, DataError, ModelError
from raymask.models import load_bundle, save_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.train.embedder.whiten import differences, embed, whiten, whitening
from raymask.train.embedder.whiten_config import WhitenConfig

SMALL = MaskFaceNetConfig(
    backbone="resnet18", head="linear", input_size=32, embedding_size=8, parts=2, dropout=0, mirrored=True
)


def test_differences_are_those_of_a_masked_photo_and_another_bare_one():
    """By enumeration: of a person's masked and bare photos that are not the same shot."""
    random = np.random.default_rng(0)
    people, photos, size = 4000, 3, 3
    identities = np.repeat(np.arange(people), photos)
    own = random.normal(size=(people, size))[identities]
    bare = own + random.normal(size=own.shape) @ np.diag([0.1, 0.3, 0.2])
    masked = bare + random.normal(size=own.shape) @ np.diag([0.5, 0.1, 0.2])
    pairs = (masked.reshape(-1, photos, 1, size) - bare.reshape(-1, 1, photos, size))[:, ~np.eye(photos, dtype=bool)]
    enumerated = np.einsum("ipa,ipb->ab", pairs, pairs) / (people * photos * (photos - 1))
    found = differences(bare, masked, identities)
    assert found == pytest.approx(enumerated, abs=0.01)
    assert np.diag(found) == pytest.approx([0.27, 0.19, 0.12], abs=0.01)


def test_people_with_one_photo_say_what_a_mask_changes():
    random = np.random.default_rng(1)
    bare, masked = random.normal(size=(2, 5, 4))
    alone = differences(bare, masked, np.array([0, 0, 1, 2, 3]))
    stray = bare[0] - bare[1]
    change = masked - bare
    assert alone == pytest.approx(change.T @ change / 5 + np.outer(stray, stray), abs=1e-12)
    with pytest.raises(DataError, match="nobody has two photos"):
        differences(bare, masked, np.arange(5))


def test_directions_that_differ_more_are_made_shorter():
    random = np.random.default_rng(2)
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    moments = turn @ np.diag([1.0, 2.0, 3.0, 4.0, 100.0]) @ turn.T
    lengths = np.diag(turn.T @ whitening(moments, 1e-9) @ turn)
    assert lengths == pytest.approx(np.array([1, 2, 3, 4, 100.0]) ** -0.5 * lengths[0], rel=1e-5)
    assert whitening(moments, 1.0) == pytest.approx(np.eye(5), abs=1e-9)
    half = np.diag(turn.T @ whitening(moments, 0.5) @ turn)
    assert half == pytest.approx((0.5 * np.array([1, 2, 3, 4, 100]) + 11) ** -0.5 * half[0] * 11.5**0.5, rel=1e-5)


@pytest.fixture
def bundle(tmp_path):
    torch.manual_seed(0)
    return save_bundle(tmp_path / "known", MaskFaceNet(SMALL).eval(), preprocessing={"a": 1}, training={"seed": 5})


def test_the_last_layer_takes_the_matrix_in(bundle, prepared, tmp_path):
    made = whiten(WhitenConfig(bundle=str(bundle), data=str(prepared), out=str(tmp_path / "out"), shrinkage=0.1))
    before, after = load_bundle(bundle).model, load_bundle(made)
    assert after.config["arguments"] == load_bundle(bundle).config["arguments"]
    assert after.config["preprocessing"] == {"a": 1}
    assert after.config["training"] == {"seed": 5, "whitened": {"shrinkage": 0.1, "photos": 32}}
    assert after.config["metrics"] == {}
    assert after.config["thresholds"] == {}

    store = CropStore(str(prepared), "train")
    rows = np.arange(len(store))
    old, new = embed(before, store, rows), embed(after.model, store, rows)
    for part in (slice(0, 4), slice(4, 8)):
        (bare, masked), (new_bare, new_masked) = ([made[:, part] for made in both] for both in (old, new))
        moments = differences(bare, masked, store.identities)
        wanted = normalize(torch.from_numpy(bare @ whitening(moments, 0.1)), dim=1) * 0.5**0.5
        torch.testing.assert_close(torch.from_numpy(new_bare), wanted, atol=1e-5, rtol=0)
        even = 4 / 3  # at best: where all are of length 1, they differ in three directions of four
        assert spread(differences(new_bare, new_masked, store.identities)) - even < 0.4 * (spread(moments) - even)


def spread(moments: np.ndarray) -> float:
    """Of the largest eigenvalue over the mean one."""
    values = np.linalg.eigvalsh(moments)
    return float(values[-1] / values.mean())


def test_mistakes_are_said(bundle, prepared, tmp_path):
    torch.manual_seed(0)
    table1 = save_bundle(tmp_path / "table1", MaskFaceNet(replace(SMALL, head="table1")).eval(), preprocessing={})
    config = WhitenConfig(bundle=str(table1), data=str(prepared), out=str(tmp_path / "out"))
    with pytest.raises(ModelError, match=r"table1 has the head of Table 1"):
        whiten(config)
    with pytest.raises(ModelError, match="is no bundle"):
        whiten(replace(config, bundle=str(tmp_path)))
    with pytest.raises(DataError, match="holds no prepared faces of split train"):
        whiten(replace(config, bundle=str(bundle), data=str(tmp_path)))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="cannot be written"):
        whiten(replace(config, bundle=str(bundle), out=str(tmp_path / "file" / "out")))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(ModelError, match="photos is no bundle"):
        whiten(replace(config, bundle=str(bundle), out=str(tmp_path / "photos")))
    assert (tmp_path / "photos" / "mine.jpg").read_bytes() == b"mine"
    for settings in ({"shrinkage": 0.0}, {"shrinkage": 1.1}, {"photos": 1}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            replace(config, **settings)
