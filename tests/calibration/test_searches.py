"""FPIR of strangers' searches against what can be counted, and against scores of known distribution."""

from itertools import combinations

import numpy as np
import pytest
from support.simulated_scores import independent, true_fpir

from raymask.calibration.searches import EDGES, Searches, returned_share


def at(threshold: float) -> int:
    return int(np.searchsorted(EDGES, threshold))


def test_the_share_of_galleries_is_that_of_all_that_can_be_chosen():
    for reached in range(6):
        for enrolled in range(1, 6):
            galleries = list(combinations(range(5), enrolled))
            wanted = np.mean([min(gallery) < reached for gallery in galleries])
            assert returned_share(np.array([reached]), 5, enrolled)[0] == pytest.approx(wanted)


def test_fpir_counts_every_gallery_of_the_people_compared():
    scores = np.array([[0.9, 0.1, np.nan, 0.2], [0.3, 0.3, 0.6, np.nan]], np.float32)
    searches = Searches(scores, np.arange(2))
    assert (searches.people, searches.most) == (2, 3)
    one, two, three = searches.fpir([1, 2, 3])[:, at(0.25)]
    assert one == pytest.approx((1 / 3 + 1) / 2), "one of three reaches it, then all three"
    assert two == pytest.approx((2 / 3 + 1) / 2)
    assert three == pytest.approx(1)
    assert searches.fpir([2])[0, at(0.95)] == 0
    assert np.all(np.diff(searches.fpir([2])[0]) <= 0)


def test_people_count_alike_however_many_searches_they_have():
    scores = np.array([[0.9], [0.9], [0.9], [0.1]], np.float32)
    assert Searches(scores, np.array([5, 5, 5, 9])).fpir([1])[0, at(0.5)] == pytest.approx(0.5)


def test_searches_without_a_face_are_left_out():
    scores = np.array([[0.9, 0.8], [np.nan, np.nan]], np.float32)
    searches = Searches(scores, np.array([3, 4]))
    assert (searches.people, searches.strangers.tolist()) == (1, [3])
    assert Searches(scores[1:], np.array([4])).people == 0


@pytest.mark.parametrize("enrolled", [1, 20, 400])
@pytest.mark.parametrize("rate", [0.1, 0.02])
def test_thresholds_keep_their_rate_where_scores_are_independent(enrolled, rate):
    threshold = independent(700, 400).threshold(rate, enrolled)
    assert rate / 1.6 < true_fpir(threshold, enrolled) < 1.6 * rate


@pytest.mark.parametrize("share", [1e-2, 0.1, 0.5])
def test_a_threshold_is_the_lowest_that_lets_no_more_through(share):
    scores = np.random.default_rng(0).uniform(-0.5, 0.7, (40, 50))
    threshold = Searches(scores, np.arange(40)).threshold(share, 1)
    assert (scores >= threshold).mean() <= share
    assert (scores >= threshold - 1.5 * (EDGES[1] - EDGES[0])).mean() > share


def test_strangers_are_counted_who_reach_a_score_with_anybody():
    searches = Searches(np.array([[0.5, 0.1], [0.2, 0.3], [0.0, 0.0]], np.float32), np.array([0, 0, 1]))
    assert searches.strangers_reaching()[[at(-0.5), at(0.25), at(0.6)]].tolist() == [2, 1, 0]
