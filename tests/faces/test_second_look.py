"""Faces that a first look misses are found by a second; where there are none, neither finds any."""

import cv2
import numpy as np
import pytest

from raymask.data.demo_faces import Person, Shot, render
from raymask.faces import Face, detect, draw_mask
from raymask.faces.detection import MIN_FACE, FaceDetector
from raymask.faces.mtcnn import Mtcnn
from raymask.faces.second_look import CERTAIN, relit, second_look


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="module")
def mtcnn() -> Mtcnn:
    return Mtcnn()


@pytest.fixture(scope="module")
def masked() -> list[tuple[np.ndarray, Face]]:
    """Photos of people in masks, each with the face as it was before."""
    shots = [render(Person.invent(seed), Shot.invent(seed)).image for seed in range(5)]
    faces = [detect(shot)[0] for shot in shots]
    return [
        (draw_mask(shot, face.landmarks, "surgical", seed)[0], face)
        for seed, (shot, face) in enumerate(zip(shots, faces, strict=True), start=5)
    ]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    common = np.prod(np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0))
    return float(common / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - common))


def tilted(photo: np.ndarray, face: Face, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Clockwise about the middle of the face, and the matrix of that."""
    matrix = cv2.getRotationMatrix2D(tuple(map(float, face.centre)), -degrees, 1)
    return cv2.warpAffine(photo, matrix, photo.shape[1::-1], borderMode=cv2.BORDER_REFLECT_101), matrix


@pytest.mark.parametrize("degrees", [50, -90, 135])
def test_tilted_faces_in_masks(mtcnn, masked, degrees):
    first = second = 0
    for photo, face in masked:
        hard, matrix = tilted(photo, face, degrees)
        first += any(overlap(box, face.box) > 0.4 for box in mtcnn(hard, least=MIN_FACE).boxes)
        found = second_look(mtcnn, hard)
        assert (found.scores >= CERTAIN).all()
        if len(found.boxes) and overlap(found.boxes[0], face.box) > 0.4:
            second += 1
            truth = face.points @ matrix[:, :2].T + matrix[:, 2]
            eyes = np.linalg.norm(face.points[0] - face.points[1])
            assert np.linalg.norm(found.points[0][:2] - truth[:2], axis=1).max() < 0.3 * eyes, "left and right as worn"
    assert second == 5
    assert second > first


@pytest.mark.parametrize("hard", ["dark", "small", "cut tightly"])
def test_dark_small_and_tightly_cut_faces_in_masks(detector, masked, hard):
    found = 0
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
        found += seen is not None and overlap(seen.box, box) > 0.4
    assert found == 5


def test_the_landmarks_of_tilted_faces_are_those_of_the_upright_ones(detector, masked):
    for degrees in (25, -40):
        errors = []
        for seed, (_, face) in enumerate(masked):
            photo, matrix = tilted(render(Person.invent(seed), Shot.invent(seed)).image, face, degrees)
            seen = detector.subject(photo)
            assert seen is not None
            truth = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
            eyes = np.linalg.norm(face.landmarks[36] - face.landmarks[45])
            errors.append(np.linalg.norm(seen.landmarks - truth, axis=1).mean() / eyes)
        assert np.median(errors) < 0.05


def test_where_the_first_look_finds_a_face_there_is_no_second(detector, masked):
    bare = render(Person.invent(0), Shot.invent(0)).image
    assert np.array_equal(detector(bare)[0].box, Mtcnn()(bare, least=MIN_FACE).boxes[0])


def test_nothing_is_found_where_nothing_is(mtcnn):
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
        assert len(second_look(mtcnn, photo.astype(np.uint8)).boxes) == 0, name


def test_light_is_given_to_dark_photos_only():
    rng = np.random.default_rng(0)
    dark, bright = (rng.integers(0, top, (50, 60, 3)).astype(np.uint8) for top in (20, 256))
    assert dark.mean() < 11
    assert 100 < relit(dark).mean() < 150
    assert abs(relit(bright).mean() - bright.mean()) < 8
    assert relit(np.zeros((9, 9, 3), np.uint8)).max() == 0
