"""Masks as MaskTheFace lays them on."""

import numpy as np
import pytest

from raymask.errors import ConfigError
from raymask.faces import detect, draw_mask, subject
from raymask.faces.images import decode_photo
from raymask.faces.masks.flat import draw_flat_mask, six_points
from raymask.faces.masks.looks import TEST_LOOKS


@pytest.fixture(scope="module")
def faces(demo_faces):
    paths = [sorted(folder.glob("*.jpg"))[0] for folder in sorted(demo_faces.iterdir())]
    photos = [decode_photo(path.read_bytes(), path.name) for path in paths]
    return [(photo, subject(detect(photo), photo.shape).landmarks.astype(float)) for photo in photos]


def test_they_cover_what_fitted_ones_cover(faces):
    overlaps = []
    for number, (photo, landmarks) in enumerate(faces):
        look = TEST_LOOKS[number % len(TEST_LOOKS)]
        masked, flat = draw_flat_mask(photo, landmarks, look, number)
        assert np.array_equal(masked[flat == 0], photo[flat == 0])
        assert set(np.unique(flat)) == {0, 255}
        fitted = draw_mask(photo, landmarks, look, number)[1]
        overlaps.append(((flat > 0) & (fitted > 0)).sum() / ((flat > 0) | (fitted > 0)).sum())
    assert min(overlaps) > 0.5
    assert np.median(overlaps) > 0.65


def test_the_same_seed_draws_the_same_and_light_changes_nothing(faces):
    photo, landmarks = faces[0]
    first, mask_map = draw_flat_mask(photo, landmarks, "cloth:tartan", 3)
    dark = (photo * 0.3).astype(np.uint8)
    again, _ = draw_flat_mask(dark, landmarks, "cloth:tartan", 3)
    assert np.array_equal(first[mask_map > 0], again[mask_map > 0])
    other, _ = draw_flat_mask(photo, landmarks, "cloth:tartan", 4)
    assert not np.array_equal(first, other)


def test_the_six_points_stay_with_a_face_that_moves(faces):
    landmarks = faces[0][1]
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    moved = 1.7 * landmarks @ turn.T + (30, -12)
    assert np.allclose(six_points(moved), 1.7 * six_points(landmarks) @ turn.T + (30, -12))
    upper_left, bridge, upper_right, lower_right, chin, lower_left = six_points(landmarks)
    assert upper_left[0] < lower_left[0] < chin[0] < lower_right[0] < upper_right[0]
    assert bridge[1] < upper_left[1] < lower_left[1] < chin[1]


def test_a_chin_that_the_lines_miss_still_wears_one(faces):
    photo, landmarks = faces[0]
    short = landmarks.copy()
    short[:17, 1] = np.maximum(short[:17, 1], landmarks[57, 1] + 2)  # the outline lies below both lines
    _, mask_map = draw_flat_mask(photo, short, "surgical", 0)
    assert mask_map.any()


def test_unknown_looks_are_refused(faces):
    with pytest.raises(ConfigError, match="Unknown mask kind 'scarf'"):
        draw_flat_mask(*faces[0], "scarf", 0)
