"""YuNet: boxes, points and scores of faces; files that are not YuNet's end in a sentence."""

import shutil
import threading
from collections.abc import Callable
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from support.tiny_onnx import average_pooling

from raymask.demo_faces import Person, Shot, render
from raymask.errors import ConfigError, ModelError
from raymask.faces.detection.detector import FaceDetector
from raymask.faces.detection.names import absolute_detector, check_detector
from raymask.faces.detection.yunet import Yunet
from raymask.faces.zoo_models import zoo_model

EYES_NOSE_MOUTH = ((36, 39), (42, 45), (30, 30), (48, 48), (54, 54))
"""Of the 68 landmarks those between which the five points lie, as seen in the image from left to right."""


@pytest.fixture(scope="module")
def yunet() -> Yunet:
    return Yunet()


@pytest.fixture(scope="module")
def portraits():
    return [render(Person.invent(seed), Shot.invent(seed)) for seed in range(4)]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    common = np.prod(np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0))
    return float(common / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - common))


def test_boxes_and_points_lie_on_the_face(yunet, portraits):
    for portrait in portraits:
        found = yunet(portrait.image, least=16, threshold=0.5)
        assert found.boxes.shape == (1, 4)
        assert {one.dtype for one in found} == {np.dtype(np.float32)}
        assert 0.5 <= found.scores[0] <= 1
        assert overlap(found.boxes[0], portrait.box) > 0.5
        truth = np.stack([portrait.landmarks[list(pair)].mean(axis=0) for pair in EYES_NOSE_MOUTH])
        eyes = np.linalg.norm(truth[0] - truth[1])
        assert np.linalg.norm(found.points[0] - truth, axis=1).max() < 0.35 * eyes


def test_the_surest_face_comes_first_and_small_ones_are_left_out(yunet, portraits):
    first, second = portraits[0].image, portraits[1].image[::4, ::4]
    canvas = np.full((first.shape[0], first.shape[1] + 100, 3), 90, np.uint8)
    canvas[:, : first.shape[1]] = first
    canvas[20 : 20 + second.shape[0], first.shape[1] + 10 : first.shape[1] + 10 + second.shape[1]] = second
    found = yunet(canvas, least=1, threshold=0.3)
    sides = (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1)
    assert len(sides) >= 2
    assert (np.diff(found.scores) <= 0).all()
    between = float(np.sort(sides)[-2]) + 1
    assert len(yunet(canvas, least=between, threshold=0.3).boxes) == 1
    assert len(yunet(canvas, least=1, threshold=0.999).boxes) == 0


def test_nothing_is_found_where_nothing_is(yunet):
    for shape in ((120, 90, 3), (9, 9, 3), (1, 300, 3)):
        found = yunet(np.full(shape, 128, np.uint8), least=16, threshold=0.5)
        assert [one.shape for one in found] == [(0, 4), (0,), (0, 5, 2)]


def test_a_small_photo_is_looked_at_enlarged_and_answered_in_its_own_pixels(yunet, portraits):
    large = portraits[0].image
    scale = 120 / max(large.shape[:2])
    small = cv2.resize(large, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    sizes = seen_sizes(yunet, lambda: yunet(small))
    assert sizes == [(3 * small.shape[1], 3 * small.shape[0])]
    found = yunet(small)
    assert overlap(found.boxes[0] / scale, yunet(large).boxes[0]) > 0.8
    side = float((found.boxes[0, 2:] - found.boxes[0, :2]).max())
    assert len(yunet(small, least=side - 1).boxes) == 1
    assert len(yunet(small, least=side + 1).boxes) == 0


def test_a_second_look_at_a_smaller_photo_is_not_enlarged_again(yunet):
    """A face that fills the photo is found in a smaller one."""
    sizes = seen_sizes(yunet, lambda: yunet.again(np.full((200, 180, 3), 128, np.uint8)))
    assert {(72, 80), (108, 120), (270, 300), (540, 600), (180, 200), (200, 180)} == set(sizes)


def test_a_second_look_enlarges_no_photo_so_far_that_it_takes_long(yunet):
    sizes = seen_sizes(yunet, lambda: yunet.again(np.full((800, 400, 3), 128, np.uint8)))
    assert (600, 1200) in sizes
    assert max(max(size) for size in sizes) == 1200


def seen_sizes(yunet: Yunet, act: Callable[[], object]) -> list[tuple[int, int]]:
    """Width and height of all pictures that the network sees meanwhile."""
    network = yunet._network
    watched = Mock(wraps=network)
    yunet._network = watched
    try:
        act()
    finally:
        yunet._network = network
    return [call.args[0] for call in watched.setInputSize.call_args_list]


def test_threads_do_not_mix_their_photos(yunet, portraits):
    photos = [portraits[0].image, portraits[1].image[:200, :190], portraits[2].image.repeat(2, axis=0)]
    alone = [yunet(photo, least=16, threshold=0.3) for photo in photos]
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(20):
            found = yunet(photos[number], least=16, threshold=0.3)
            if not all(map(np.array_equal, found, alone[number])):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_file_of_ones_own_finds_the_same(portraits, tmp_path):
    own = shutil.copy(zoo_model("yunet"), tmp_path / "own.onnx")
    photo = portraits[0].image
    (wanted,), (found,) = FaceDetector("yunet")(photo), FaceDetector(f"yunet:{own}")(photo)
    assert np.array_equal(found.box, wanted.box)
    assert np.array_equal(found.points, wanted.points)


@pytest.mark.parametrize("content", [None, b"", b"nothing", "tiny", "sface"])
def test_files_that_are_not_yunets_end_in_a_sentence(content, tmp_path, capfd):
    own = tmp_path / "own.onnx"
    if content == "sface":
        own = zoo_model("sface")
    elif content == "tiny":
        own.write_bytes(average_pooling((1, 3, 112, 112), (1, 48)))
    elif content is not None:
        own.write_bytes(content)
    said = "there is no such file" if content is None else "is not YuNet's network; name the ONNX file of OpenCV Zoo"
    with pytest.raises(ModelError, match=f"^yunet:{own}:? {said}$"):
        FaceDetector(f"yunet:{own}")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["", "yunet:", "mtcnn:x", "mtcnn:", "YuNet", "haar", "retinaface:a"])
def test_other_names_say_what_is_known(name):
    with pytest.raises(ConfigError, match=r"is unknown; choose one of yunet\[:FILE\], mtcnn$"):
        check_detector(name)
    with pytest.raises(ConfigError, match="is unknown"):
        FaceDetector(name)
    for known in ("yunet", "yunet:a/b.onnx", "mtcnn"):
        check_detector(known)


def test_files_of_detectors_are_found_from_other_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_detector("yunet:a/../own.onnx") == f"yunet:{tmp_path}/own.onnx"
    assert [absolute_detector(name) for name in ("yunet", "mtcnn")] == ["yunet", "mtcnn"]
