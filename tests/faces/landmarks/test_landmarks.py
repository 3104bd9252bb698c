"""Engines for the 68 landmarks, on invented faces whose landmarks are known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from raymask.demo_faces import Person, Shot, render
from raymask.errors import ConfigError
from raymask.faces import draw_mask
from raymask.faces.detection.detector import FaceDetector
from raymask.faces.landmarks.engines import landmark_engine


@pytest.fixture(scope="module", params=["dlib68", "mean-head"])
def detector(request) -> FaceDetector:
    return FaceDetector(landmarks=request.param)


@pytest.mark.parametrize("yaw", [-20.0, 0.0, 20.0])
@pytest.mark.parametrize("seed", [1, 4])
def test_landmarks_lie_where_the_face_has_them(detector, yaw, seed):
    photo = render(Person.invent(seed), replace(Shot.invent(seed), yaw_degrees=yaw))
    found = detector.subject(photo.image)
    assert found is not None
    assert found.landmarks.shape == (68, 2)
    assert found.landmarks.dtype == np.float32
    eyes = np.linalg.norm(photo.landmarks[36] - photo.landmarks[45])
    away = np.linalg.norm(found.landmarks - photo.landmarks, axis=1) / eyes
    assert away[36:48].mean() < 0.08, "eyes"
    assert away[27:].mean() < 0.12, "nose, eyes and mouth"
    assert away[:17].mean() < 0.25, "jaw"


@pytest.mark.parametrize("roll", [-30, 30])
def test_a_head_on_its_side_keeps_its_jaw(detector, roll):
    photo = render(Person.invent(1), replace(Shot.invent(1), scale=0.76), size=400)
    matrix = cv2.getRotationMatrix2D((200, 200), roll, 0.9)
    turned = cv2.warpAffine(photo.image, matrix, (400, 400), borderMode=cv2.BORDER_REPLICATE)
    expected = photo.landmarks @ matrix[:, :2].T + matrix[:, 2]
    found = detector.subject(turned)
    assert found is not None
    eyes = np.linalg.norm(expected[36] - expected[45])
    assert np.linalg.norm(found.landmarks - expected, axis=1)[:17].mean() < 0.25 * eyes


def test_a_mask_lies_alike_by_either_engine():
    photo = render(Person.invent(2), Shot.invent(2)).image
    maps = []
    for engine in ("dlib68", "mean-head"):
        face = FaceDetector(landmarks=engine).subject(photo)
        maps.append(draw_mask(photo, face.landmarks, "surgical", 1)[1] > 0)
    assert (maps[0] & maps[1]).sum() / (maps[0] | maps[1]).sum() > 0.7


def test_an_unknown_engine_is_named():
    with pytest.raises(ConfigError, match=r"landmarks.*'dlib5'.*mean-head"):
        landmark_engine("dlib5")
