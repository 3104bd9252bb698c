"""Protocol gallery against hand-made cases and plain loops."""

import numpy as np
import pytest

from raymask.evaluate.protocols.gallery_maths import (
    draw_enrolled,
    draw_halves,
    gallery_scores,
    open_set,
    own_and_best_other,
    ranks,
    threshold_at,
)


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_one_photo_a_person_is_enrolled_by_seed():
    photos_of = [np.array([0, 1, 2]), np.array([3, 4])]
    drawn = draw_enrolled(photos_of, draws=40, seed=0)
    assert drawn.shape == (40, 2)
    assert set(drawn[:, 0]) == {0, 1, 2}
    assert set(drawn[:, 1]) == {3, 4}
    assert (drawn == draw_enrolled(photos_of, draws=40, seed=0)).all()


def test_halves_are_halves():
    halves = draw_halves(9, draws=20, seed=0)
    assert (halves.sum(axis=1) == 4).all()
    assert len(np.unique(halves, axis=0)) > 10


def test_ranks_by_hand():
    scores = np.array([[0.9, 0.1, 0.2], [0.5, 0.4, 0.3], [0.7, 0.7, 0.1], [-np.inf, 0.4, 0.3]])
    assert ranks(scores, np.array([0, 1, 1, 0])).tolist() == [1, 2, 2, np.inf]  # a tie counts against it


def test_a_face_not_found_is_never_recognised_nor_takes_anothers_place():
    embeddings = unit([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    found = np.array([False, True, True, True])
    scores = gallery_scores(embeddings, found, np.array([0, 2]))  # person 0 is enrolled by a photo without a face
    assert np.isneginf(scores[0]).all()
    assert np.isneginf(scores[:, 0]).all()
    assert ranks(scores, np.array([0, 0, 1, 1])).tolist() == [np.inf, np.inf, 1, 1]


def test_threshold_lets_through_at_most_the_share():
    scores = np.random.default_rng(0).normal(size=250)
    threshold = threshold_at(scores, 0.01)
    assert (scores >= threshold).sum() == 2
    assert (scores >= np.sort(scores)[-3]).sum() == 3  # the next lower threshold would let through more
    assert threshold_at(np.array([0.5, 0.4]), 0.01) > 0.5
    assert threshold_at(np.array([0.5, 0.5, 0.5, 0.4]), 0.5) > 0.5  # equal scores pass together or not at all


def test_open_set_by_hand():
    """Two halves of two people; each probe's score with person 0, 1, 2, 3."""
    scores = np.array(
        [
            [0.9, 0.2, 0.95, 0.0],  # of 0: the high score with 2 is of the other half's gallery
            [0.3, 0.25, 0.0, 0.0],  # of 1: 0 is nearer
            [0.0, 0.0, 0.8, 0.1],  # of 2
            [0.0, 0.0, 0.4, 0.28],  # of 3: nearer to 2, and above the other half's threshold
        ]
    )
    half = np.array([True, True, False, False])
    decided = open_set(scores, np.arange(4), np.ones(4, bool), half)
    assert decided.thresholds == (pytest.approx(0.4), pytest.approx(0.3))  # of the other half's highest impostor
    assert decided.false_accepts.tolist() == [False, False, False, True]
    assert decided.false_rejects.tolist() == [False, True, False, True]


def test_open_set_equals_a_plain_loop_and_uses_the_other_half_only():
    generator = np.random.default_rng(1)
    people, photos = 12, 30
    identities = np.repeat(np.arange(people), photos)
    embeddings = unit(generator.normal(size=(people * photos, 6)) + 2 * generator.normal(size=(people, 6))[identities])
    enrolled = np.arange(people) * photos
    scores = gallery_scores(embeddings, np.ones(len(identities), bool), enrolled)
    is_probe = ~np.isin(np.arange(len(identities)), enrolled)
    half = np.arange(people) % 2 == 0
    decided = open_set(scores, identities, is_probe, half)
    impostor = {True: [], False: []}
    for row in np.flatnonzero(is_probe):
        side = half[identities[row]]
        impostor[bool(side)].append(
            max(scores[row, p] for p in range(people) if half[p] == side and p != identities[row])
        )
    thresholds = {side: sorted(impostor[not side])[-2] for side in (True, False)}  # 1% of 174 is one probe
    count = {True: iter(impostor[True]), False: iter(impostor[False])}
    for row in np.flatnonzero(is_probe):
        side = bool(half[identities[row]])
        best_other = next(count[side])
        own = scores[row, identities[row]]
        assert decided.false_accepts[row] == (best_other > thresholds[side])
        assert decided.false_rejects[row] == (own <= thresholds[side] or best_other >= own)
    assert not decided.false_accepts[enrolled].any()


def test_own_and_best_other():
    own, other = own_and_best_other(np.array([[0.9, 0.3], [0.2, 0.1]]), np.array([0, 1]))
    assert own.tolist() == [0.9, 0.1]
    assert other.tolist() == [0.3, 0.2]
