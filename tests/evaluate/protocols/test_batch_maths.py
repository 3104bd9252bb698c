"""Protocol batch against hand-made cases and a plain loop."""

import numpy as np
import pytest

from raymask.evaluate.protocols.batch_maths import draw_batches, judge_batches, nearest


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_batches_are_20_people_with_3_bare_and_3_masked_of_different_shots():
    photos_of = [np.arange(person * 8, person * 8 + 8) for person in range(30)]
    batches = draw_batches(photos_of, batches=40, seed=0)
    assert len(batches) == 40
    for numbers, masked in batches:
        assert len(numbers) == len(set(numbers)) == 120
        people, counts = np.unique(numbers // 8, return_counts=True)
        assert len(people) == 20
        assert (counts == 6).all()
        assert all(masked[numbers // 8 == person].sum() == 3 for person in people)
    assert set(np.concatenate([numbers for numbers, _ in batches])) == set(range(240))


def test_batches_are_seeded_and_take_everybody_where_there_are_few():
    photos_of = [np.arange(6), np.arange(6, 14)]
    (numbers, _), *_ = draw_batches(photos_of, batches=3, seed=1)
    assert len(numbers) == 12
    again = draw_batches(photos_of, batches=3, seed=1)[0][0]
    assert (numbers == again).all()
    assert any((numbers != draw_batches(photos_of, batches=3, seed=seed)[0][0]).any() for seed in (2, 3))


def test_judged_by_hand():
    embeddings = unit([[1, 0], [1, 0.1], [0, 1], [1, 0.2]])  # rows 1 and 3, of two people, are nearest to each other
    identities, masked = np.array([0, 0, 1, 1]), np.array([False, True, False, True])
    judged = judge_batches(embeddings, np.ones(4, bool), identities, masked, [np.arange(4)])
    assert judged.hits.tolist() == [[1, 0], [1, 0]]
    assert judged.anchors.tolist() == [[1, 1], [1, 1]]


def test_a_photo_without_a_face_is_wrong_and_nobodys_neighbour():
    embeddings = unit([[1, 0], [1, 0.01], [1, 0.5], [0, 1]])
    embeddings[1] = 0
    found = np.array([True, False, True, True])
    identities = np.array([0, 0, 0, 1])
    judged = judge_batches(embeddings, found, identities, np.zeros(4, bool), [np.arange(4)])
    assert judged.hits[:, 0].tolist() == [2, 0]  # rows 0 and 2 have each other; person 1 has nobody
    assert judged.anchors[:, 0].tolist() == [3, 1]
    same, different = nearest(embeddings, found, identities)
    assert same[0] == pytest.approx(embeddings[0] @ embeddings[2])
    assert np.isneginf(same[3])
    assert different[0] == pytest.approx(0)


def test_equals_a_plain_loop():
    generator = np.random.default_rng(0)
    identities = np.repeat(np.arange(5), 6)
    embeddings = unit(generator.normal(size=(30, 4)) + np.eye(5, 4)[identities])
    found = generator.random(30) > 0.15
    masked = np.tile([False, True], 15)
    batches = [generator.permutation(30)[:20] for _ in range(4)]
    hits = np.zeros((5, 2))
    for rows in batches:
        for row in rows:
            others = [other for other in rows if other != row and found[other]]
            best = max(others, key=lambda other: embeddings[row] @ embeddings[other])
            hits[identities[row], int(masked[row])] += found[row] and identities[best] == identities[row]
    judged = judge_batches(embeddings, found, identities, masked, batches)
    assert (judged.hits == hits).all()
    assert judged.anchors.sum() == 80
