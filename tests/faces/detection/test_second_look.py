"""Faces that a first look misses are found by a second; where there are none, neither finds any."""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest

from raymask.demo_faces import Person, Shot, render
from raymask.faces import Face, detect, draw_mask
from raymask.faces.detection.detector import MIN_FACE, FaceDetector
from raymask.faces.detection.mtcnn import Detections, Mtcnn
from raymask.faces.detection.second_look import CERTAIN, relit, second_look
from raymask.faces.detection.yunet import AGAIN_SCORE, Yunet

PEOPLE = (0, 1, 3)


@pytest.fixture(scope="module")
def mtcnn() -> Mtcnn:
    return Mtcnn()


@pytest.fixture(scope="module", params=["yunet", "mtcnn"])
def detector(request) -> FaceDetector:
    return FaceDetector(request.param)


@pytest.fixture(scope="module", params=["yunet", "mtcnn"])
def again(request, mtcnn) -> tuple[Callable[[np.ndarray], Detections], float]:
    """A second look, and the least score with it."""
    return (Yunet().again, AGAIN_SCORE) if request.param == "yunet" else (partial(second_look, mtcnn), CERTAIN)


@pytest.fixture(scope="module")
def masked() -> list[tuple[np.ndarray, Face]]:
    """Photos of people in masks, each with the face as it was before."""
    shots = [render(Person.invent(seed), Shot.invent(seed)).image for seed in PEOPLE]
    faces = [detect(shot)[0] for shot in shots]
    return [
        (draw_mask(shot, face.landmarks, "surgical", seed)[0], face)
        for seed, shot, face in zip(PEOPLE, shots, faces, strict=True)
    ]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    common = np.prod(np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0))
    return float(common / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - common))


def tilted(photo: np.ndarray, face: Face, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Clockwise about the middle of the face, and the matrix of that."""
    matrix = cv2.getRotationMatrix2D(tuple(map(float, face.centre)), -degrees, 1)
    return cv2.warpAffine(photo, matrix, photo.shape[1::-1], borderMode=cv2.BORDER_REFLECT_101), matrix


def eyes_off(points: np.ndarray, face: Face, matrix: np.ndarray) -> float:
    """How far the worse eye lies from where it is after the tilt, in distances between the eyes."""
    truth = face.points @ matrix[:, :2].T + matrix[:, 2]
    return float(np.linalg.norm(points[:2] - truth[:2], axis=1).max() / np.linalg.norm(truth[0] - truth[1]))


@pytest.mark.parametrize("degrees", [50, -90, 135])
def test_tilted_faces_in_masks_are_found(detector, masked, degrees):
    for photo, face in masked:
        seen = detector.subject(tilted(photo, face, degrees)[0])
        assert seen is not None
        assert overlap(seen.box, face.box) > 0.4


@pytest.mark.parametrize("degrees", [-90, 135])
def test_mtcnns_second_look_knows_left_and_right_as_worn(mtcnn, masked, degrees):
    for photo, face in masked[1:]:
        hard, matrix = tilted(photo, face, degrees)
        assert eyes_off(second_look(mtcnn, hard).points[0], face, matrix) < 0.3


def test_a_second_look_finds_faces_on_their_sides(again, masked):
    look, least = again
    for photo, face in masked[1:]:
        found = look(tilted(photo, face, -90)[0])
        assert (found.scores >= least).all()
        assert (np.diff(found.scores) <= 0).all()
        assert overlap(found.boxes[0], face.box) > 0.4


def test_mtcnns_first_look_does_not_find_them_all(mtcnn, masked):
    found = 0
    for photo, face in masked:
        hard, _ = tilted(photo, face, -90)
        found += any(overlap(box, face.box) > 0.4 for box in mtcnn(hard, least=MIN_FACE).boxes)
    assert found < len(masked)


@pytest.mark.parametrize("hard", ["dark", "small", "cut tightly"])
def test_dark_small_and_tightly_cut_faces_in_masks(detector, masked, hard):
    for photo, face in masked:
        box = face.box
        if hard == "dark":
            photo = np.round(255 * (0.01 * (photo / 255) ** 2.2) ** (1 / 2.2)).astype(np.uint8)
        elif hard == "small":
            scale = 26 / float((box[2:] - box[:2]).max())
            photo, box = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), box * scale
        else:
            left, top, right, bottom = box.astype(int)
            photo, box = photo[max(top, 0) : bottom, left:right], box - np.array([left, top, left, top])
        seen = detector.subject(photo)
        assert seen is not None
        assert overlap(seen.box, box) > 0.4


def test_the_landmarks_of_tilted_faces_are_those_of_the_upright_ones(detector, masked):
    for degrees in (25, -40):
        errors = []
        for seed, (_, face) in zip(PEOPLE, masked, strict=True):
            photo, matrix = tilted(render(Person.invent(seed), Shot.invent(seed)).image, face, degrees)
            seen = detector.subject(photo)
            assert seen is not None
            truth = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
            eyes = np.linalg.norm(face.landmarks[36] - face.landmarks[45])
            errors.append(np.linalg.norm(seen.landmarks - truth, axis=1).mean() / eyes)
        assert np.median(errors) < 0.05


def test_where_the_first_look_finds_a_face_there_is_no_second(detector, monkeypatch):
    bare = render(Person.invent(0), Shot.invent(0)).image
    for again in ("raymask.faces.detection.detector.second_look", "raymask.faces.detection.yunet.Yunet.again"):
        monkeypatch.setattr(again, None)
    assert len(detector(bare)) == 1
    with pytest.raises(TypeError, match="callable"):
        detector(np.full((120, 120, 3), 128, np.uint8))


def test_nothing_is_found_where_nothing_is(again):
    rng = np.random.default_rng(0)
    across = np.broadcast_to(np.arange(200)[:, None, None], (200, 300, 3))
    for name, photo in {
        "noise": rng.integers(0, 256, (200, 300, 3)),
        "clouds": cv2.resize(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8), (300, 200)),
        "stripes": 255 * (across // 9 % 2),
        "slope": across,
        "nothing": np.zeros((120, 120, 3)),
        "too small": np.full((12, 300, 3), 128),
    }.items():
        assert len(again[0](photo.astype(np.uint8)).boxes) == 0, name


def test_light_is_given_to_dark_photos_only():
    rng = np.random.default_rng(0)
    dark, bright = (rng.integers(0, top, (50, 60, 3)).astype(np.uint8) for top in (20, 256))
    assert dark.mean() < 11
    assert 100 < relit(dark).mean() < 150
    assert abs(relit(bright).mean() - bright.mean()) < 8
    assert relit(np.zeros((9, 9, 3), np.uint8)).max() == 0
