"""What a score means, by how many are enrolled."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.tables import KNOWN, LOWEST, MEASURED, STEP, small_table

from raymask.errors import ConfigError
from raymask.serve.core.config import Policy, ThresholdPair, from_mapping
from raymask.serve.core.decisions import Decisions, rounded

PAIR = ThresholdPair(match=0.5, review=0.4)
DEFAULT = Policy()


def decisions(policy: Policy = DEFAULT, *, table: bool = True) -> Decisions:
    fused = SimpleNamespace(spec="fused:mine")
    return Decisions.of(SimpleNamespace(fused=fused, searches=small_table() if table else None), policy)


@pytest.mark.parametrize("state", ["bare", "masked"])
def test_thresholds_rise_with_the_gallery(state):
    """In the small table the threshold at 1e-2 lies a step above the lowest, and a step higher for each tenfold."""
    for size, steps in ((0, 1), (1, 1), (10, 2), (1000, 4), (KNOWN, 5)):
        bounds = decisions().identifying(state, size)
        assert bounds.match.score == pytest.approx(LOWEST[state] + STEP * steps, abs=1e-4)
        assert bounds.review.score == pytest.approx(bounds.match.score - STEP, abs=1e-4)
        assert (bounds.match.fpir, bounds.review.fpir) == (0.01, 0.1)
        assert bounds.extrapolated == (size > MEASURED)
    rarely = decisions(Policy(match_at=1e-3)).identifying(state, 10)
    assert (rarely.match.score, rarely.match.fpir) == (rounded(LOWEST[state] + 3 * STEP), 1e-3)


def test_a_stranger_who_is_a_match_among_ten_is_none_among_a_thousand():
    score = LOWEST["bare"] + 2.5 * STEP
    decided = [decisions().identifying("bare", size).decide([score])[0] for size in (10, 100, 1000)]
    assert decided == ["match", "review", "unknown"]


def test_beyond_the_table_nobody_is_a_match():
    bounds = decisions().identifying("bare", KNOWN + 1)
    assert (bounds.match.fpir, bounds.review.fpir, bounds.extrapolated) == (None, None, True)
    assert bounds.decide([1.0]) == ("review", False)
    assert decisions().identifying("bare", KNOWN).decide([1.0]) == ("match", False)
    assert bounds.decide([0.5]) == ("unknown", False)


def test_thresholds_that_are_given_win_and_say_what_they_let_in():
    given = rounded(LOWEST["bare"] + 3 * STEP)
    policy = Policy(bare=ThresholdPair(match=given, review=given - STEP))
    few, many, beyond = (decisions(policy).identifying("bare", size) for size in (10, 1000, 10 * KNOWN))
    assert {(one.match.score, one.review.score) for one in (few, many, beyond)} == {(given, rounded(given - STEP))}
    assert (few.match.fpir, few.review.fpir) == (pytest.approx(1e-3), pytest.approx(1e-2))
    assert (many.match.fpir, many.review.fpir) == (pytest.approx(1e-1), pytest.approx(1e-1)), "the table's highest"
    assert (few.extrapolated, many.extrapolated) == (False, True)
    assert (beyond.match.fpir, beyond.extrapolated) == (None, False)
    assert beyond.decide([1.0]) == ("match", False), "who gives thresholds decides"
    masked = decisions(policy).identifying("masked", 10)
    assert masked.match.score == rounded(LOWEST["masked"] + 2 * STEP), "the table's"


def test_without_a_table_thresholds_have_to_be_given():
    with pytest.raises(ConfigError, match=r"fused:mine has no thresholds .*bare.*jobs/calibrate\.py or jobs/fuse\.py"):
        decisions(table=False)
    with pytest.raises(ConfigError, match=r"masked faces.*give masked: \{match: \.\.\., review: \.\.\.\} in Api's"):
        decisions(Policy(bare=PAIR), table=False)
    bounds = decisions(Policy(bare=PAIR, masked=PAIR), table=False).identifying("masked", 10)
    assert (bounds.match, bounds.review) == ((0.5, None, False), (0.4, None, False))
    assert [bounds.decide([score])[0] for score in (0.5, 0.4, 0.3999)] == ["match", "review", "unknown"]


def test_one_person_is_verified_at_a_rate_of_its_own():
    bounds = decisions(Policy(verify_at=1e-3)).verifying("bare", 1)
    assert (bounds.match.score, bounds.match.fpir) == (pytest.approx(LOWEST["bare"] + 2 * STEP), 1e-3)
    assert (bounds.review.score, bounds.review.fpir) == (pytest.approx(LOWEST["bare"] + STEP), 1e-2)
    more = decisions(Policy(verify_at=1e-3)).verifying("bare", 10)
    assert more.match.score == pytest.approx(bounds.match.score + STEP), "who has more embeddings is met more easily"
    loose = decisions(Policy(verify_at=0.2)).verifying("bare", 1)
    assert (loose.match.fpir, loose.review.fpir) == (0.1, 0.1), "ten times that, as far as there are rates"
    given = decisions(Policy(bare=PAIR)).verifying("bare", 1)
    assert (given.match.score, given.review.score) == (0.5, 0.4)


@pytest.mark.parametrize("name", ["match_at", "verify_at"])
def test_a_rate_below_the_tables_lowest_is_refused(name):
    """The small table ends at 1e-4: with its last threshold ten times as many strangers would be let in."""
    rare = Policy(**{name: 1e-5})
    with pytest.raises(ConfigError, match=rf"{name} 1e-05 is below 0\.0001, the lowest rate that fused:mine has"):
        decisions(rare)
    both = replace(rare, bare=PAIR, masked=PAIR)
    assert decisions(both).identifying("bare", 10).match.score == 0.5, "thresholds that are given need no rates"


def test_of_two_who_are_equally_near_none_is_a_match():
    bounds = decisions(Policy(bare=PAIR)).identifying("bare", 10)
    assert bounds.decide([0.7, 0.7]) == ("review", True)
    assert bounds.decide([0.7, 0.6999]) == ("match", False)
    assert bounds.decide([0.45, 0.45, 0.1]) == ("review", True)
    assert bounds.decide([0.1, 0.1]) == ("unknown", False)
    assert bounds.decide([]) == ("unknown", False)


def test_scores_are_rounded_and_stay_cosines():
    assert [rounded(score) for score in (1.0000001, -1.0000001, 0.123456, 0.99996)] == [1.0, -1.0, 0.1235, 1.0]


def test_rates_are_checked_and_may_be_text_as_yaml_has_it():
    """YAML 1.1 takes 1e-3 for text, since it has no point."""
    policy = from_mapping(Policy, {"match_at": "1e-3", "review_at": "2e-2", "verify_at": 1e-4}, "user_config")
    assert (policy.match_at, policy.review_at, policy.verify_at) == (1e-3, 2e-2, 1e-4)
    for wrong, message in (
        ({"match_at": 0.2}, "match_at 0.2 must not be above review_at 0.1"),
        ({"match_at": "1e-6"}, "match_at must be 1e-05 to 0.5, not 1e-06"),
        ({"review_at": 0.6}, "review_at must be 1e-05 to 0.5, not 0.6"),
        ({"verify_at": 0}, "verify_at must be"),
        ({"verify_at": "rarely"}, "user_config: verify_at is wrong"),
        ({"candidates": 101}, "candidates must be 0 to 100"),
    ):
        with pytest.raises(ConfigError, match=message):
            from_mapping(Policy, wrong, "user_config")
