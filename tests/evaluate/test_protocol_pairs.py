"""Protocol pairs against hand-made cases and plain loops."""

import numpy as np
import pytest

from raymask.evaluate.bootstrap import draw_weights
from raymask.evaluate.protocol_pairs import Roc, best_threshold, judge_folds, pair_scores, roc_curve


@pytest.fixture
def pairs():
    generator = np.random.default_rng(0)
    same = np.tile([True, False], 60)
    scores = np.round(np.where(same, 0.6, 0.2) + generator.normal(scale=0.2, size=120), 2)  # rounded: ties
    return scores, same, np.repeat(np.arange(4), 30), generator.integers(0, 25, 120)


def test_a_face_not_found_is_never_the_same():
    rows = np.eye(2, dtype=np.float32)
    assert pair_scores(rows, rows, np.array([True, False])).tolist() == [1, -np.inf]


def test_best_threshold_by_hand():
    assert best_threshold(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, True, False, False])) == pytest.approx(0.55)
    assert best_threshold(np.array([0.9, 0.2]), np.array([False, False])) == np.inf


def test_best_threshold_is_as_good_as_any(pairs):
    scores, same, *_ = pairs
    best = ((scores >= best_threshold(scores, same)) == same).mean()
    assert best == max(((scores >= tried) == same).mean() for tried in np.arange(-1, 2, 0.005))


def test_folds_are_judged_at_the_threshold_of_the_others(pairs):
    scores, same, folds, _ = pairs
    right = judge_folds(scores, same, folds)
    for fold in range(4):
        threshold = best_threshold(scores[folds != fold], same[folds != fold])
        assert (right[folds == fold] == ((scores[folds == fold] >= threshold) == same[folds == fold])).all()
    shifted = scores + 5 * (folds == 0)  # a fold unlike the others is judged by them all the same
    assert judge_folds(shifted, same, folds)[folds == 0].mean() == 0.5


def test_tar_equals_a_plain_loop(pairs):
    scores, same, _, person = pairs
    for far in (0.1, 0.02, 0.001):
        wanted = max(
            [(scores[same] >= t).mean() for t in scores if (scores[~same] >= t).mean() <= far] or [0.0],
        )
        assert Roc(scores, same, person, far)(np.ones((1, 25)))[0] == pytest.approx(wanted)


def test_eer_lies_where_the_rates_meet(pairs):
    scores, same, _, person = pairs
    eer = Roc(scores, same, person, "eer")(np.ones((1, 25)))[0]
    gaps = [(abs((scores[~same] >= t).mean() - (scores[same] < t).mean()), t) for t in scores]
    threshold = min(gaps)[1]
    rates = (scores[~same] >= threshold).mean(), (scores[same] < threshold).mean()
    assert eer == pytest.approx(np.mean(rates), abs=0.02)
    assert 0.05 < eer < 0.3


def test_weights_count_as_repeated_pairs(pairs, monkeypatch):
    scores, same, _, person = pairs
    monkeypatch.setattr("raymask.evaluate.protocol_pairs.CHUNK", 500)  # several chunks
    weights = draw_weights(25, 20, seed=0)
    for figure in ("eer", 0.02):
        values = Roc(scores, same, person, figure)(weights)
        for drawn, value in zip(weights, values, strict=True):
            rows = np.repeat(np.arange(120), drawn[person].astype(int))
            repeated = Roc(scores[rows], same[rows], np.zeros(len(rows), int), figure)
            assert repeated(np.ones((1, 1)))[0] == pytest.approx(value)


def test_misses_bound_the_curve():
    scores = np.array([0.9, -np.inf, 0.1, -np.inf])
    same = np.array([True, True, False, False])
    far, tar = roc_curve(scores, same, np.ones((1, 4)))
    assert far.tolist() == [[0, 0, 0.5]]
    assert tar.tolist() == [[0, 0.5, 0.5]]
    assert Roc(scores, same, np.zeros(4, int), "eer")(np.ones((1, 1)))[0] == 0.5


def test_resamples_without_pairs_of_one_sort_are_nan():
    roc = Roc(np.array([0.9, 0.1]), np.array([True, False]), np.array([0, 1]), 0.01)
    assert np.isnan(roc(np.array([[2.0, 0.0], [0.0, 2.0]]))).all()
