import hashlib
import json
from pathlib import Path

import pytest

from raymask.data.prepare.photos import (
    LeftOut,
    Photo,
    choose_people,
    leave_people_out,
    list_photos,
    read_identities,
    read_left_out,
)
from raymask.errors import DataError
from raymask.storage import Folder


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return Folder(root)


def test_every_file_is_a_photo_or_is_listed_with_a_reason(tmp_path):
    root = tree(tmp_path, "b/1.JPG", "a/2.png", "a/1.webp", "a/x/3.jpeg", "a/notes.txt", "stray.jpg")
    photos, dropped = list_photos(root)
    assert photos == [Photo("a", "a/1.webp"), Photo("a", "a/2.png"), Photo("a", "a/x/3.jpeg"), Photo("b", "b/1.JPG")]
    assert {item.image_id for item in dropped} == {"a/notes.txt", "stray.jpg"}
    assert all(item.reason for item in dropped)


def test_empty_and_missing_folders_say_what_is_expected(tmp_path):
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match=r"holds no photo; it takes a tree ROOT/IDENTITY/photo\.jpg"):
            list_photos(Folder(root))


def test_people_are_chosen_by_photos_and_number():
    photos = [
        Photo(name, f"{name}/{n}.jpg") for name, count in {"a": 3, "b": 1, "c": 2, "d": 5}.items() for n in range(count)
    ]
    kept, dropped = choose_people(photos, min_photos=2, limit_identities=2)
    assert {photo.identity for photo in kept} == {"a", "c"}
    assert len(kept) + len(dropped) == len(photos)
    reasons = {item.image_id.split("/")[0]: item.reason for item in dropped}
    assert "has 1 photos" in reasons["b"]
    assert "--limit-identities 2" in reasons["d"]


def test_nobody_left_is_an_error():
    with pytest.raises(DataError, match="no person has 9 photos"):
        choose_people([Photo("a", "a/1.jpg")], min_photos=9, limit_identities=None)


def test_people_are_taken_from_a_list(tmp_path):
    photos = [Photo(name, f"{name}/{n}.jpg") for name in ("n000001", "n000002", "n000003") for n in range(2)]
    (tmp_path / "people.txt").write_text("\ufeffn000003\n\n n000001 \r\n")
    named = read_identities(str(tmp_path / "people.txt"))
    kept, dropped = choose_people(photos, min_photos=1, limit_identities=None, named=named)
    assert {photo.identity for photo in kept} == {"n000001", "n000003"}
    assert [item.reason for item in dropped] == ["its person is not named in --identities"] * 2
    kept, dropped = choose_people(photos, min_photos=1, limit_identities=1, named=named)
    assert {photo.identity for photo in kept} == {"n000001"}
    assert len(kept) + len(dropped) == len(photos)
    with pytest.raises(DataError, match="1 of the people named have no folder with photos, 'n000009' first"):
        choose_people(photos, min_photos=1, limit_identities=None, named=["n000001", "n000009"])


def test_a_list_that_is_none_is_named(tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "picture.txt").write_bytes(b"\xff\xd8\xff")
    for name, why in (("empty.txt", "names nobody"), ("picture.txt", "is not UTF-8 text"), ("none.txt", "none.txt")):
        with pytest.raises(DataError, match=why):
            read_identities(str(tmp_path / name))


@pytest.mark.parametrize(
    "text",
    [
        '["Ann", "Bob"]',
        '{"Ann": "test", "Bob": null}',
        '{"set": {"half": ["Ann"], "other half": ["Bob", "Ann"]}, "empty": []}',
        '{"set": {"Ann": 3}, "Bob": true}',
        '\ufeff[["Ann"], ["Bob"]]',
    ],
)
def test_people_left_out_are_named_by_lists_and_by_flat_mappings(tmp_path, text):
    (tmp_path / "people.json").write_text(text)
    assert read_left_out(str(tmp_path / "people.json")).people == {"Ann", "Bob"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Ann", "is not JSON"),
        ('["Ann", 3]', r"holds 3 where a name should be; it takes a list of names"),
        ('"Ann"', 'holds "Ann" where a name should be'),
        ('{"set": []}', "names nobody"),
    ],
)
def test_a_file_that_names_nobody_to_leave_out_is_refused(tmp_path, text, why):
    (tmp_path / "people.json").write_text(text)
    with pytest.raises(DataError, match=rf"people\.json {why}"):
        read_left_out(str(tmp_path / "people.json"))
    with pytest.raises(DataError, match=r"none\.json"):
        read_left_out(str(tmp_path / "none.json"))


def test_each_photo_of_people_left_out_is_dropped_with_the_reason():
    photos = [Photo(name, f"{name}/{n}.jpg") for name in ("Ann", "Bob", "Cid") for n in range(2)]
    kept, dropped = leave_people_out(photos, LeftOut(frozenset({"Bob", "Zoe"}), "people.json"))
    assert {photo.identity for photo in kept} == {"Ann", "Cid"}
    assert [tuple(item) for item in dropped] == [
        (f"Bob/{n}.jpg", "its person is left out by people.json") for n in range(2)
    ]
    with pytest.raises(DataError, match=r"people\.json names nobody who has photos .*'Zoe'.*without --leave-out"):
        leave_people_out(photos, LeftOut(frozenset({"Zoe"}), "people.json"))
    with pytest.raises(DataError, match="names everybody who has photos"):
        leave_people_out(photos, LeftOut(frozenset({"Ann", "Bob", "Cid"}), "people.json"))


BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def test_the_strangers_are_two_equal_halves_of_people_whom_no_benchmark_knows():
    strangers = json.loads((BENCHMARKS / "strangers.json").read_text())
    sizes = {name: {half: len(people) for half, people in halves.items()} for name, halves in strangers.items()}
    assert sizes == {
        "lfw": {"calibrate": 1250, "check": 1250},
        "faces": {"calibrate": 1500, "check": 1500},
        "real_masks": {"calibrate": 1500, "check": 1500},
    }
    every = [person for halves in strangers.values() for people in halves.values() for person in people]
    assert len(set(every)) == len(every) == 8500
    known = json.loads((BENCHMARKS / "lfw_splits.json").read_text())
    assert not known.keys() & set(every)
    assert read_left_out(str(BENCHMARKS / "strangers.json")).people == set(every)


@pytest.mark.parametrize("name", ["lfw", "faces", "real_masks"])
def test_the_halves_of_the_strangers_are_every_other_one_by_the_hash_of_the_name(name):
    halves = json.loads((BENCHMARKS / "strangers.json").read_text())[name]
    in_order = sorted(
        halves["calibrate"] + halves["check"], key=lambda person: hashlib.sha256(person.encode()).hexdigest()
    )
    assert sorted(in_order[::2]) == sorted(halves["calibrate"])
    assert sorted(in_order[1::2]) == sorted(halves["check"])


def test_repeats_are_pairs_of_strangers_told_once():
    strangers = json.loads((BENCHMARKS / "strangers.json").read_text())
    known = {name for halves in strangers.values() for people in halves.values() for name in people}
    repeats = json.loads((BENCHMARKS / "strangers_repeats.json").read_text())
    assert repeats.keys() == {"same", "unsure"}
    pairs = [tuple(pair) for group in repeats.values() for pair in group]
    assert len(set(pairs)) == len(pairs) > 200
    assert all(set(pair) <= known and list(pair) == sorted(set(pair)) for pair in pairs)
