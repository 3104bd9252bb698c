"""Faces that YuNet finds tilted get their points from a look upright; others stay as they were found."""

import cv2
import numpy as np
import pytest

from raymask.demo_faces import Person, Shot, render
from raymask.faces.detection.righting import SURE, Found, righted
from raymask.faces.detection.turning import roll_of
from raymask.faces.detection.yunet import Yunet

PEOPLE = (0, 1, 3)


@pytest.fixture(scope="module")
def yunet() -> Yunet:
    return Yunet()


@pytest.fixture(scope="module")
def portraits(yunet) -> list[tuple[np.ndarray, Found]]:
    photos = [render(Person.invent(seed), Shot.invent(seed)).image for seed in PEOPLE]
    return [(photo, surest(yunet, photo)) for photo in photos]


def surest(yunet: Yunet, photo: np.ndarray) -> Found:
    return Found(*(values[0] for values in yunet(photo, threshold=0.1)))


@pytest.mark.parametrize("degrees", [70, -90, 180])
def test_the_points_of_tilted_faces_are_right_after_a_look_upright(yunet, portraits, degrees):
    before, after = [], []
    for photo, face in portraits:
        middle = tuple(map(float, (face.box[:2] + face.box[2:]) / 2))
        matrix = cv2.getRotationMatrix2D(middle, -degrees, 1)
        hard = cv2.warpAffine(photo, matrix, photo.shape[1::-1], borderMode=cv2.BORDER_REFLECT_101)
        truth = face.points @ matrix[:, :2].T + matrix[:, 2]
        eyes = np.linalg.norm(truth[0] - truth[1])
        found = surest(yunet, hard)
        for errors, one in ((before, found), (after, righted(yunet, hard, found))):
            errors.append(np.linalg.norm(one.points - truth, axis=1).max() / eyes)
            assert one.score == found.score
    assert np.median(before) > 0.5
    assert np.median(after) < 0.25


def test_sure_faces_stay_as_they_are(yunet, portraits):
    for photo, face in portraits:
        assert face.score >= SURE
        assert righted(yunet, photo, face) is face


def test_upright_close_ups_are_not_turned(yunet, portraits):
    for photo, face in portraits:
        left, top, right, bottom = np.maximum(face.box, 0).astype(int)
        close = np.ascontiguousarray(photo[top:bottom, left:right])
        unsure = surest(yunet, close)._replace(score=SURE - 0.03)
        assert abs(roll_of(righted(yunet, close, unsure).points)) < 20


def test_what_is_not_found_again_stays(yunet):
    nothing = np.full((90, 90, 3), 128, np.uint8)
    face = Found(np.float32([-20, -20, 40, 40]), 0.5, np.zeros((5, 2), np.float32))
    assert righted(yunet, nothing, face) is face


def test_a_face_is_not_righted_into_a_larger_one_beside_it(yunet, portraits):
    for photo, face in portraits:
        width, height = face.box[2:] - face.box[:2]
        aside = np.array([-0.4 * width, -0.2 * height, -0.4 * width, -0.2 * height], np.float32)
        beside = Found(face.box + aside, 0.6, face.points + aside[:2])
        assert righted(yunet, photo, beside) is beside
