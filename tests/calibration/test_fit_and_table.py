"""Tables of thresholds: what is measured, what is fitted, and what one reads off them."""

import json

import numpy as np
import pytest
from support.simulated_scores import independent, true_fpir
from support.tables import small_table

from raymask.calibration.fit import LEAST_STRANGERS, RATES, check_fit, search_table, sizes
from raymask.calibration.searches import Searches
from raymask.calibration.table import SearchTable, check_rate
from raymask.errors import ConfigError


@pytest.fixture(scope="module")
def table() -> SearchTable:
    return search_table({"bare": [independent(600, 500)], "masked": [independent(600, 500, seed=1)]})


def test_a_table_reaches_eight_times_as_far_as_was_measured(table):
    assert sizes(500) == (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000) == table.enrolled
    assert (table.measured, table.known, table.strangers) == (500, 4000, 600)


@pytest.mark.parametrize("enrolled", [1, 7, 100, 500])
@pytest.mark.parametrize("rate", [0.1, 0.03])
def test_within_what_was_measured_the_rate_is_kept(table, enrolled, rate):
    for state in ("bare", "masked"):
        found = table.threshold(state, rate, enrolled)
        assert not found.extrapolated
        assert found.fpir == rate
        assert rate / 1.6 < true_fpir(found.score, enrolled) < 1.6 * rate


@pytest.mark.parametrize(("rate", "enrolled"), [(0.1, 2000), (0.1, 4000), (0.01, 4000), (1e-3, 100)])
def test_beyond_it_the_upper_end_of_the_fit_lets_no_more_in_than_twice_the_rate(table, rate, enrolled):
    found = table.threshold("bare", rate, enrolled)
    assert found.extrapolated
    assert rate / 10 < true_fpir(found.score, enrolled) < 2 * rate


def test_past_eight_times_nothing_is_known(table):
    assert table.threshold("bare", 0.1, 4000).fpir == 0.1
    past = table.threshold("bare", 0.1, 4001)
    assert past.fpir is None
    assert past.extrapolated


def test_thresholds_rise_with_the_gallery_and_as_the_rate_falls(table):
    scores = np.array(table.bare.scores)
    assert np.all(np.diff(scores, axis=0) >= 0)
    assert np.all(np.diff(scores, axis=1) >= 0)
    by_size = [table.threshold("bare", 0.01, enrolled).score for enrolled in (1, 3, 30, 300, 3000)]
    assert by_size == sorted(set(by_size))


def test_a_score_says_what_it_lets_in(table):
    for rate in (0.2, 0.015):
        score = table.threshold("masked", rate, 130).score
        found = table.fpir("masked", score, 130)
        assert found.fpir == pytest.approx(rate, rel=1e-6)
        assert not found.extrapolated
    assert table.fpir("bare", -1.0, 10).fpir == pytest.approx(RATES[0])
    assert table.fpir("bare", 1.0, 10).fpir == pytest.approx(RATES[-1])
    assert table.fpir("bare", 0.5, 10_000).fpir is None


def test_nobody_enrolled_is_as_one(table):
    assert table.threshold("bare", 0.1, 0) == table.threshold("bare", 0.1, 1)


def test_a_table_comes_back_from_json(table):
    values = json.loads(json.dumps(table.as_json()))
    assert SearchTable.of(values, "x") == table
    assert SearchTable.of_bundle({"searches": values}, "x") == table
    assert SearchTable.of_bundle({"searches": None}, "x") is None
    assert SearchTable.of_bundle({}, "x") is None


