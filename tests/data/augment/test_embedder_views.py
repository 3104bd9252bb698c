"""Prepared faces as networks see them: aligned as recognisers align whole photos, altered alike by the same draw."""

import numpy as np
import pytest

from raymask.data.augment.embedder_views import Dressing, FreshFaces
from raymask.data.reading.crops import CropStore
from raymask.data.reading.sampler import BatchPhoto
from raymask.faces.alignment import align, places
from raymask.faces.masks import TRAIN_LOOKS, Textures

BARE, MASKED = BatchPhoto(3, masked=False), BatchPhoto(3, masked=True)


@pytest.fixture(scope="module")
def store(prepared) -> CropStore:
    return CropStore(str(prepared), "train")


def seen(store, dressing, shot, *, draw=0, size=150):
    faces = FreshFaces(store, dressing, quiet=True)
    return faces.pixels([shot], size, np.array([draw]))[0].transpose(1, 2, 0)


def crop_of(store, shot, size):
    return store.pixels([shot], size)[0].transpose(1, 2, 0)


def test_plain_faces_are_the_stored_crops(store):
    assert Dressing().plain
    for shot in (BARE, MASKED):
        assert np.array_equal(seen(store, Dressing(), shot, size=64), crop_of(store, shot, 64))


def test_faces_are_aligned_as_whole_photos_are(store):
    points = store.points(quiet=True)[3].astype(np.float64)
    for shot in (BARE, MASKED):
        wanted = align(crop_of(store, shot, 224), points, "arcface", 112)
        assert np.array_equal(seen(store, Dressing(alignment="arcface"), shot, size=112), wanted)


def test_fresh_masks_are_drawn_before_the_face_is_aligned(store):
    dressing = Dressing(looks=TRAIN_LOOKS, alignment="dlib")
    bare = seen(store, dressing, BARE).astype(int)
    first, second = (seen(store, dressing, MASKED, draw=draw).astype(int) for draw in (1, 2))
    mouth = places("dlib", 150)[3:].mean(0).round().astype(int)
    for masked in (first, second):
        changed = np.abs(masked - bare).max(axis=2) > 20
        assert changed[mouth[1] - 5 : mouth[1] + 5, mouth[0] - 15 : mouth[0] + 15].mean() > 0.7
        assert changed[:25].mean() < 0.1
    assert np.abs(first - second).mean() > 1


@pytest.mark.parametrize("altered", [False, True])
def test_a_look_more_changes_only_the_draws_that_get_it(store, altered):
    few, more = (
        Dressing(looks=looks, alignment="dlib", altered=altered) for looks in (TRAIN_LOOKS, ("hand", *TRAIN_LOOKS))
    )
    alone = Dressing(looks=("hand",), alignment="dlib", altered=altered)
    same, hands = 0, 0
    for draw in range(60):
        old, new, hand = (seen(store, dressing, MASKED, draw=draw, size=64) for dressing in (few, more, alone))
        same += np.array_equal(new, old)
        hands += np.array_equal(new, hand)
    assert same + hands == 60
    assert 1 <= hands <= 8


def test_fresh_masks_can_be_of_own_pictures(store):
    own = Textures.of({"red.png": np.full((30, 40, 3), (230, 20, 20), np.uint8)})
    dressing = Dressing(looks=("cloth:own",), textures=own, alignment="dlib")
    mouth = places("dlib", 150)[3:].mean(0).round().astype(int)
    red, green, blue = seen(store, dressing, MASKED, draw=1)[mouth[1] - 5 : mouth[1] + 5, mouth[0]].mean(0)
    assert red > 2 * max(green, blue)


def test_altered_faces_differ_at_each_draw_and_stay_faces(store):
    dressing = Dressing(looks=TRAIN_LOOKS, alignment="dlib", altered=True)
    still = seen(store, Dressing(alignment="dlib"), BARE).astype(float)
    draws = [seen(store, dressing, BARE, draw=draw) for draw in range(12)]
    assert np.array_equal(draws[5], seen(store, dressing, BARE, draw=5))
    assert len({drawn.tobytes() for drawn in draws}) == 12
    eyes = np.s_[30:65, 25:125]
    alike = [np.corrcoef(drawn[eyes].mean(2).ravel(), still[eyes].mean(2).ravel())[0, 1] for drawn in draws]
    assert np.median(alike) > 0.6, "eyes stay near their places"
    assert max(alike) < 0.999


def test_things_come_before_bare_faces_and_not_before_masks_or_what_was_painted(store, monkeypatch):
    before = []
    monkeypatch.setattr("raymask.data.augment.redraw.with_object", lambda face, *_: before.append(face) or face)
    as_prepared = Dressing(alignment="dlib", altered=True)
    for dressing, shot, things in (
        (as_prepared, BARE, 1),
        (as_prepared, MASKED, 0),
        (Dressing(looks=TRAIN_LOOKS, alignment="dlib", altered=True), MASKED, 0),
    ):
        before.clear()
        seen(store, dressing, shot)
        assert len(before) == things
