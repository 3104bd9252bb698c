"""The fit beyond what was measured, on scores of known distribution."""

import numpy as np
import pytest
from scipy.stats import genextreme
from support.simulated_scores import independent, true_fpir

from raymask.calibration.tail import Gev, Maxima, block_maxima


def test_a_fit_finds_the_values_that_maxima_were_drawn_by():
    random = np.random.default_rng(0)
    drawn = genextreme.rvs(0.1, loc=0.4, scale=0.03, size=20_000, random_state=random)  # scipy's shape is -ours
    found = Gev.fit(Maxima(drawn, np.full(len(drawn), 500)))
    assert found.block == 500
    assert found.location == pytest.approx(0.4, abs=1e-3)
    assert found.scale == pytest.approx(0.03, rel=0.03)
    assert found.shape == pytest.approx(-0.1, abs=0.02)


def test_thresholds_of_larger_galleries_follow_from_one_fit():
    gev = Gev(100, 0.3, 0.05, -0.1)
    at_100 = gev.threshold(np.array([0.1]), 100.0)
    assert genextreme.sf(at_100, 0.1, loc=0.3, scale=0.05) == pytest.approx(0.1)
    same = 1 - (1 - 0.1) ** 8  # eight galleries of 100 let in as often as one of 800
    assert gev.threshold(np.array([same]), 800.0) == pytest.approx(at_100)


def test_a_shape_of_nothing_is_no_fault():
    assert Gev(10, 0.0, 1.0, 0.0).threshold(np.array([0.5]), 10.0) == pytest.approx(-np.log(np.log(2)), abs=1e-4)


def test_a_fit_to_few_people_says_what_eight_times_as_many_do():
    searches = independent(600, 400)
    fit = Gev.fit(block_maxima(searches, np.random.default_rng(0), largest=400))
    reached = true_fpir(float(fit.threshold(np.array([0.1]), 3200.0)[0]), 3200)
    assert 0.05 < reached < 0.2


def test_blocks_are_whole_halves_and_quarters_of_the_people():
    maxima = block_maxima(independent(10, 40), np.random.default_rng(0), largest=40)
    assert np.unique(maxima.sizes, return_counts=True)[1].tolist() == [40, 20, 10]
    assert maxima.sizes.max() == 40
    whole = maxima.values[maxima.sizes == 40]
    assert np.sort(whole) == pytest.approx(np.sort(independent(10, 40).cosines.max(axis=1)))
