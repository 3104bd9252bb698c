"""Protocol pairs against hand-made cases and plain loops."""

import numpy as np
import pytest

from raymask.evaluate.bootstrap import draw_weights
from raymask.evaluate.protocols.pairs_maths import Accuracy, Roc, best_threshold, judge_folds, pair_scores, roc_curve


@pytest.fixture
def pairs():
    generator = np.random.default_rng(0)
    same = np.tile([True, False], 60)
    scores = np.round(np.where(same, 0.6, 0.2) + generator.normal(scale=0.2, size=120), 2)  # rounded: ties
    first, second = generator.integers(0, 25, (2, 120))
    people = np.stack([first, np.where(same, first, (second == first) + second)], axis=1) % 25
    assert ((people[:, 0] == people[:, 1]) == same).all()
    return scores, same, np.repeat(np.arange(4), 30), people


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
    scores, same, _, people = pairs
    for far in (0.1, 0.02, 0.001):
        wanted = max(
            [(scores[same] >= t).mean() for t in scores if (scores[~same] >= t).mean() <= far] or [0.0],
        )
        assert Roc(scores, same, people, far)(np.ones((1, 25)))[0] == pytest.approx(wanted)


def test_eer_lies_where_the_rates_meet(pairs):
    scores, same, _, people = pairs
    eer = Roc(scores, same, people, "eer")(np.ones((1, 25)))[0]
    gaps = [(abs((scores[~same] >= t).mean() - (scores[same] < t).mean()), t) for t in scores]
    threshold = min(gaps)[1]
    rates = (scores[~same] >= threshold).mean(), (scores[same] < threshold).mean()
    assert eer == pytest.approx(np.mean(rates), abs=0.02)
    assert 0.05 < eer < 0.3


def test_weights_count_as_repeated_pairs(pairs, monkeypatch):
    scores, same, _, people = pairs
    monkeypatch.setattr("raymask.evaluate.protocols.pairs_maths.CHUNK", 500)  # several chunks
    weights = draw_weights(25, 20, seed=0)
    folds = pairs[2]
    right = judge_folds(scores, same, folds)
    of = {figure: Roc(scores, same, people, figure) for figure in ("eer", 0.02)}
    values = {"accuracy": Accuracy(right, folds, people)(weights)} | {key: roc(weights) for key, roc in of.items()}
    for number, drawn in enumerate(weights):
        times = [drawn[a] if a == b else drawn[a] * drawn[b] for a, b in people]
        rows = np.repeat(np.arange(120), np.array(times, int))
        nobody = np.zeros((len(rows), 2), int)
        for figure in of:
            repeated = Roc(scores[rows], same[rows], nobody, figure)
            assert repeated(np.ones((1, 1)))[0] == pytest.approx(values[figure][number])
        shares = [right[rows][folds[rows] == fold].mean() for fold in np.unique(folds[rows])]
        assert values["accuracy"][number] == pytest.approx(np.mean(shares))


def test_intervals_cover_what_either_person_of_a_pair_makes_of_it():
    """40 people, of whom some resemble everybody: by the first of a pair alone intervals cover 81% of 200 trials."""
    generator = np.random.default_rng(0)
    a, b = np.triu_indices(40, 1)
    covered = []
    for _ in range(60):
        liked = generator.standard_normal(40)
        chosen = generator.choice(len(a), 400, replace=False)
        people = np.concatenate(
            [np.stack([a[chosen], b[chosen]], axis=1), np.repeat(np.arange(40), 10)[:, None] + [0, 0]]
        )
        same = np.arange(800) >= 400
        scores = np.where(same, 2.5, 0.6 * liked[people].sum(1)) + generator.standard_normal(800)
        figures = Roc(scores, same, people, "eer")(draw_weights(40, 300, seed=1))
        low, high = np.quantile(figures, (0.025, 0.975))
        covered.append(low <= _true_eer() <= high)
    assert np.mean(covered) > 0.85


def _true_eer() -> float:
    """Of scores with mean 2.5 and deviation 1, against mean 0 and deviation (1 + 2 x 0.36) ** 0.5."""
    from scipy.stats import norm

    at = 2.5 * 1.72**0.5 / (1 + 1.72**0.5)
    assert norm.cdf(at, 2.5, 1) == pytest.approx(norm.sf(at, 0, 1.72**0.5))
    return float(norm.cdf(at, 2.5, 1))


def test_misses_bound_the_curve():
    scores = np.array([0.9, -np.inf, 0.1, -np.inf])
    same = np.array([True, True, False, False])
    far, tar = roc_curve(scores, same, np.ones((1, 4)))
    assert far.tolist() == [[0, 0, 0.5]]
    assert tar.tolist() == [[0, 0.5, 0.5]]
    assert Roc(scores, same, np.zeros((4, 2), int), "eer")(np.ones((1, 1)))[0] == 0.5


def test_resamples_without_pairs_of_one_sort_are_nan():
    roc = Roc(np.array([0.9, 0.1]), np.array([True, False]), np.array([[0, 0], [1, 2]]), 0.01)
    assert np.isnan(roc(np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 1.0], [2.0, 1.0, 0.0]]))).all()


def test_folds_count_alike_whatever_their_size_and_one_that_nobody_is_drawn_from_does_not():
    accuracy = Accuracy(np.array([True, False, True]), np.array([0, 0, 1]), np.array([[0, 0], [0, 0], [1, 1]]))
    assert accuracy(np.array([[1.0, 1.0], [2.0, 0.0]])) == pytest.approx([0.75, 0.5])
