import cv2
import numpy as np
import pytest

from raymask.demo_faces import Person, Shot, render
from raymask.errors import ImageError
from raymask.faces import Face, detect, subject
from raymask.faces.detection.detector import FaceDetector
from raymask.faces.detection.mtcnn import Mtcnn


@pytest.fixture(scope="module")
def portrait():
    return render(Person.invent(1), Shot.invent(1))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    size = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = size.prod()
    return float(both / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both))


def test_one_face_value_carries_box_score_and_points(portrait):
    (face,) = detect(portrait.image)
    assert face.box.shape == (4,)
    assert face.points.shape == (5, 2)
    assert face.landmarks.shape == (68, 2)
    assert 0.9 < face.score <= 1
    assert overlap(face.box, portrait.box) > 0.5
    eyes = np.linalg.norm(portrait.landmarks[36] - portrait.landmarks[45])
    assert np.linalg.norm(face.landmarks - portrait.landmarks, axis=1).mean() < 0.12 * eyes
    assert face.points[0][0] < face.points[1][0]


def test_large_photos_are_found_in_their_own_pixels(portrait):
    large = portrait.image.repeat(8, axis=0).repeat(8, axis=1)
    (small_face,), (large_face,) = detect(portrait.image), detect(large)
    assert overlap(small_face.box * 8, large_face.box) > 0.8


def test_all_faces_of_a_photo_and_the_subject_among_them(portrait):
    others = [render(Person.invent(seed), Shot.invent(seed)).image[::2, ::2] for seed in (5, 6, 7, 8)]
    width = portrait.image.shape[1]
    canvas = np.full((portrait.image.shape[0], width * 3, 3), 90, np.uint8)
    canvas[:, width : 2 * width] = portrait.image
    for place, other in enumerate(others):
        top, left = (place // 2) * 125, (place % 2) * 2 * width + 60
        canvas[top : top + other.shape[0], left : left + other.shape[1]] = other
    faces = detect(canvas)
    assert len(faces) == 5
    chosen = subject(faces, canvas.shape)
    assert chosen is not None
    assert width < chosen.centre[0] < 2 * width


def test_mtcnn_does_not_look_for_small_faces_where_the_subject_is_large(portrait):
    detector = FaceDetector("mtcnn")
    mtcnn = detector._detector
    assert isinstance(mtcnn, Mtcnn)
    looked_at: list[float] = []
    windows_at = mtcnn._windows_at
    mtcnn._windows_at = lambda averages, shape, scale, thresholds: (  # type: ignore[method-assign]
        looked_at.append(scale) or windows_at(averages, shape, scale, thresholds)  # type: ignore[func-returns-value]
    )
    faces = detector(portrait.image)
    everywhere = set(looked_at)
    looked_at.clear()
    found = detector.subject(portrait.image)
    assert found is not None
    assert overlap(found.box, subject(faces, portrait.image.shape).box) > 0.9
    assert everywhere - set(looked_at) == {max(everywhere)}, "faces of the least size were not looked for"


def test_a_small_subject_is_found_too(portrait):
    small = cv2.resize(portrait.image, None, fx=0.36, fy=0.36, interpolation=cv2.INTER_AREA)
    canvas = np.full((300, 300, 3), 90, np.uint8)
    canvas[100 : 100 + small.shape[0], 100 : 100 + small.shape[1]] = small
    detector = FaceDetector()
    (face,) = detector(canvas)
    assert np.ptp(face.box[[0, 2]]) < 60
    found = detector.subject(canvas)
    assert found is not None
    assert np.array_equal(found.box, face.box)
    assert np.array_equal(found.landmarks, face.landmarks)
    assert detector.subject(np.full((200, 200, 3), 128, np.uint8)) is None
    assert detector.subject(np.full((20, 20, 3), 128, np.uint8)) is None


def test_the_middle_wins_over_a_slightly_larger_face_at_the_rim():
    def face(x: float, size: float) -> Face:
        box = np.array([x - size, 100 - size, x + size, 100 + size])
        return Face(box=box, score=1.0, points=np.zeros((5, 2)), landmarks=np.zeros((68, 2)))

    middle, rim = face(105, 40), face(190, 46)
    assert subject([rim, middle], (200, 200, 3)) is middle
    assert subject([], (200, 200, 3)) is None


@pytest.mark.parametrize("shape", [(250, 250, 3), (24, 24, 3), (30, 600, 3)])
def test_nothing_is_found_where_nothing_is(shape):
    assert detect(np.full(shape, 128, np.uint8)) == []


def test_wrong_arrays_are_refused():
    with pytest.raises(ImageError, match="uint8 RGB"):
        detect(np.zeros((50, 50), np.uint8))
