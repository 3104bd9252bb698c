"""Probes are made once, in chunks; misses are told apart; a recogniser that breaks its promise is refused."""

import numpy as np
import pytest

from raymask import storage
from raymask.data.prepare.photos import Photo
from raymask.errors import DataError, ModelError
from raymask.evaluate import embedding
from raymask.evaluate.embedding import embed_probes
from raymask.evaluate.probes import Probe, Probes
from raymask.faces.images import encode_jpeg
from raymask.faces.masks import TEST_LOOKS, Textures
from raymask.storage import Folder


class Mean:
    """Embeds a photo by its mean colour; finds no face in dark ones."""

    def __init__(self):
        self.given = []

    def embed(self, photos):
        self.given.append(len(photos))
        means = np.array([photo.mean(axis=(0, 1)) for photo in photos], np.float32).reshape(-1, 3)
        found = means.mean(axis=1) > 60
        return means / np.linalg.norm(means, axis=1, keepdims=True), found


@pytest.fixture
def folder(demo_faces, tmp_path):
    """Three demo photos, a photo of nothing, a dark one, and a damaged file."""
    (tmp_path / "p").mkdir()
    for number, path in enumerate(sorted(demo_faces.rglob("*.jpg"))[:3]):
        (tmp_path / "p" / f"{number}.jpg").write_bytes(path.read_bytes())
    (tmp_path / "p" / "blank.jpg").write_bytes(encode_jpeg(np.full((90, 80, 3), 200, np.uint8)))
    (tmp_path / "p" / "dark.jpg").write_bytes(encode_jpeg(np.full((90, 80, 3), 5, np.uint8)))
    (tmp_path / "p" / "damaged.jpg").write_bytes(b"no image")
    return tmp_path


@pytest.fixture
def wanted():
    names = ("0", "1", "2", "blank", "dark", "damaged")
    return [Probe(Photo("p", f"p/{name}.jpg"), masked) for masked in (False, True) for name in names]


@pytest.fixture
def probes(folder):
    return Probes(Folder(folder), masks=TEST_LOOKS, seed=0)


def test_a_photo_in_a_real_mask_is_read_from_its_own_folder_and_nothing_is_drawn_on_it(
    probes, folder, tmp_path_factory
):
    worn = tmp_path_factory.mktemp("worn")
    (worn / "p").mkdir()
    (worn / "p" / "0.jpg").write_bytes((folder / "p" / "1.jpg").read_bytes())  # the name of another bare photo
    (worn / "p" / "blank.jpg").write_bytes((folder / "p" / "dark.jpg").read_bytes())
    both = Probes(Folder(folder), masks=TEST_LOOKS, seed=0, others={"masked_images": Folder(worn)})
    names = ("p/0.jpg", "p/blank.jpg", "p/gone.jpg")
    wanted = [Probe(Photo("p", name), True, "masked_images") for name in names]
    wanted += [Probe(Photo("p", f"p/{number}.jpg"), False) for number in (0, 1)]
    answer = embed_probes(wanted, both, {"mean": Mean()})["mean"]
    assert answer.found.tolist() == [True, False, False, True, True]
    assert (answer.embeddings[0] == answer.embeddings[4]).all()
    assert (answer.embeddings[0] != answer.embeddings[3]).any()
    assert [(miss.image_id, miss.masked, miss.reason[:10]) for miss in answer.misses] == [
        ("p/blank.jpg", True, "no face fo"),
        ("p/gone.jpg", True, "unreadable"),
    ]


def test_storage_that_fails_is_no_face_that_was_missed(probes, wanted, monkeypatch):
    monkeypatch.setattr(storage, "_PAUSES", ())
    read = Folder.read

    def fails(folder, name):
        if name == "p/1.jpg":
            raise DataError(f"{name} cannot be read (timeout); try again")
        return read(folder, name)

    monkeypatch.setattr(Folder, "read", fails)
    with pytest.raises(DataError, match=r"p/1\.jpg cannot be read \(timeout\)"):
        embed_probes(wanted, probes, {"mean": Mean()})


