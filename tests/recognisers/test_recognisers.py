"""Recognisers: each embeds faces of invented people; every wrong spec and file ends in a sentence."""

import sys
import time
from types import ModuleType

import numpy as np
import pytest
from support.tiny_onnx import average_pooling

from raymask.demo_faces import Person, Shot, render
from raymask.errors import ConfigError, ModelError
from raymask.evaluate import Recogniser, load_recogniser
from raymask.faces.alignment import align
from raymask.models.networks.backbones import IMAGE_MEAN, IMAGE_STD
from raymask.recognisers.face_finder import face_finder, share_finder, shared_finder
from raymask.recognisers.photo_cache import PhotoMemory, shared_memory


@pytest.fixture(scope="module")
def photos():
    """Two photos of each of three people, of two sizes, and last one that shows nobody."""
    made = [
        render(Person.invent(who), Shot.invent(10 * who + number), size=200 + 60 * number).image
        for who in range(3)
        for number in range(2)
    ]
    return [*made, np.full((120, 90, 3), 127, np.uint8)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    import torch

    from raymask.models import save_bundle
    from raymask.models.networks.maskfacenet import MaskFaceNet, MaskFaceNetConfig

    torch.manual_seed(0)
    model = MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", embedding_size=24, input_size=64))
    return save_bundle(tmp_path_factory.mktemp("bundle") / "tiny", model, preprocessing={})


@pytest.fixture
def torch_cache(tmp_path, monkeypatch):
    """An empty cache of torch's, so that neither the machine's own is used nor anything is fetched."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def check(recogniser, photos, size):
    """The contract: shapes, dtypes, lengths, zeros where nobody is found, and the same alone as among others."""
    assert isinstance(recogniser, Recogniser)
    embeddings, found = recogniser.embed(photos)
    assert embeddings.shape == (len(photos), size)
    assert embeddings.dtype == np.float32
    assert found.dtype == bool
    assert found.tolist() == [True] * 6 + [False]
    assert np.allclose(np.linalg.norm(embeddings[:6], axis=1), 1, atol=1e-5)
    assert not embeddings[6].any()
    alone, _ = recogniser.embed(photos[2:3])
    assert np.allclose(alone[0], embeddings[2], atol=1e-4)
    nothing, none = recogniser.embed([])
    assert nothing.shape == (0, size)
    assert none.shape == (0,)
    return embeddings


@pytest.mark.parametrize("name", ["sface", "dlib"])
def test_networks_that_come_along_know_people(photos, name):
    embeddings = check(load_recogniser(name), photos, 128)
    scores = embeddings[:6] @ embeddings[:6].T
    alike = [scores[0, 1], scores[2, 3], scores[4, 5]]
    others = [scores[0, 2], scores[0, 4], scores[2, 4], scores[1, 3], scores[1, 5], scores[3, 5]]
    assert np.mean(alike) > np.mean(others)


def test_bundle_sees_crops_as_training_does(photos, bundle):
    import torch

    from raymask.faces.crop import Square, resize_crop
    from raymask.models import load_bundle

    embeddings = check(load_recogniser(f"bundle:{bundle}"), photos, 24)
    crop = resize_crop(Square.around(shared_finder()(photos[1]).box).cut(photos[1]), 64)
    with torch.inference_mode():
        row = load_bundle(bundle).model(torch.from_numpy(crop.transpose(2, 0, 1)[None].copy()))[0].numpy()
    assert np.allclose(embeddings[1], row / np.linalg.norm(row), atol=1e-5)


@pytest.mark.parametrize("batch", [1, "N"])
def test_onnx_averages_the_flipped_face(photos, tmp_path, batch):
    file = tmp_path / "tiny.onnx"
    file.write_bytes(average_pooling((batch, 3, 112, 112), (batch, 48)))
    embeddings = check(load_recogniser(f"onnx:{file}"), photos, 48)
    face = align(photos[3], shared_finder()(photos[3]).points) / 255
    pooled = ((face - IMAGE_MEAN) / IMAGE_STD).reshape(4, 28, 4, 28, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    both = (pooled + pooled[:, :, ::-1]).ravel()
    assert np.allclose(embeddings[3], both / np.linalg.norm(both), atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "output", "said"),
    [
        ((1, 3, 224, 224), (1, 192), r"takes tensor\(float\) \[1, 3, 224, 224\]; aligned faces are"),
        ((1, 1, 112, 112), (1, 16), r"takes tensor\(float\) \[1, 1, 112, 112\]"),
        ((8, 3, 112, 112), (8, 48), "takes exactly 8 photos at a time"),
    ],
)
def test_onnx_of_other_shapes_is_refused(tmp_path, shape, output, said):
    file = tmp_path / "tiny.onnx"
    file.write_bytes(average_pooling(shape, output))
    with pytest.raises(ModelError, match=said):
        load_recogniser(f"onnx:{file}")


def test_onnx_missing_or_damaged(tmp_path):
    with pytest.raises(ModelError, match="there is no such file"):
        load_recogniser(f"onnx:{tmp_path}/absent.onnx")
    (tmp_path / "damaged.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_recogniser(f"onnx:{tmp_path}/damaged.onnx")


def test_facenet_from_a_file_and_from_torchs_cache(photos, torch_cache, facenet_state):
    import torch

    state = dict(facenet_state)
    state["logits.weight"] = torch.zeros(8631, 512)  # the published files carry their classifier
    torch_cache.mkdir(parents=True)
    path = torch_cache / "20180402-114759-vggface2.pt"
    torch.save(state, path)
    embeddings = check(load_recogniser("facenet"), photos, 512)
    again, _ = load_recogniser(f"facenet:{path}").embed(photos[:1])
    assert np.allclose(again[0], embeddings[0], atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "name"),
    [("", "20180402-114759-vggface2.pt"), (":casia-webface", "20180408-102900-casia-webface.pt")],
)
def test_facenet_says_where_its_weights_belong_and_fetches_nothing(torch_cache, weights, name):
    with pytest.raises(ModelError) as raised:
        load_recogniser(f"facenet{weights}")
    assert str(torch_cache / name) in str(raised.value)
    assert not torch_cache.exists()


def test_facenet_with_other_files(tmp_path):
    import torch

    with pytest.raises(ModelError, match="no such file, and not one of vggface2, casia-webface"):
        load_recogniser("facenet:imagenet")
    (tmp_path / "damaged.pt").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be read as torch weights"):
        load_recogniser(f"facenet:{tmp_path}/damaged.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="does not hold the weights of an InceptionResnetV1"):
        load_recogniser(f"facenet:{tmp_path}/other.pt")


@pytest.mark.parametrize(
    "spec", ["", "arcface", "sface:", "dlib:x", "onnx", "onnx:", "bundle:", "facenet:", "python", "fused:"]
)
def test_unknown_specs_say_what_is_known(spec):
    with pytest.raises(
        ConfigError, match=r"it takes one of maskfacenet, mrii, sface\[:FILE\], dlib, facenet\[:WEIGHTS\], onnx:"
    ):
        load_recogniser(spec)


def test_a_missing_bundle(tmp_path):
    with pytest.raises(ModelError, match="is no bundle"):
        load_recogniser(f"bundle:{tmp_path}")


class Own:
    """A user's own recogniser."""

    def embed(self, photos):
        return np.ones((len(photos), 1), np.float32), np.ones(len(photos), bool)


def make_own():
    return Own()


@pytest.fixture
def own_module(monkeypatch):
    module = ModuleType("own_recognisers")
    module.Own, module.make, module.made, module.number = Own, make_own, Own(), 7
    monkeypatch.setitem(sys.modules, "own_recognisers", module)


@pytest.mark.parametrize("attribute", ["Own", "make", "made"])
def test_a_users_own_class_maker_or_object(own_module, attribute):
    assert isinstance(load_recogniser(f"python:own_recognisers:{attribute}"), Own)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_recognisers", "it takes python:MODULE:ATTRIBUTE"),
        ("own_recognisers:absent", "absent"),
        ("own_recognisers:number", "int has no method embed_aligned"),
        ("no_such_module:x", "No module named 'no_such_module'"),
    ],
)
def test_a_users_own_that_is_none(own_module, name, said):
    with pytest.raises(ConfigError, match=said):
        load_recogniser(f"python:{name}")


