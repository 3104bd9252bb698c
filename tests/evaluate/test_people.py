"""Who takes part."""

import dataclasses
import json

import pytest

from raymask.data.prepare.photos import Photo
from raymask.errors import DataError
from raymask.evaluate.asked import Asked
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.people import choose_crowd, choose_masked, choose_photos, clean_photos, without_bare

PHOTOS = [
    Photo(name, f"{name}/{number:02}.jpg")
    for name, count in zip("abcde", (9, 9, 9, 9, 2), strict=True)
    for number in range(count)
]


@pytest.fixture
def choose(tmp_path):
    def chosen(splits, least=6, masked=(), **options):
        path = tmp_path / "splits.json"
        path.write_text(json.dumps(splits))
        people = f"{path}{options.pop('split', '')}"
        config = EvaluateConfig(
            recognisers=("dlib",), images="ROOT", out="OUT", protocol="batch", people=people, **options
        )
        return choose_photos(PHOTOS, config, least=least, masked=masked)

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


MASKED = [
    Photo(name, f"{name}/{number}c.jpg") for name, count in (("a", 3), ("e", 4), ("z", 2)) for number in range(count)
]
REAL = EvaluateConfig(
    recognisers=("dlib",), images="ROOT", masked_images="WORN", out="OUT", protocol="gallery", people="splits.json"
)


def test_photos_in_real_masks_count_towards_the_photos_a_person_needs(choose):
    splits = {"a": "test", "e": "test"}
    photos, left_out = choose(splits, masked=MASKED)
    assert (len(photos), left_out) == (9 + 2, 0)
    photos, left_out = choose({**splits, "b": "test"}, masked=MASKED, least=7)
    assert {photo.identity for photo in photos} == {"a", "b"}
    assert left_out == 1


def test_who_has_only_photos_in_real_masks_is_left_out_and_named(choose):
    photos, _ = choose({"a": "test", "b": "test", "z": "test"}, masked=MASKED)
    assert {photo.identity for photo in photos} == {"a", "b"}
    assert without_bare(PHOTOS, MASKED, REAL) == ["z"]
    with pytest.raises(DataError, match="none of the 1 people under WORN, such as z, has a photo under ROOT; "):
        without_bare(PHOTOS, MASKED[-2:], REAL)


def test_masked_photos_of_those_who_take_part(choose):
    photos, _ = choose({"a": "test", "e": "test"}, masked=MASKED)
    assert choose_masked(MASKED, photos, REAL) == MASKED[:-2]
    few = choose_masked(MASKED, photos, dataclasses.replace(REAL, max_photos=2))
    assert [photo.identity for photo in few] == ["a", "a", "e", "e"]
    with pytest.raises(DataError, match=r"none of the 1 people of splits.json has a photo under WORN"):
        choose_masked(MASKED, [photo for photo in PHOTOS if photo.identity == "b"], REAL)


def test_clean_photos_match_by_file_name_alone():
    photos = [Photo("c.c", "c.c/1r.jpg"), Photo("a", "a/2c.jpg"), Photo("a", "a/x/3c.png")]
    assert clean_photos(photos, "*c.*") == set(photos[1:])
    with pytest.raises(DataError, match=r"clean '\*d\.\*' matches none of the 3 masked photos.*such as 1r.jpg, 2c.jpg"):
        clean_photos(photos, "*d.*")


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


def test_a_note_names_ten_people_and_counts_the_rest():
    (note,) = Asked(trial=None, without_bare=[f"p{number:02}" for number in range(12)]).notes()
    assert "12 under masked_images (p00, " in note
    assert note.endswith("p09 and 2 more)")
    assert Asked(trial=None).notes() == []
