"""Intervals: do they cover, are differences paired, are people rather than photos resampled?"""

import numpy as np
import pytest

from raymask.evaluate.bootstrap import Ratio, Sampled, draw_weights, sums_by_person


def test_weights_draw_as_many_people_as_there_are_and_are_seeded():
    weights = draw_weights(7, 50, seed=3)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == draw_weights(7, 50, seed=3)).all()
    assert (weights != draw_weights(7, 50, seed=4)).any()


def test_ratio_equals_a_plain_loop_over_drawn_people():
    generator = np.random.default_rng(0)
    trials = generator.integers(1, 9, 12)
    hits = generator.integers(0, trials + 1)
    weights = draw_weights(12, 30, seed=1)
    for drawn, value in zip(weights, Ratio(hits, trials)(weights), strict=True):
        people = [person for person in range(12) for _ in range(int(drawn[person]))]
        assert value == pytest.approx(sum(hits[p] for p in people) / sum(trials[p] for p in people))


def test_a_ratio_without_trials_is_nan_and_has_no_interval():
    shown = Sampled.of(Ratio(np.zeros(3), np.zeros(3)), draw_weights(3, 100, 0)).figure()
    assert np.isnan([shown.value, shown.low, shown.high]).all()


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        chance = generator.beta(8, 2, size=60)  # people differ; their mean is 0.8
        hits = generator.binomial(10, chance)
        shown = Sampled.of(Ratio(hits, np.full(60, 10)), draw_weights(60, 400, 0)).figure()
        covered += shown.low <= 0.8 <= shown.high
    assert 180 <= covered <= 198


def test_photos_of_one_person_do_not_make_the_interval_narrower():
    """Were photos resampled, ten times the photos would give a third of the width."""
    hits = np.tile([0, 1], 20)
    few = Sampled.of(Ratio(hits, np.ones(40)), draw_weights(40, 500, 0)).figure()
    many = Sampled.of(Ratio(hits * 10, np.full(40, 10)), draw_weights(40, 500, 0)).figure()
    assert many == few


def test_differences_are_paired():
    generator = np.random.default_rng(2)
    hits = generator.integers(0, 9, 40)
    weights = draw_weights(40, 500, 0)
    earlier, later = (Sampled.of(Ratio(one, np.full(40, 10)), weights) for one in (hits, hits + 1))
    shown = later.minus(earlier).figure()
    assert shown.value == pytest.approx(0.1)
    assert (shown.low, shown.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert later.figure().high - later.figure().low > 0.05


def test_error_cut():
    weights = draw_weights(10, 200, 0)
    before, after = (Sampled.of(Ratio(np.full(10, errors), np.full(10, 20)), weights) for errors in (8, 6))
    assert after.cut_from(before).figure().value == pytest.approx(0.25)
    assert before.cut_from(after).value == pytest.approx(-1 / 3)
    none = Sampled.of(Ratio(np.zeros(10), np.full(10, 20)), weights)
    assert np.isnan(after.cut_from(none).value)
    assert none.inverted().value == 1


def test_sums_by_person():
    assert sums_by_person(np.array([True, True, False]), np.array([2, 2, 0]), 4).tolist() == [0, 0, 2, 0]
