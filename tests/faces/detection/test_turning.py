"""Photos are turned about their middles, and points and boxes go with them, there and back."""

import numpy as np
import pytest

from raymask.faces.detection.turning import turned


@pytest.mark.parametrize("degrees", [0, 45, -45, 90, -90, 180])
def test_points_go_with_the_photo_and_back(degrees):
    photo = np.zeros((60, 100, 3), np.uint8)
    photo[20:23, 70:73] = 255  # about (71, 21)
    upright, way = turned(photo, degrees)
    there = way.there(np.array([[71.0, 21.0]]))
    assert np.allclose(way.back(there), [[71, 21]], atol=1e-3)
    rows, columns = np.nonzero(upright[..., 0] > 127)
    assert np.allclose([columns.mean(), rows.mean()], there[0], atol=0.5)


def test_nothing_of_the_photo_is_lost():
    photo = np.full((60, 100, 3), 200, np.uint8)
    for degrees in (45, 90, 180):
        upright, _ = turned(photo, degrees)
        assert abs(float(upright.sum()) / photo.sum() - 1) < 0.02
    assert turned(photo, 90)[0].shape == (100, 60, 3)


def test_what_is_tilted_clockwise_becomes_upright():
    _, way = turned(np.zeros((100, 100, 3), np.uint8), 90)
    eyes = way.there(np.array([[50.0, 40.0], [50.0, 60.0]]))  # the head lies on its left: the second eye is below
    assert eyes[1, 0] > eyes[0, 0]
    assert np.isclose(eyes[0, 1], eyes[1, 1], atol=1e-3)


@pytest.mark.parametrize(("degrees", "width", "height"), [(0, 20, 30), (90, 30, 20), (180, 20, 30)])
def test_boxes_turn_with_the_faces_in_them(degrees, width, height):
    photo = np.zeros((100, 100, 3), np.uint8)
    box = np.array([30.0, 30.0, 50.0, 60.0])
    _, way = turned(photo, degrees)
    there = way.box(box)
    assert np.allclose(there[2:] - there[:2], [width, height], atol=1e-3)
    assert np.allclose(way.box_back(there), box, atol=1e-3)


def test_a_face_at_half_a_right_angle_has_a_square_around_it():
    there = turned(np.zeros((100, 100, 3), np.uint8), 45)[1].box(np.array([30.0, 30.0, 50.0, 60.0]))
    width, height = there[2:] - there[:2]
    assert np.isclose(width, height, atol=1e-3)
    assert 20 < width < 30
