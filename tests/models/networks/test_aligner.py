import numpy as np
import pytest
import torch

from raymask.errors import ConfigError
from raymask.faces import detect, draw_mask, subject
from raymask.faces.alignment import DLIB_POINTS, places
from raymask.faces.images import decode_photo
from raymask.faces.masks.looks import TEST_LOOKS
from raymask.models import load_bundle, save_bundle
from raymask.models.config import AlignerConfig
from raymask.models.networks.aligner import FaceAligner
from raymask.models.point_finder import PointFinder, shipped_point_finder

SMALL = AlignerConfig(channels=8, input_size=48)


def test_before_training_points_are_where_the_template_has_them():
    faces = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    found = FaceAligner(SMALL).eval()(faces)
    assert found.shape == (2, 5, 2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[1], torch.from_numpy(places("dlib", 48)).float())


def test_a_bundle_comes_back_as_the_same_network(tmp_path):
    network = FaceAligner(SMALL).eval()
    torch.nn.init.normal_(network.last.weight, std=0.01)
    loaded = load_bundle(save_bundle(tmp_path / "b", network, preprocessing={}), "FaceAligner").model
    faces = torch.randint(0, 256, (1, 3, 48, 48), dtype=torch.uint8)
    assert torch.equal(loaded(faces), network(faces))


def test_points_come_back_in_pixels_of_the_photo():
    photo = np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    turn = np.array([[0.9, -0.3], [0.3, 0.9]])
    points = DLIB_POINTS @ turn.T * 0.7 + (90, 80)
    assert np.abs(PointFinder(FaceAligner(SMALL))(photo, points) - points).max() < 1e-3
    moved = FaceAligner(SMALL)
    moved.last.bias.data[0::2] = 1 / 48  # a pixel of the face to the right, at each look
    step = 150 / 48 * turn @ [1, 0] * 0.7
    assert np.abs(PointFinder(moved)(photo, points) - points - 2 * step).max() < 1e-3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"channels": 7}, "channels must be 8 to 64, not 7"),
        ({"input_size": 100}, "input_size must be a multiple of 16 from 48 to 224, not 100"),
        ({"input_size": 32}, "input_size must be a multiple of 16 from 48 to 224, not 32"),
    ],
)
def test_sizes_out_of_range_are_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        AlignerConfig(**settings)


def test_under_masks_never_trained_on_the_shipped_aligner_is_nearer_than_the_detector(demo_faces):
    """On invented faces, of which it has seen none; where bare, the detector's points are the truth."""
    find, away = shipped_point_finder(), []
    paths = [path for folder in sorted(demo_faces.iterdir()) for path in sorted(folder.glob("*.jpg"))[:3]]
    for number, path in enumerate(paths):
        photo = decode_photo(path.read_bytes(), path.name)
        face = subject(detect(photo), photo.shape)
        masked, _ = draw_mask(photo, face.landmarks, TEST_LOOKS[number % len(TEST_LOOKS)], number)
        seen = subject(detect(masked), masked.shape)
        if seen is None:
            continue
        eyes = np.linalg.norm(face.points[1] - face.points[0])
        answers = (find(photo, face.points), seen.points, find(masked, seen.points))
        away.append([np.linalg.norm(points - face.points, axis=1).mean() / eyes for points in answers])
    assert len(away) >= 18
    bare, detected, found = np.mean(away, axis=0)
    assert bare < 0.12
    assert found < 0.9 * detected, (found, detected)
    assert np.max(away, axis=0)[2] < np.max(away, axis=0)[1]
