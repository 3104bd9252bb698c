"""Our MTCNN finds what facenet-pytorch's does."""

import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from raymask.errors import ModelError
from raymask.faces import detect, draw_mask, subject
from raymask.faces.detection import mtcnn as module
from raymask.faces.detection.mtcnn import Mtcnn
from raymask.faces.images import decode_photo


@pytest.fixture(scope="module")
def photos(demo_faces) -> dict[str, np.ndarray]:
    """Bare, masked, turned, dark, of odd sizes, several faces, and none."""
    paths = [sorted(person.glob("*.jpg"))[0] for person in sorted(demo_faces.iterdir())[:4]]
    bare = [decode_photo(path.read_bytes(), path.name) for path in paths]
    masked = [
        draw_mask(photo, subject(detect(photo), photo.shape).landmarks, "kn95", seed)[0]
        for seed, photo in enumerate(bare)
    ]
    turn = cv2.getRotationMatrix2D((bare[0].shape[1] / 2, bare[0].shape[0] / 2), 15, 1)
    return {
        **{f"bare {number}": photo for number, photo in enumerate(bare)},
        **{f"masked {number}": photo for number, photo in enumerate(masked)},
        "turned": cv2.warpAffine(bare[0], turn, bare[0].shape[1::-1]),
        "dark": (bare[1] * 0.3).astype(np.uint8),
        "odd sides": bare[2][:-1, :-3],
        "large": cv2.resize(bare[3], (901, 777)),
        "small": cv2.resize(bare[0], (61, 63)),
        "four": np.concatenate([np.concatenate(bare[:2], axis=1), np.concatenate(masked[2:], axis=1)]),
        "cut at the edge": bare[1][:, bare[1].shape[1] // 2 - 20 :],
        "noise": np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8),
        "nothing": np.zeros((50, 50, 3), np.uint8),
    }


@pytest.mark.parametrize("least", [20, 40])
def test_it_finds_what_facenet_pytorch_finds(photos, least):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package predates today's torch and numpy
        from facenet_pytorch import MTCNN

        stock = MTCNN(keep_all=True, min_face_size=least, post_process=False)
        ours = Mtcnn()
        found = 0
        for name, photo in photos.items():
            boxes, scores, points = stock.detect(photo, landmarks=True)
            mine = ours(photo, least=least)
            if boxes is None:
                assert not len(mine.boxes), name
                continue
            # By confidence, as ours are; the stock's follow the sizes of faces.
            order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
            assert np.allclose(mine.scores, np.asarray(scores, np.float64)[order], atol=1e-3), name
            assert np.allclose(mine.boxes, np.asarray(boxes, np.float64)[order], atol=0.5), name
            assert np.allclose(mine.points, np.asarray(points, np.float64)[order], atol=0.5), name
            found += len(boxes)
    assert found >= 14


def test_faces_of_the_least_size_are_found_and_no_smaller_ones(photos):
    photo = photos["bare 0"]
    (box,) = Mtcnn()(photo, least=40).boxes
    small = cv2.resize(photo, None, fx=30 / (box[3] - box[1]), fy=30 / (box[3] - box[1]), interpolation=cv2.INTER_AREA)
    canvas = np.full((200, 200, 3), 128, np.uint8)
    canvas[60 : 60 + small.shape[0], 60 : 60 + small.shape[1]] = small
    assert len(Mtcnn()(canvas, least=20).boxes) == 1
    assert len(Mtcnn()(canvas, least=60).boxes) == 0


def test_a_photo_smaller_than_the_least_face_has_none(photos):
    found = Mtcnn()(photos["small"], least=100)
    assert (found.boxes.shape, found.scores.shape, found.points.shape) == ((0, 4), (0,), (0, 5, 2))


def test_the_package_itself_is_not_imported(photos):
    script = "import sys, numpy as np; from raymask.faces import detect; detect(np.zeros((99, 99, 3), np.uint8)); "
    script += "sys.exit(bool({'facenet_pytorch', 'torchvision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("damage", ["missing", "torn", "pickle"])
def test_weights_that_cannot_be_read_are_named(tmp_path, monkeypatch, damage):
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "pnet.pt"
    if damage == "torn":
        file.write_bytes(b"torn")
    elif damage == "pickle":
        torch.save({"conv1.weight": Path}, file)
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(module, "find_spec", lambda _: spec)
    with pytest.raises(ModelError, match=r"pnet\.pt cannot be read.*install facenet-pytorch again"):
        Mtcnn()