SMALL = small_table().as_json()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"rates": [0.1]}, "shapes"),
        ({"rates": []}, "0 rates"),
        ({"rates": [0.1] * 1001}, "1001 rates"),
        ({"rates": [1e-4, 1e-3, 1e-2, 1e-1]}, "rates fall"),
        ({"rates": [0.1, 0.01, 0.001, float("nan")]}, "nan is not a finite number"),
        ({"rates": [0.1, 0.01, 0.001, 0]}, "rates fall"),
        ({"rates": "0.11"}, "'0' is not a number"),
        ({"enrolled": [1, 10, 100, 10_000, 1000]}, "sizes of the gallery rise"),
        ({"enrolled": [0, 10, 100, 1000, 10_000]}, "sizes of the gallery rise"),
        ({"enrolled": [1, 10, 100, 1000, 10**400]}, "too large"),
        ({"measured": "all"}, "'all' is not a number"),
        ({"bare": {"scores": 3, "extrapolated": []}}, "shapes"),
        ({"bare": []}, "list indices"),
        ({"bare": SMALL["bare"] | {"scores": [[0.5], [0.5, 0.6]]}}, "inhomogeneous"),
        ({"bare": SMALL["bare"] | {"scores": SMALL["bare"]["scores"][::-1]}}, "scores are -1 to 1, and rise"),
        ({"bare": SMALL["bare"] | {"scores": np.full((4, 5), np.nan).tolist()}}, "nan is not a finite number"),
        ({"bare": SMALL["bare"] | {"scores": np.full((4, 5), 2.0).tolist()}}, "scores are -1 to 1"),
        ({"masked": SMALL["masked"] | {"extrapolated": np.full((4, 5), "no").tolist()}}, "true or false"),
    ],
)
def test_a_table_that_does_not_hold_together_is_refused(broken, said):
    """Bundles are of anybody's making: a threshold of NaN would let nobody in, one of a lower rate everybody."""
    with pytest.raises(ConfigError, match=rf"^x: its thresholds cannot be read \(.*{said}"):
        SearchTable.of(SMALL | broken, "x")


@pytest.mark.parametrize("values", [{}, [], 3, "table", {"rates": [0.1]}])
def test_what_is_not_a_table_is_refused(values):
    with pytest.raises(ConfigError, match=r"^x: its thresholds cannot be read"):
        SearchTable.of(values, "x")


def test_beyond_the_tables_rates_its_own_are_told():
    table = small_table()
    assert table.threshold("bare", 0.5, 10) == table.threshold("bare", 0.1, 10)
    assert table.threshold("bare", 1e-5, 10) == table.threshold("bare", 1e-4, 10)
    assert table.threshold("bare", 1e-5, 10).fpir == 1e-4


def test_few_strangers_leave_a_table_that_is_all_fitted():
    few = independent(LEAST_STRANGERS - 1, 5)
    table = search_table({"bare": [few], "masked": [few]})
    assert table.measured == 5
    assert np.all(table.bare.extrapolated)
    assert np.all(np.isfinite(table.bare.scores))


def test_two_people_are_too_few_for_anything_and_no_fault():
    two = Searches(np.array([[np.nan, 0.2], [0.1, np.nan]], np.float32), np.arange(2))
    table = search_table({"bare": [two], "masked": [two]})
    assert table.enrolled == (1, 2, 4, 8)
    assert np.all(table.bare.extrapolated)


def test_without_any_face_nobody_is_ever_returned():
    none = Searches(np.full((3, 4), np.nan, np.float32), np.arange(3))
    table = search_table({"bare": [none], "masked": [independent(30, 20)]})
    assert np.all(np.array(table.bare.scores) == 1)


def test_of_two_groups_each_keeps_the_rate():
    near = independent(200, 100)
    far = Searches(near.cosines - 0.1, near.strangers)
    both = search_table({"bare": [near], "masked": [far, near]})
    assert both.masked == both.bare
    assert search_table({"bare": [near], "masked": [far]}).masked != both.bare


def test_the_fit_is_told_beside_the_truth():
    checked = check_fit({"bare": independent(500, 480)}, (0.1,))
    ((name, enrolled, rate, fpir, upper),) = checked
    assert (name, enrolled, rate) == ("bare", 480, 0.1)
    assert upper <= fpir
    assert 0.05 < fpir < 0.2
    assert check_fit({"bare": independent(30, 20)}, (0.1,)) == [], "too few people to be divided"
    nobody = Searches(np.full((40, 40), np.nan, np.float32), np.arange(40))
    assert check_fit({"worn": nobody}, (0.1,)) == [], "no face was found"


@pytest.mark.parametrize("rate", [0, 1e-6, 0.6, float("nan")])
def test_rates_that_no_table_has_are_refused(rate):
    with pytest.raises(ConfigError, match=r"match_at must be 1e-05 to 0\.5"):
        check_rate("match_at", rate)
