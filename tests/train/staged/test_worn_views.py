"""Faces in real masks: their two views show the same face, and each stands among the others in its share."""

import math

import cv2
import numpy as np
import pytest
import torch

from raymask.data.augment.redraw import Redraw
from raymask.data.reading.crops import CropStore
from raymask.faces.masks.looks import TRAIN_LOOKS
from raymask.train.staged.drawn_batches import FreshlyDrawn
from raymask.train.staged.worn_views import TwoViews, WornAmongDrawn, learned_and_kept

CPU = torch.device("cpu")
PLACED = {"side": 96, "looks": TRAIN_LOOKS, "alignment": "dlib", "turn": 5.0, "shift": 0.08, "zoom": 0.18}


@pytest.fixture(scope="module")
def store(prepared):
    return CropStore(str(prepared), "train")


def views(store, *, strong, rows=None):
    redraw = Redraw(**PLACED, strong=strong, bare=1.0, mirror=False, stray=0.02)
    return TwoViews(store, np.arange(len(store)) if rows is None else rows, redraw, seed=3, device=CPU, quiet=True)


def test_the_second_view_shows_the_first_as_it_is_brought_across(store):
    for place in range(6):
        first, more = views(store, strong=False).draw(place)
        brought = cv2.warpAffine(first.masked, more["across"], (96, 96), flags=cv2.INTER_CUBIC)
        second = more["second"].transpose(1, 2, 0)
        inside = (slice(32, 64), slice(32, 64))
        near = np.abs(brought[inside].astype(int) - second[inside]).mean()
        assert near < 6
        assert np.abs(first.masked[inside].astype(int) - second[inside]).mean() > 1.5 * near
        assert np.abs(more["across"][:, :2] - np.eye(2)).max() > 1e-3
        assert more["worn"]


def test_points_are_the_detectors_in_both_views(store):
    first, more = views(store, strong=True).draw(0)
    scale = math.hypot(*more["across"][:, 0])
    assert 0.6 < scale < 1.7
    assert first.points[0, 0] < first.points[1, 0]  # not mirrored
    assert first.mask_map.max() == 0


def test_a_share_of_the_places_is_of_real_masks_whatever_the_batches(store):
    redraw = Redraw(**PLACED)
    drawn = FreshlyDrawn(store, redraw, seed=3, device=CPU, quiet=True)
    worn = views(store, strong=False, rows=np.array([4, 9]))
    both = WornAmongDrawn(drawn, worn, 0.3, device=CPU)
    faces = [both.draw(place) for place in range(20)]
    kinds = [bool(more["worn"]) for _, more in faces]
    assert sum(kinds) == 6
    assert all(0 <= sum(kinds[:end]) - 0.3 * end + 1 <= 1 + 1e-9 for end in range(20))
    bare = [face for (face, more) in faces if not more["worn"]]
    for place, face in enumerate(bare[:4]):
        assert np.array_equal(face.masked, drawn.draw(place)[0].masked)
    for place, face in enumerate([face for (face, more) in faces if more["worn"]][:3]):
        assert np.array_equal(face.masked, worn.draw(place)[0].masked)


def test_a_tenth_is_kept_to_measure_on():
    learned, kept = learned_and_kept(200)
    assert len(kept) == 20
    assert sorted([*learned, *kept]) == list(range(200))
    assert [len(part) for part in learned_and_kept(2)] == [1, 1]
    assert [len(part) for part in learned_and_kept(1)] == [1, 0]
