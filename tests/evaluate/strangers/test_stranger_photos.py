"""Who is a stranger."""

import json
from pathlib import Path

import pytest

from raymask.errors import ConfigError, DataError
from raymask.evaluate.strangers.config import StrangersConfig
from raymask.evaluate.strangers.photos import LEAST, choose_strangers, people_under, repeated_people

PEOPLE = [f"p{number:02}" for number in range(LEAST + 4)]


@pytest.fixture
def roots(tmp_path) -> tuple[Path, Path]:
    """Two photos of each of PEOPLE, and loose photos in real masks."""
    for name in PEOPLE:
        (tmp_path / "bare" / name).mkdir(parents=True)
        for photo in ("a.jpg", "b.jpg"):
            (tmp_path / "bare" / name / photo).touch()
    (tmp_path / "worn").mkdir()
    for name in ("m1.webp", "m2.webp", "m3.webp", "list.txt"):
        (tmp_path / "worn" / name).touch()
    return tmp_path / "bare", tmp_path / "worn"


def named(folder: Path, halves: dict) -> str:
    (folder / "strangers.json").write_text(json.dumps(halves))
    return str(folder / "strangers.json")


def test_one_photo_of_each_is_drawn_by_seed(roots):
    config = StrangersConfig(strangers=(str(roots[0]),))
    chosen = choose_strangers(config, seed=0)
    assert [one.photo.identity for one in chosen] == PEOPLE
    assert choose_strangers(config, seed=0) == chosen
    assert choose_strangers(config, seed=1) != chosen
    assert {one.photo.image_id[-5:] for one in chosen} == {"a.jpg", "b.jpg"}


def test_photos_in_real_masks_may_lie_without_folders(roots):
    chosen = choose_strangers(StrangersConfig(strangers=(str(roots[0]),), strangers_masked=str(roots[1])), 0)
    worn = [one.photo.identity for one in chosen if one.in_real_mask]
    assert worn == ["m1", "m2", "m3"]
    assert [one.in_real_mask for one in chosen] == sorted(one.in_real_mask for one in chosen)


def test_a_heading_chooses_wherever_it_stands(roots, tmp_path):
    halves = {"one": {"calibrate": PEOPLE[:2], "check": PEOPLE[2:-1]}, "real": {"check": ["m2"]}}
    file = named(tmp_path, halves)
    assert people_under(f"{file}:check") == {*PEOPLE[2:-1], "m2"}
    config = StrangersConfig(
        strangers=(str(roots[0]),), strangers_masked=str(roots[1]), strangers_people=f"{file}:check"
    )
    assert [one.photo.identity for one in choose_strangers(config, 0)] == [*PEOPLE[2:-1], "m2"]


def test_others_may_be_enrolled_only(roots, tmp_path):
    file = named(tmp_path, {"one": {"calibrate": PEOPLE[:5], "check": PEOPLE[3:]}})
    config = StrangersConfig(
        strangers=(str(roots[0]),), strangers_people=f"{file}:check", strangers_enrolled=f"{file}:calibrate"
    )
    chosen = choose_strangers(config, 0)
    assert [one.photo.identity for one in chosen if one.searched] == PEOPLE[3:]
    assert [one.photo.identity for one in chosen if not one.searched] == PEOPLE[:3]


def test_pairs_of_one_person_are_read_under_any_heading(tmp_path):
    file = named(tmp_path, {"same": [["a", "b"]], "unsure": [["c", "d"], ["e", "f"]]})
    assert repeated_people(file) == [("a", "b"), ("c", "d"), ("e", "f")]
    assert repeated_people(None) == []


@pytest.mark.parametrize(
    ("halves", "heading", "error", "said"),
    [
        ({"x": {"check": ["p00"]}}, ":check", DataError, r"1 strangers whom .*json:check names are under .*20 people"),
        ({"x": {"check": PEOPLE}}, ":other", DataError, r"has no list of people under 'other'"),
        ({"x": {"check": PEOPLE}}, "", ConfigError, r"names no heading; give FILE:HEADING"),
        ({"x": {"check": PEOPLE}}, ":check", DataError, r"names nobody under .*worn, such as m1, m2, m3"),
    ],
)
def test_too_few_people_and_wrong_files_are_said(roots, tmp_path, halves, heading, error, said):
    people = named(tmp_path, halves) + heading
    config = StrangersConfig(strangers=(str(roots[0]),), strangers_masked=str(roots[1]), strangers_people=people)
    with pytest.raises(error, match=said):
        choose_strangers(config, 0)


@pytest.mark.parametrize("text", ["people", "[" * 200_000])
def test_a_file_that_is_not_json_is_named(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"x\.json is not JSON"):
        people_under(f"{tmp_path}/x.json:check")
