import numpy as np

from raymask.train.validate import evenly


def test_rows_are_spread_over_people_whatever_their_number_of_photos():
    identities = np.array([0] * 500 + [1] * 3 + [2] * 40 + [3])
    rows = evenly(identities, 30)
    assert np.bincount(identities[rows]).tolist() == [13, 3, 13, 1]
    assert len(set(rows.tolist())) == 30
    assert rows.tolist() == sorted(rows.tolist())


def test_all_rows_are_taken_where_there_are_few():
    assert evenly(np.array([1, 0, 1]), 10).tolist() == [0, 1, 2]
