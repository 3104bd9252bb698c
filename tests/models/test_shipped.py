"""The bundles that ship with raymask: whole, light, and good at what they are for."""

import json
import re

import numpy as np
import pytest

from raymask.evaluate import load_recogniser
from raymask.faces import detect, draw_mask, subject
from raymask.faces.crop import Square
from raymask.faces.images import decode_photo
from raymask.faces.masks.looks import TEST_LOOKS
from raymask.models.bundle import load_bundle
from raymask.models.shipped import SHIPPED
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


KINDS = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir() and path.name != "fused")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_loads_and_says_how_it_was_made(kind):
    bundle = load_bundle(SHIPPED / kind)
    assert all(value.isfinite().all() for value in bundle.model.state_dict().values())
    settings = bundle.config["training"]["settings"]
    assert {"data", "seed", "batch", "masks", "model"} <= settings.keys()
    assert not re.search(r"[\":,]/", json.dumps(settings)), "no folder of the machine that trained it"


@pytest.mark.parametrize("kind", [*KINDS, "fused"])
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


def test_they_are_small_enough_to_come_along():
    sizes = {kind: (SHIPPED / kind / "model.safetensors").stat().st_size for kind in [*KINDS, "fused"]}
    assert sum(sizes.values()) < 40 * 2**20
    assert {"aligner", "fused", "inpainter", "maskfacenet", "segmenter"} <= set(sizes)


def test_masked_people_are_identified_among_bare_ones(demo_faces):
    """Invented people, of whom no network has seen one; each by one enrolled photo."""
    recogniser = load_recogniser("fused")
    people = sorted(demo_faces.iterdir())
    enrolled, asked = [], []
    for number, folder in enumerate(people):
        first, second = (decode_photo(path.read_bytes(), path.name) for path in sorted(folder.glob("*.jpg"))[:2])
        enrolled.append(first)
        face = subject(detect(second), second.shape)
        asked.append(draw_mask(second, face.landmarks, TEST_LOOKS[number % len(TEST_LOOKS)], number)[0])
    known, known_found = recogniser.embed(enrolled)
    masked, masked_found = recogniser.embed(asked)
    assert known_found.all()
    assert masked_found.mean() > 0.8
    similar = masked @ known.T
    right = similar.argmax(axis=1) == np.arange(len(people))
    assert right[masked_found].mean() > 0.7
    thresholds = load_bundle(SHIPPED / "fused").config["thresholds"]
    assert set(thresholds) == {f"{state}_{rate}" for state in ("bare", "masked") for rate in ("1e-2", "1e-3")}
    assert all(0 < thresholds[f"{state}_1e-2"] <= thresholds[f"{state}_1e-3"] < 1 for state in ("bare", "masked"))
