"""The bundles that ship with raymask: whole, light, and good at what they are for."""

import json

import numpy as np
import pytest

from raymask.faces import detect, draw_mask, subject
from raymask.faces.crop import Square
from raymask.faces.images import decode_photo
from raymask.faces.masks.looks import TEST_LOOKS
from raymask.models.bundle import SHIPPED, load_bundle
from raymask.models.unmasker import Unmasker


@pytest.fixture(scope="module")
def unmasker():
    return Unmasker.load(SHIPPED / "segmenter", SHIPPED / "inpainter")


@pytest.fixture(scope="module")
def faces(demo_faces):
    """A photo of each invented person, and the face in it."""
    photos = [sorted(folder.glob("*.jpg"))[1] for folder in sorted(demo_faces.iterdir())]
    decoded = [decode_photo(path.read_bytes(), path.name) for path in photos]
    found = [(photo, subject(detect(photo), photo.shape)) for photo in decoded]
    return [(photo, face) for photo, face in found if face is not None]


@pytest.mark.parametrize("kind", ["segmenter", "inpainter"])
def test_a_bundle_loads_and_says_how_it_was_made(kind):
    bundle = load_bundle(SHIPPED / kind)
    assert all(value.isfinite().all() for value in bundle.model.state_dict().values())
    settings = bundle.config["training"]["settings"]
    assert {"data", "seed", "batch", "masks", "learning_rate"} <= settings.keys()
    assert not [value for value in settings.values() if str(value).startswith("/")]


@pytest.mark.parametrize("kind", ["segmenter", "inpainter"])
def test_the_card_is_of_these_weights(kind):
    sha256 = json.loads((SHIPPED / kind / "config.json").read_text())["sha256"]
    assert f"| `{kind}` | `{sha256[:12]}` |" in (SHIPPED / "README.md").read_text()


def test_masks_of_looks_that_were_never_trained_on_are_found(unmasker, faces):
    assert len(faces) >= 6
    both = either = 0
    for number, (photo, face) in enumerate(faces):
        masked, mask_map = draw_mask(photo, face.landmarks, TEST_LOOKS[number % len(TEST_LOOKS)], number)
        square = Square.around(face.box)
        true, found = square.cut_map(mask_map) > 0, unmasker.find(square.cut(masked)) > 0
        both, either = both + (true & found).sum(), either + (true | found).sum()
    assert both > 0.9 * either


def test_bare_faces_are_left_alone(unmasker, faces):
    for photo, face in faces:
        result = unmasker.unmask(photo, face.box)
        assert not result.had_mask
        assert np.array_equal(result.photo, photo)


def test_what_is_painted_is_nearer_to_the_face_than_the_mask_and_than_its_mean_colour(unmasker, faces):
    errors = []
    for number, (photo, face) in enumerate(faces):
        masked, _ = draw_mask(photo, face.landmarks, TEST_LOOKS[number % len(TEST_LOOKS)], number)
        result = unmasker.unmask(masked, face.box)
        assert result.had_mask
        bare = Square.around(face.box).cut(photo)[result.hole].astype(float)
        around = result.crop[~result.hole].mean(axis=0)
        errors.append(
            [np.abs(bare - other).mean() for other in (result.filled[result.hole], result.crop[result.hole], around)]
        )
    painted, mask, mean_colour = np.mean(errors, axis=0)
    assert painted < 0.8 * min(mask, mean_colour)
