"""Who takes part."""

import json

import pytest

from raymask.data.photos import Photo
from raymask.errors import DataError
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.people import choose_crowd, choose_photos

PHOTOS = [
    Photo(name, f"{name}/{number:02}.jpg")
    for name, count in zip("abcde", (9, 9, 9, 9, 2), strict=True)
    for number in range(count)
]


@pytest.fixture
def choose(tmp_path):
    def chosen(splits, least=6, **options):
        path = tmp_path / "splits.json"
        path.write_text(json.dumps(splits))
        people = f"{path}{options.pop('split', '')}"
        config = EvaluateConfig(
            recognisers=("dlib",), images="ROOT", out="OUT", protocol="batch", people=people, **options
        )
        return choose_photos(PHOTOS, config, least=least)

    return chosen


def test_only_people_of_the_split_with_enough_photos(choose):
    photos, left_out = choose({"a": "test", "b": "train", "c": "test", "e": "test"})
    assert {photo.identity for photo in photos} == {"a", "c"}
    assert len(photos) == 18
    assert left_out == 1


def test_another_split(choose):
    photos, _ = choose({"a": "val", "b": "val", "c": "test"}, split=":val")
    assert {photo.identity for photo in photos} == {"a", "b"}


def test_limits_are_seeded_choices(choose):
    splits = dict.fromkeys("abcd", "test")
    photos, _ = choose(splits, limit_people=2, max_photos=7)
    assert len({photo.identity for photo in photos}) == 2
    assert len(photos) == 14
    assert photos == choose(splits, limit_people=2, max_photos=7)[0]
    assert any(photos != choose(splits, limit_people=2, max_photos=7, seed=seed)[0] for seed in (1, 2, 3))


@pytest.fixture
def crowd(tmp_path):
    def chosen(splits, **options):
        path = tmp_path / "splits.json"
        path.write_text(json.dumps(splits))
        given = {"recognisers": ("dlib",), "images": "ROOT", "out": "OUT", "protocol": "gallery"}
        people = f"{path}{options.pop('split', ':val')}"
        return choose_crowd(PHOTOS, EvaluateConfig(**given, people=people, **options))

    return chosen


def test_a_crowd_has_one_photo_of_people_in_train_or_in_no_split(crowd):
    assert crowd({"a": "val", "b": "test", "c": "train"}) == []
    everybody = crowd({"a": "val", "b": "test", "c": "train"}, crowd=3)
    assert [photo.identity for photo in everybody] == ["c", "d", "e"]
    two = crowd({"a": "val", "b": "test", "c": "train"}, crowd=2)
    assert set(two) < set(everybody)
    assert any(two != crowd({"a": "val", "b": "test", "c": "train"}, crowd=2, seed=seed) for seed in (1, 2, 3))


def test_nobody_who_is_asked_about_is_in_the_crowd(crowd):
    splits = {"a": "train", "b": "train", "c": "test"}
    assert [photo.identity for photo in crowd(splits, split=":train", crowd=2)] == ["d", "e"]


def test_a_crowd_of_more_people_than_there_are(crowd):
    with pytest.raises(DataError, match="only 3 others under ROOT are in split train or in none"):
        crowd({"a": "val", "b": "test"}, crowd=4)


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"a": "train"}, "nobody in split test"),
        ({"a": "test", "zoe": "test"}, "1 of 2 people of .* have no photo under ROOT, such as zoe"),
        ({"a": "test", "e": "test"}, "needs two people with 6 photos; 1 of 2 people"),
    ],
)
def test_faults(choose, splits, said):
    with pytest.raises(DataError, match=said):
        choose(splits)