def test_a_face_is_found_once_for_all(photos, monkeypatch):
    calls = []
    monkeypatch.setattr("raymask.recognisers.face_finder.detect", lambda photo, detector: calls.append(detector) or [])
    finder = face_finder("mtcnn")
    assert finder(photos[0]) is None
    assert finder(photos[0].copy()) is None
    assert calls == ["mtcnn"]
    finder(photos[0].transpose(1, 0, 2))
    assert len(calls) == 2


def test_all_recognisers_of_a_process_find_faces_with_the_detector_that_was_named_last(photos, monkeypatch):
    monkeypatch.setattr("raymask.recognisers.face_finder._shared", {})
    calls = []
    monkeypatch.setattr("raymask.recognisers.face_finder.detect", lambda photo, detector: calls.append(detector) or [])
    first = shared_finder()
    assert shared_finder() is first
    first(photos[0])
    share_finder("mtcnn")
    other = shared_finder()
    share_finder("mtcnn")
    assert shared_finder() is other is not first
    other(photos[0])
    assert calls == ["yunet", "mtcnn"]


def test_the_finders_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("raymask.recognisers.face_finder._PHOTOS", 2)
    calls = []
    monkeypatch.setattr("raymask.recognisers.face_finder.detect", lambda photo, detector: calls.append(detector) or [])
    finder = face_finder()
    blank = [np.full((50, 50, 3), shade, np.uint8) for shade in range(3)]
    for photo in (*blank, blank[2], blank[0]):
        finder(photo)
    assert len(calls) == 4  # the first was forgotten, the last was not


def test_what_memory_spares_is_counted():
    calls = []

    def slow(photo, more):
        time.sleep(0.02)
        calls.append(more)
        return len(calls)

    memory = PhotoMemory(slow, photos=2)
    photo = np.zeros((8, 8, 3), np.uint8)
    assert [memory(photo, "box"), memory(photo.copy(), "box"), memory(photo, "box")] == [1, 1, 1]
    assert calls == ["box"]
    assert memory.seconds >= 0.02
    assert memory.spared == pytest.approx(2 * memory.seconds)


def test_memories_are_shared_by_key():
    one = shared_memory(("test", 1), lambda photo: "one", photos=1)
    assert shared_memory(("test", 1), lambda photo: "two", photos=1) is one
    assert shared_memory(("test", 2), lambda photo: "two", photos=1) is not one
