"""The table as text and as JSON."""

import json

import numpy as np
import pytest

from raymask.evaluate.bootstrap import Figure, Ratio, draw_weights
from raymask.evaluate.measures import Measure, Scored
from raymask.evaluate.report.table import (
    WIDTH,
    as_json,
    differences,
    percent,
    sample,
    short_names,
    text_differences,
    text_table,
)


def scored(hits, errors):
    measures = [
        Measure(key="right", title="right", statistic=Ratio(np.full(9, hits), np.full(9, 10)), n=90),
        Measure(
            key="wrong",
            title="wrong",
            statistic=Ratio(np.full(9, errors), np.full(9, 10)),
            n=90,
            higher_is_better=False,
        ),
    ]
    return Scored(measures=measures, same=np.zeros(0), different=np.zeros(0))


@pytest.fixture
def results():
    return {"dlib": scored(6, 4), "onnx:/models/net.onnx": scored(8, 1), "bundle:out/net": scored(5, 5)}


def test_differences_and_error_cuts_of_every_pair(results):
    samples = sample(results, draw_weights(9, 100, 0))
    rows = {(row.of, row.minus): row for row in differences(samples, results["dlib"].measures)}
    assert set(rows) == {
        ("onnx:/models/net.onnx", "dlib"),
        ("bundle:out/net", "dlib"),
        ("bundle:out/net", "onnx:/models/net.onnx"),
    }
    row = rows["onnx:/models/net.onnx", "dlib"]
    assert row.figures["right"].value == pytest.approx(0.2)
    assert row.error_cuts["right"].value == pytest.approx(0.5)  # errors 0.4 to 0.2
    assert row.figures["wrong"].value == pytest.approx(-0.3)
    assert row.error_cuts["wrong"].value == pytest.approx(0.75)


def test_text_is_aligned_and_leaves_out_folders(results):
    samples = sample(results, draw_weights(9, 100, 0))
    figures = {name: {key: one.figure() for key, one in part.items()} for name, part in samples.items()}
    lines = text_table(results, figures).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split()[-3:] == ["dlib", "onnx:net.onnx", "bundle:net"]
    assert "80.0 (80.0 to 80.0)" in lines[1]
    below = text_differences(results, differences(samples, results["dlib"].measures))
    assert below.splitlines()[1].split("  ")[0] == "right"
    assert "+20.0 (+20.0 to +20.0)" in below
    assert "-10.0" in below
    assert text_differences({"dlib": results["dlib"]}, []) == ""


def test_many_recognisers_go_on_in_blocks_below():
    many = {f"python:module:{'long_name' * 3}{number}": scored(number, 1) for number in range(6)}
    samples = sample(many, draw_weights(9, 100, 0))
    figures = {name: {key: one.figure() for key, one in part.items()} for name, part in samples.items()}
    text = text_table(many, figures)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert all(name in text for name in many)


def test_a_figure_that_is_no_share_is_shown_as_it_is_and_has_no_error_cut():
    plain = Measure(key="d", title="d'", statistic=lambda weights: weights.sum(1) / 4, n=9, is_share=False)
    results = {
        name: Scored(measures=[plain], same=np.zeros(0), different=np.zeros(0)) for name in ("dlib", "onnx:net.onnx")
    }
    samples = sample(results, draw_weights(9, 100, 0))
    figures = {name: {key: one.figure() for key, one in part.items()} for name, part in samples.items()}
    assert "2.25 (2.25 to 2.25)" in text_table(results, figures)
    (row,) = differences(samples, [plain])
    assert row.error_cuts == {}
    assert "+0.00 (+0.00 to +0.00)" in text_differences(results, [row])


def test_short_names_stay_different():
    assert short_names(["dlib", "onnx:a/n.onnx", "onnx:b/n.onnx", "bundle:out/x/", "bundle:runs/y/bundle"]) == {
        "dlib": "dlib",
        "onnx:a/n.onnx": "onnx:a/n.onnx",
        "onnx:b/n.onnx": "onnx:b/n.onnx",
        "bundle:out/x/": "bundle:x",
        "bundle:runs/y/bundle": "bundle:y",
    }


def test_nan_is_a_dash_and_null():
    nothing = Figure(float("nan"), float("nan"), float("nan"))
    assert percent(nothing) == "-"
    assert json.loads(as_json({"a": [nothing]})) == {"a": [{"value": None, "low": None, "high": None}]}
