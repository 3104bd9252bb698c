import numpy as np
import pytest

from raymask.data.prepare.photos import Photo
from raymask.errors import DataError
from raymask.evaluate.protocols.pairs_drawn import draw_pairs

PHOTOS = [
    Photo(identity=name, image_id=f"{name}/{number}.jpg")
    for name, count in (("a", 2), ("b", 3), ("c", 4), ("d", 9))
    for number in range(count)
]


@pytest.mark.parametrize("ordered", [False, True])
def test_pairs_are_of_both_sorts_and_none_comes_twice(ordered):
    pairs = draw_pairs(PHOTOS, 20, ordered=ordered, seed=3)
    assert [pair.same for pair in pairs] == [True] * 20 + [False] * 20
    keys = [(pair.first.image_id, pair.second.image_id) for pair in pairs]
    assert len(set(keys if ordered else map(frozenset, keys))) == 40
    assert all(first != second for first, second in keys)
    assert pairs == draw_pairs(PHOTOS, 20, ordered=ordered, seed=3)
    assert pairs != draw_pairs(PHOTOS, 20, ordered=ordered, seed=4)


def test_people_count_alike_as_long_as_they_have_pairs():
    pairs = draw_pairs(PHOTOS, 8, ordered=True, seed=0)
    names, counts = np.unique([pair.first.identity for pair in pairs if pair.same], return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {"a": 2, "b": 2, "c": 2, "d": 2}


def test_a_person_is_in_one_fold():
    folds: dict[str, set[int]] = {}
    for pair in draw_pairs(PHOTOS, 20, ordered=True, seed=1):
        folds.setdefault(pair.first.identity, set()).add(pair.fold)
    assert all(len(found) == 1 for found in folds.values())
    assert len({next(iter(found)) for found in folds.values()}) == 4


MASKED = [
    Photo(name, f"{name}/{number}c.jpg") for name, count in (("a", 1), ("c", 5), ("d", 2)) for number in range(count)
]


def test_the_second_photo_is_one_in_a_real_mask_and_people_without_one_are_not_drawn():
    pairs = draw_pairs(PHOTOS, 16, ordered=True, seed=0, masked=MASKED)
    assert [pair.same for pair in pairs] == [True] * 16 + [False] * 16
    assert all(pair.first in PHOTOS and pair.second in MASKED and pair.in_truth == (False, True) for pair in pairs)
    assert len({(pair.first, pair.second) for pair in pairs}) == 32
    assert {pair.first.identity for pair in pairs} | {pair.second.identity for pair in pairs} == set("acd")
    folds = {(pair.first.identity, pair.fold) for pair in pairs}
    assert len(folds) == len({fold for _, fold in folds}) == 3


def test_as_many_as_there_are_in_real_masks():
    """Of one person 2 + 20 + 18; of two 2 (5 + 2) + 4 (1 + 2) + 9 (1 + 5), of which half can be drawn."""
    assert len(draw_pairs(PHOTOS, 40, ordered=True, seed=0, masked=MASKED)) == 80
    with pytest.raises(DataError, match="these photos make 40"):
        draw_pairs(PHOTOS, 41, ordered=True, seed=0, masked=MASKED)


def test_more_than_there_are_is_refused():
    with pytest.raises(DataError, match=r"47 pairs of either sort were asked for, and these photos make 46"):
        draw_pairs(PHOTOS, 47, ordered=False, seed=0)
    assert len(draw_pairs(PHOTOS, 46, ordered=False, seed=0)) == 92
