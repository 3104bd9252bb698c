"""EER and d' of every masked photo against every bare one, against plain loops."""

from statistics import fmean, pvariance

import numpy as np
import pytest

from raymask.evaluate.bootstrap import draw_weights
from raymask.evaluate.protocols import all_pairs
from raymask.evaluate.protocols.all_pairs import compare_all, d_prime, equal_errors
from raymask.evaluate.protocols.pairs_maths import Roc

PEOPLE, PHOTOS = 7, 4


@pytest.fixture
def rows():
    """Bare and masked rows of the same shots, some faces not found; few dimensions and rounding make equal scores."""
    generator = np.random.default_rng(0)
    identities = np.tile(np.repeat(np.arange(PEOPLE), PHOTOS), 2)
    embeddings = np.round(generator.normal(size=(PEOPLE, 4))[identities] + generator.normal(size=(len(identities), 4)))
    embeddings[:, 0] += 0.5  # so that no row is 0
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    count = PEOPLE * PHOTOS
    return {
        "embeddings": embeddings,
        "found": generator.random(2 * count) > 0.05,
        "identities": identities,
        "shots": np.arange(2 * count) % count,
        "masked": np.arange(count, 2 * count),
        "bare": np.arange(count),
    }


def looped(rows):
    """(masked photo's person, bare photo's, score; None if a face was not found) of every pair of two shots."""
    scores = rows["embeddings"][rows["masked"]] @ rows["embeddings"][rows["bare"]].T
    pairs = []
    for place, masked in enumerate(rows["masked"]):
        for other, bare in enumerate(rows["bare"]):
            if rows["shots"][masked] != rows["shots"][bare]:
                found = rows["found"][masked] and rows["found"][bare]
                score = float(scores[place, other]) if found else None
                pairs.append((int(rows["identities"][masked]), int(rows["identities"][bare]), score))
    return pairs


def repeated(pairs, drawn):
    """Scores of one person and of two, each pair as often as its people are drawn together."""
    sorts = {True: [], False: []}
    for one, other, score in pairs:
        times = drawn[one] if one == other else drawn[one] * drawn[other]
        sorts[one == other] += [score] * int(times)
    return sorts[True], sorts[False]


def looped_eer(same, different):
    """At the highest threshold where at least as many of the different are accepted as of the same are refused."""
    thresholds = sorted({score for score in same + different if score is not None}, reverse=True)
    for threshold in thresholds:
        accepts = sum(score is not None and score >= threshold for score in different) / len(different)
        rejects = sum(score is None or score < threshold for score in same) / len(same)
        if accepts >= rejects:
            break
    return (accepts + rejects) / 2


def looped_d_prime(same, different):
    same, different = ([score for score in part if score is not None] for part in (same, different))
    return (fmean(same) - fmean(different)) / ((pvariance(same) + pvariance(different)) / 2) ** 0.5


@pytest.mark.parametrize("at_once", [1, 300, 10**6])
def test_both_equal_plain_loops_for_every_draw_of_people(rows, monkeypatch, at_once):
    monkeypatch.setattr(all_pairs, "AT_ONCE", at_once)  # by halves down to single scores, a few halves, or none
    pairs = compare_all(**rows)
    weights = np.concatenate([np.ones((1, PEOPLE)), draw_weights(PEOPLE, 30, seed=1)])
    errors, distances = equal_errors(pairs, weights), d_prime(pairs, weights)
    assert len(np.unique(pairs.scores)) < len(pairs.scores) - 100  # there are many equal ones
    for drawn, error, distance in zip(weights, errors, distances, strict=True):
        same, different = repeated(looped(rows), drawn)
        assert error == pytest.approx(looped_eer(same, different), abs=1e-12)
        assert distance == pytest.approx(looped_d_prime(same, different), abs=1e-6)


def test_a_person_drawn_twice_counts_twice_alone_and_four_times_with_another_drawn_twice(rows):
    pairs = compare_all(**rows)
    drawn = np.array([[2.0, 2, 0, 0, 0, 0, 0]])
    same, other = all_pairs.weighed(pairs.compared, drawn)[:, 0]
    assert same == 2 * 2 * PHOTOS * (PHOTOS - 1)
    assert other == 4 * 2 * PHOTOS * PHOTOS


def test_the_drawn_twin_of_a_photo_is_no_comparison_and_other_photos_in_masks_are(rows):
    assert compare_all(**rows).compared.sum() == (PEOPLE * PHOTOS) ** 2 - PEOPLE * PHOTOS
    real = {**rows, "shots": np.arange(2 * PEOPLE * PHOTOS)}
    assert compare_all(**real).compared.sum() == (PEOPLE * PHOTOS) ** 2


def test_the_eer_is_that_of_protocol_pairs(rows):
    pairs, weights = compare_all(**{**rows, "found": np.ones(len(rows["found"]), bool)}), draw_weights(PEOPLE, 40, 0)
    people = np.stack(np.divmod(pairs.cells, PEOPLE), axis=1)
    roc = Roc(pairs.scores, people[:, 0] == people[:, 1], people, "eer")
    assert equal_errors(pairs, weights) == pytest.approx(roc(weights), abs=1e-6)


def test_draws_without_a_sort_of_pairs_and_scores_that_do_not_differ_are_nan(rows):
    alone = np.eye(PEOPLE)[:1]
    assert np.isnan([equal_errors(compare_all(**rows), alone), d_prime(compare_all(**rows), alone)]).all()
    alike = {**rows, "embeddings": np.ones((len(rows["found"]), 1), np.float32)}
    assert np.isnan(d_prime(compare_all(**alike), np.ones((1, PEOPLE)))).all()


def test_nobody_found_is_half_of_each_error(rows):
    pairs = compare_all(**{**rows, "found": np.zeros(len(rows["found"]), bool)})
    assert equal_errors(pairs, np.ones((1, PEOPLE))).tolist() == [0.5]
    assert np.isnan(d_prime(pairs, np.ones((1, PEOPLE)))).all()


def test_people_without_masked_photos_are_still_others_to_be_taken_for(rows):
    first = {**rows, "masked": rows["masked"][:PHOTOS]}
    pairs = compare_all(**first)
    assert pairs.compared.shape == (PEOPLE, PEOPLE)
    assert (pairs.compared[0, 1:] == PHOTOS**2).all()
    assert not pairs.compared[1:].any()
    same, different = repeated(looped(first), np.ones(PEOPLE))
    assert equal_errors(pairs, np.ones((1, PEOPLE)))[0] == pytest.approx(looped_eer(same, different))
