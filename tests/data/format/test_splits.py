import json
from collections import Counter

import pytest

from raymask.data.format.splits import SplitConfig, draw_splits, given_splits, read_splits
from raymask.errors import ConfigError, DataError

COUNTS = {f"person {n:03}": 10 + n % 3 if n % 4 else 5 for n in range(400)}


def test_the_papers_sizes_among_people_with_enough_photos():
    splits = draw_splits(COUNTS, SplitConfig())
    assert Counter(splits.values()) == {"train": 360, "val": 20, "test": 20}
    assert all(COUNTS[name] >= 10 for name, split in splits.items() if split != "train")
    assert set(splits) == set(COUNTS)


def test_small_sets_keep_most_people_for_training():
    splits = draw_splits({f"p{n}": 10 for n in range(11)}, SplitConfig())
    assert Counter(splits.values()) == {"train": 7, "val": 2, "test": 2}
    assert set(draw_splits({"a": 10, "b": 10}, SplitConfig()).values()) == {"train"}


def test_the_seed_decides_and_the_order_of_files_does_not():
    backwards = dict(reversed(COUNTS.items()))
    assert draw_splits(COUNTS, SplitConfig(seed=3)) == draw_splits(backwards, SplitConfig(seed=3))
    assert draw_splits(COUNTS, SplitConfig(seed=3)) != draw_splits(COUNTS, SplitConfig(seed=4))


def test_reading_splits(tmp_path):
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"a": "test", "b": "val"}))
    assert read_splits(str(file)) == {"a": "test", "b": "val"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ('{"a": ["test"]}', "must map each person"),
        ('{"a": "exam"}', "must map each person"),
        ("[1]", "must map each person"),
    ],
)
def test_files_that_are_no_splits_are_named(tmp_path, text, message):
    file = tmp_path / "s.json"
    file.write_text(text)
    with pytest.raises(DataError, match=rf"s\.json {message}"):
        read_splits(str(file))


def test_people_whom_the_file_does_not_name_are_train(tmp_path):
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"a": "test", "z": "val"}))
    assert given_splits(["b", "a"], str(file)) == {"a": "test", "b": "train"}
    with pytest.raises(DataError, match="names none of the people"):
        given_splits(["A", "B"], str(file))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json cannot be read"):
        read_splits(str(tmp_path / "none.json"))


def test_negative_sizes_are_refused():
    with pytest.raises(ConfigError, match=r"split\.test"):
        SplitConfig(test=-1)
