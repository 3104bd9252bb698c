"""Thresholds for searches, found on invented strangers and told by an evaluation."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.jobs import job_here

from raymask.calibration.table import SearchTable
from raymask.demo_faces import write_demo_faces
from raymask.errors import ConfigError, DataError
from raymask.evaluate import evaluate
from raymask.evaluate.calibrate import fuse
from raymask.evaluate.calibrate_config import FuseConfig
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.strangers.calibrate import calibrate
from raymask.evaluate.strangers.calibrate_config import CalibrateConfig
from raymask.evaluate.strangers.figures import Strangers
from raymask.models import load_bundle


@pytest.fixture(scope="module")
def strangers(made_once) -> Path:
    """24 invented people, a photo of each."""
    return made_once("strangers", lambda folder: write_demo_faces(folder, people=24, photos=1, seed=5))


@pytest.fixture(scope="module")
def splits(demo_faces, tmp_path_factory) -> str:
    names = sorted(path.name for path in demo_faces.iterdir())
    file = tmp_path_factory.mktemp("splits") / "splits.json"
    file.write_text(json.dumps(dict(zip(names, ["val"] * 4 + ["test"] * 4, strict=True))))
    return str(file)


@pytest.fixture(scope="module")
def fused(demo_faces, splits, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("fusions") / "one"
    config = FuseConfig(
        recognisers=("sface",), images=str(demo_faces), people=f"{splits}:val", out=str(out), max_photos=3, draws=4
    )
    fuse(config)
    return out


@pytest.fixture(scope="module")
def asked(strangers, fused, tmp_path_factory) -> CalibrateConfig:
    return CalibrateConfig(
        strangers=(str(strangers),), fused=str(fused), out=str(tmp_path_factory.mktemp("calibrated") / "fused")
    )


@pytest.fixture(scope="module")
def calibrated(asked) -> Path:
    calibrate(asked)
    return Path(asked.out)


def test_a_fusion_has_thresholds_of_its_own_people_at_first(fused):
    table = SearchTable.of(json.loads((fused / "config.json").read_text())["searches"], str(fused))
    assert (table.strangers, table.measured) == (4, 3)
    assert np.all(table.bare.extrapolated), "four people measure nothing"


def test_strangers_change_the_thresholds_and_nothing_else(fused, calibrated):
    before, after = load_bundle(fused, "Fusion"), load_bundle(calibrated, "Fusion")
    table = SearchTable.of(after.config["searches"], "x")
    assert (table.strangers, table.measured) == (24, 23)
    assert not table.threshold("bare", 0.5, 20).extrapolated, "12 of 24 strangers reach it"
    assert after.config["searches"] != before.config["searches"]
    assert after.config["sha256"] == before.config["sha256"], "galleries stay valid"
    assert after.config["thresholds"] == before.config["thresholds"]
    said = after.config["training"]["searches"]
    assert said["strangers"] == {"bare": 24, "masked": 24}
    assert after.config["training"] == before.config["training"] | {"searches": said}


def test_the_job_says_what_it_found_and_may_replace_the_fusion(asked, calibrated, tmp_path):
    shutil.copytree(asked.fused, tmp_path / "fused")
    done = job_here(
        "calibrate", "--fused", tmp_path / "fused", "--out", tmp_path / "fused", "--strangers", asked.strangers[0]
    )
    assert done.returncode == 0, done.stderr
    assert "bare, FPIR 10%" in done.stdout
    assert "measured up to 23 enrolled" in done.stdout
    again = json.loads((tmp_path / "fused" / "config.json").read_text())
    assert again["searches"] == json.loads((calibrated / "config.json").read_text())["searches"]


def test_an_evaluation_measures_strangers_beside_the_promise(
    demo_faces, strangers, splits, calibrated, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("report")
    labels = folder / "labels.csv"
    labels.write_text("person,sex\n" + "".join(f"{path.name},1\n" for path in strangers.iterdir()))
    config = EvaluateConfig(
        protocol="gallery",
        recognisers=("sface", f"fused:{calibrated}"),
        images=str(demo_faces),
        people=f"{splits}:test",
        out=str(folder / "out"),
        max_photos=3,
        draws=2,
        resamples=100,
        strangers=(str(strangers),),
        strangers_labels=str(labels),
    )
    done = evaluate(config)
    table = json.loads((folder / "out" / "table.json").read_text())
    bare, promised = (table["recognisers"][name]["strangers"]["rows"] for name in config.recognisers)
    assert [(row["searched"], row["enrolled"], row["rate"]) for row in bare] == [
        (searched, 23, rate) for searched in ("bare", "masked") for rate in (0.1, 0.01)
    ]
    assert all(row["promise"] is None for row in bare)
    assert all(0 <= row["promise"]["fpir"] <= 1 for row in promised)
    assert bare[0]["threshold"] == pytest.approx(promised[0]["threshold"], abs=1e-3), "it is the same network"
    text = done.text()
    assert "strangers, fused:fused" in text.replace("calibrated/", "")
    assert "strangers at FPIR 0.001 of 23 enrolled" in text
    page = (folder / "out" / "report.html").read_text()
    assert "Strangers searched" in page
    assert "detection error trade-off" in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "strangers is empty"),
        (["--strangers", "{tmp}/nowhere"], "nowhere"),
        (["--strangers", "{demo}"], "8 strangers are under"),
        (["--strangers", "{strangers}", "--fused", "{strangers}"], "config.json is missing"),
        (["--strangers", "{strangers}", "--out", "{demo}"], "is there and is not a fusion"),
        (["--strangers", "{strangers}", "--strangers-repeats", "{tmp}/none.json"], "none.json"),
    ],
)
def test_mistakes_are_said_in_a_sentence(options, said, demo_faces, strangers, tmp_path):
    words = [option.format(tmp=tmp_path, demo=demo_faces, strangers=strangers) for option in options]
    done = job_here("calibrate", *([] if "--out" in words else ["--out", tmp_path / "x"]), *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_strangers_in_whose_photos_no_face_is_found_are_refused(asked, tmp_path):
    """Their threshold would be 1: nobody in a mask would be recognised any more."""
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"m{number}.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(DataError, match=f"no face is found in the photos under {tmp_path}; name a folder of others"):
        calibrate(replace(asked, strangers_masked=str(tmp_path), out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_broken_table_is_told_before_any_work(tmp_path):
    config = {"model": "Fusion", "arguments": {}, "sha256": "", "training": {}, "searches": {"rates": [2]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    spec = f"fused:{tmp_path}"
    asked = EvaluateConfig(
        protocol="gallery", recognisers=(spec,), images="x", people="y.json", out="z", strangers=("s",)
    )
    with pytest.raises(ConfigError, match=f"^{spec}: its thresholds cannot be read"):
        Strangers(asked, [])


def test_options_of_strangers_need_strangers(asked):
    with pytest.raises(Exception, match="strangers_labels has no effect without strangers"):
        EvaluateConfig(
            protocol="gallery", recognisers=("sface",), images="x", people="y.json", out="z", strangers_labels="l.csv"
        )
    with pytest.raises(Exception, match="strangers has no effect on protocol batch"):
        EvaluateConfig(protocol="batch", recognisers=("sface",), images="x", people="y.json", out="z", strangers=("s",))
    with pytest.raises(Exception, match="out must be a local folder"):
        replace(asked, out="s3://bucket/x")
