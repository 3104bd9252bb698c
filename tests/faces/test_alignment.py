"""Alignment to ArcFace's five points."""

import numpy as np
import pytest

from raymask.faces.alignment import ARCFACE_POINTS, DLIB_POINTS, align, mirrored, places, similarity


def turned(points, angle, scale, shift):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + shift


def test_finds_turn_scale_and_shift_again():
    source = turned(ARCFACE_POINTS, 0.3, 2.5, (40, -7))
    matrix = similarity(source, ARCFACE_POINTS)
    assert np.allclose(source @ matrix[:, :2].T + matrix[:, 2], ARCFACE_POINTS)
    assert np.hypot(*matrix[:, 0]) == pytest.approx(1 / 2.5)


def test_never_mirrors_and_is_the_least_squares_fit():
    generator = np.random.default_rng(0)
    source = ARCFACE_POINTS * [-1, 1] + generator.normal(size=(5, 2))
    matrix = similarity(source, ARCFACE_POINTS)
    assert np.linalg.det(matrix[:, :2]) > 0

    def error(tried):
        return ((source @ tried[:, :2].T + tried[:, 2] - ARCFACE_POINTS) ** 2).sum()

    for angle, scale, dx in ((0.01, 1, 0), (0, 1.01, 0), (0, 1, 0.5)):
        other = np.column_stack([turned(matrix[:, :2].T, angle, scale, 0).T, matrix[:, 2] + [dx, 0]])
        assert error(other) > error(matrix)


@pytest.mark.parametrize("scale", [0.8, 1.0, 6.0])
def test_the_points_land_on_the_template(scale):
    """Dots at the five points of a photo, small or large, come to lie at the template's."""
    import cv2

    points = turned(ARCFACE_POINTS, -0.2, scale, (60 * scale, 40 * scale))
    photo = np.zeros((int(260 * scale), int(260 * scale), 3), np.uint8)
    for x, y in points:
        cv2.circle(photo, (round(x), round(y)), max(2, round(3 * scale)), (255, 255, 255), -1)
    aligned = align(photo, points)
    assert aligned.shape == (112, 112, 3)
    _, _, _, centres = cv2.connectedComponentsWithStats((aligned[..., 0] > 127).astype(np.uint8))
    assert len(centres) == 6
    for target in ARCFACE_POINTS:
        assert np.linalg.norm(centres[1:] - target, axis=1).min() < 1


def test_large_faces_are_smoothed_not_sampled():
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    aligned = align(stripes, ARCFACE_POINTS * 9 + 50)
    assert aligned[20:90, 20:90].std() < 20


def test_a_small_face_is_enlarged_smoothly():
    """A wave of six pixels keeps more of its height than between straight lines."""
    wave = 128 + 100 * np.sin(np.arange(28) * 2 * np.pi / 6)
    photo = np.repeat(np.rint(wave).astype(np.uint8)[None, :, None], 28, axis=0).repeat(3, axis=2)
    enlarged = align(photo, (ARCFACE_POINTS + 0.5) / 4 - 0.5)
    columns = (np.arange(112) + 0.5) / 4 - 0.5
    inner = slice(12, 100)
    truth = (128 + 100 * np.sin(columns * 2 * np.pi / 6))[inner]
    straight = np.interp(columns, np.arange(28), wave)[inner]
    assert np.abs(enlarged[56, inner, 0] - truth).max() < 0.6 * np.abs(straight - truth).max()


def test_mirrored_points_are_those_of_the_mirror_image_in_their_order():
    photo = np.zeros((112, 112), np.uint8)
    for value, (x, y) in enumerate(ARCFACE_POINTS.round().astype(int), start=1):
        photo[y, x] = value
    found = mirrored(ARCFACE_POINTS.round(), 112).astype(int)
    assert [photo[:, ::-1][y, x] for x, y in found] == [2, 1, 3, 5, 4]
    assert found[0, 0] < found[1, 0]


def test_places_keep_their_share_of_a_face_of_any_size():
    assert np.allclose(places("dlib", 150), DLIB_POINTS)
    assert np.allclose((places("arcface", 56) + 0.5) * 2 - 0.5, ARCFACE_POINTS)


def test_a_face_is_aligned_for_dlibs_networks_too():
    import cv2

    points = turned(DLIB_POINTS, 0.2, 1.4, (70, 50)).astype(np.float32)
    photo = np.zeros((400, 400, 3), np.uint8)
    for x, y in points:
        cv2.circle(photo, (round(float(x)), round(float(y))), 3, (255, 255, 255), -1)
    face = align(photo, points, "dlib", 100)
    assert face.shape == (100, 100, 3)
    for x, y in places("dlib", 100):
        assert face[round(y), round(x)].min() > 150
    assert face.mean() < 20
