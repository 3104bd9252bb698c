"""For whom a threshold lets most strangers in."""

import numpy as np
import pytest

from raymask.calibration.searches import Searches
from raymask.errors import DataError
from raymask.evaluate.strangers.groups import LEAST, fpir_by_group, read_labels


def test_labels_are_read_with_ages_in_groups(tmp_path):
    (tmp_path / "labels.csv").write_text("folder,age,sex,origin\nann,10,,\nbob,39,male,3\ncid,61,,\n\n")
    assert read_labels(str(tmp_path / "labels.csv")) == {
        "ann": ["age 10 to 19"],
        "bob": ["age 20 to 39", "sex male", "origin 3"],
        "cid": ["age 60 and over"],
    }


@pytest.mark.parametrize("content", [b"", b"folder\nann\n", b"\xff\xfe\x00"])
def test_a_file_without_labels_is_named(tmp_path, content):
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"labels\.csv"):
        read_labels(str(tmp_path / "labels.csv"))


def test_an_age_of_thousands_of_digits_is_no_fault(tmp_path):
    (tmp_path / "labels.csv").write_text(f"folder,age\nann,{'9' * 5000}\n")
    assert read_labels(str(tmp_path / "labels.csv")) == {"ann": [f"age {'9' * 5000}"]}


def test_the_group_that_is_let_in_most_often_comes_first():
    random = np.random.default_rng(0)
    people = 4 * LEAST
    scores = random.normal(0, 0.1, (people, 30))
    scores[::2] += 0.05
    names = [f"p{number}" for number in range(people)]
    labels = {name: ["near" if number % 2 == 0 else "far"] for number, name in enumerate(names)}
    labels |= {names[0]: ["near", "few"]}
    found = fpir_by_group(Searches(scores, np.arange(people)), names, labels, resamples=200, seed=0)
    assert [(group.name, group.strangers) for group in found] == [("near", 2 * LEAST), ("far", 2 * LEAST)]
    near, far = found
    assert near.fpir.value > 0.1 > far.fpir.value
    assert near.fpir.low < near.fpir.value < near.fpir.high
    assert (near.fpir.value + far.fpir.value) / 2 == pytest.approx(0.1, abs=0.01), "one threshold for all"


def test_names_are_found_though_some_searches_have_no_face():
    scores = np.random.default_rng(0).normal(0, 0.1, (2 * LEAST, 30))
    scores[:LEAST] = np.nan
    scores[LEAST:] += 0.3
    names = [f"p{number}" for number in range(2 * LEAST)]
    labels = {name: ["first" if number < LEAST else "second"] for number, name in enumerate(names)}
    found = fpir_by_group(Searches(scores, np.arange(2 * LEAST)), names, labels, resamples=200, seed=0)
    assert [group.name for group in found] == ["second"]