def test_found_and_missed(probes, wanted, capsys):
    answer = embed_probes(wanted, probes, {"mean": Mean()})["mean"]
    assert answer.found.tolist() == [True] * 4 + [False] * 2 + [True] * 3 + [False] * 3
    assert not answer.embeddings[~answer.found].any()
    reasons = {(miss.image_id, miss.masked): miss.reason for miss in answer.misses}
    assert len(reasons) == len(answer.misses) == 5
    assert reasons["p/dark.jpg", False] == "no face found"
    assert reasons["p/blank.jpg", True].endswith("bare photo that a mask would cover")
    assert reasons["p/damaged.jpg", False].startswith("unreadable")
    assert reasons["p/damaged.jpg", True].startswith("unreadable")
    assert "12/12 probes" in capsys.readouterr().out


def test_a_mask_that_cannot_be_drawn_costs_that_probe_only(folder, wanted, monkeypatch):
    def fail(*_, **__):
        raise ValueError("odd face")

    monkeypatch.setattr("raymask.evaluate.probes.draw_mask", fail)
    probes = Probes(Folder(folder), masks=TEST_LOOKS, seed=0)
    answer = embed_probes(wanted, probes, {"mean": Mean()})["mean"]
    assert answer.found.tolist() == [True] * 4 + [False] * 8
    assert "no mask could be drawn (ValueError: odd face)" in {miss.reason for miss in answer.misses}


@pytest.mark.parametrize("drawing", ["fitted", "flat"])
def test_masks_can_be_of_own_pictures(folder, drawing):
    own = Textures.of({"red.png": np.full((30, 40, 3), (230, 20, 20), np.uint8)})
    probes = Probes(Folder(folder), masks=("cloth:own",), seed=0, drawing=drawing, textures=own)
    photo = Photo("p", "p/0.jpg")
    masked, mask_map = probes.drawn(photo, probes.bare(photo))
    red, green, blue = np.median(masked[mask_map > 0], axis=0)
    assert red > 2 * max(green, blue)


def test_chunks_change_nothing(probes, wanted, monkeypatch):
    whole = embed_probes(wanted, probes, {"mean": Mean()})["mean"]
    for name, value in (("CHUNK_PHOTOS", 2), ("CHUNK_BYTES", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(embedding, name, value)
            recogniser = Mean()
            parts = embed_probes(wanted, probes, {"mean": recogniser})["mean"]
        assert max(recogniser.given) == 2  # a photo's two probes stay together
        assert (parts.embeddings == whole.embeddings).all()
        assert parts.misses == whole.misses


def test_masked_probes_differ_from_bare_ones_and_hang_on_the_seed(probes, folder):
    photo = Photo("p", "p/1.jpg")
    bare = probes.bare(photo)
    masked = probes.masked(photo, bare)
    assert 0.02 < (masked != bare).any(axis=2).mean() < 0.5
    assert (masked == Probes(Folder(folder), masks=TEST_LOOKS, seed=0).masked(photo, bare)).all()
    assert probes.look(photo) in TEST_LOOKS
    others = [Probes(Folder(folder), masks=TEST_LOOKS, seed=seed).masked(photo, bare) for seed in (1, 2)]
    assert any((other != masked).any() for other in others)


@pytest.mark.parametrize(
    ("embeddings", "found", "said"),
    [
        (lambda n: np.ones((n, 4)), lambda n: np.ones(n, bool), "of length 1"),
        (lambda n: np.full((n, 1), np.nan), lambda n: np.ones(n, bool), "of length 1"),
        (lambda n: np.ones(n), lambda n: np.ones(n, bool), r"embed\(\d+ photos\) gave"),
        (lambda n: np.ones((n, 1)), lambda n: np.ones(n + 1, bool), r"embed\(\d+ photos\) gave"),
    ],
)
def test_a_recogniser_that_breaks_its_promise(probes, wanted, embeddings, found, said):
    class Broken:
        def embed(self, photos):
            return embeddings(len(photos)), found(len(photos))

    with pytest.raises(ModelError, match=f"own: .*{said}"):
        embed_probes(wanted, probes, {"own": Broken()})
