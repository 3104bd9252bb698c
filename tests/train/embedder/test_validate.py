import numpy as np
import pytest

from raymask.train.embedder.validate import evenly


def test_rows_are_spread_over_people_whatever_their_number_of_photos():
    identities = np.array([0] * 500 + [1] * 3 + [2] * 40 + [3])
    rows = evenly(identities, 30)
    assert np.bincount(identities[rows]).tolist() == [14, 3, 13]
    assert len(set(rows.tolist())) == 30
    assert rows.tolist() == sorted(rows.tolist())


def test_all_rows_are_taken_where_there_are_few():
    assert evenly(np.array([1, 0, 1, 0]), 10).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [2, 31, 200, 4000])
def test_everyone_who_is_chosen_can_be_found(count):
    """Each row's person has another row, however many people there are; people with one photo are not chosen."""
    identities = np.repeat(np.arange(1000), np.arange(1000) % 4 + 1)
    people, rows_each = np.unique(identities[evenly(identities, count)], return_counts=True)
    assert rows_each.min() >= 2
    assert count - 1 <= rows_each.sum() or count == 4000
    assert people.max() - people.min() > 400 or count == 2, "only the first by name"


@pytest.mark.parametrize(("identities", "count"), [([0, 1, 2], 10), ([0, 0, 1, 1], 1), ([], 4)])
def test_where_nobody_can_be_found_nobody_is_chosen(identities, count):
    assert evenly(np.array(identities, dtype=np.int64), count).tolist() == []
