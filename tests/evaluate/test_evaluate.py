"""Whole evaluations of invented people: each protocol, the table, the report, the command line, users' mistakes."""

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.jobs import job_here

from raymask.data.prepare.photos import Photo
from raymask.errors import DataError
from raymask.evaluate import evaluate
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.probes import Probes
from raymask.faces.images import encode_jpeg
from raymask.storage import Folder

ROOT = Path(__file__).parent.parent.parent
OWN = '''
import numpy as np

class Noise:
    """Embeds by chance, and finds no face in about every fifth photo."""
    def embed(self, photos):
        rows = np.random.default_rng(0).normal(size=(len(photos), 8)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True), np.array([p.sum() % 5 > 0 for p in photos])
'''
OWN_RED = '''
import numpy as np

SEEN = []

class Red:
    """Notes by how much each photo is red."""
    def embed(self, photos):
        SEEN.extend(float(photo[..., 0].mean() - photo[..., 1].mean()) for photo in photos)
        return np.ones((len(photos), 1), np.float32), np.ones(len(photos), bool)
'''


@pytest.fixture(scope="module")
def people(demo_faces, tmp_path_factory):
    """Four of the eight demo people are test, two val, the others train."""
    names = sorted(path.name for path in demo_faces.iterdir())
    splits = dict(zip(names, ["test"] * 4 + ["val"] * 2 + ["train"] * 2, strict=True))
    path = tmp_path_factory.mktemp("splits") / "splits.json"
    path.write_text(json.dumps(splits))
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_noise.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []
        self.tags = set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.found += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]


def check_report(out):
    text = (out / "report.html").read_text()
    links = _Links()
    links.feed(text)
    assert links.found
    assert all(link.startswith("data:image/") for link in links.found)
    assert not {"script", "link", "iframe"} & links.tags
    assert "url(" not in text
    assert "nan" not in text.lower().split("<body>")[1].replace("data:", "").split("base64")[0]
    return text


def run(out, demo_faces, people, **options):
    config = EvaluateConfig(
        **{
            "recognisers": ("dlib", "python:own_noise:Noise"),
            "images": str(demo_faces),
            "people": people,
            "out": str(out),
            "resamples": 200,
            **options,
        }
    )
    return evaluate(config), json.loads((out / "table.json").read_text())


def test_batch(tmp_path, demo_faces, people):
    done, table = run(tmp_path, demo_faces, people, protocol="batch", batches=50)
    assert table["counts"] == {
        "people": 4,
        "people_left_out": 0,
        "photos": 32,
        "in_real_masks": 0,
        "probes": 64,
        "crowd": 0,
    }
    dlib, noise = table["recognisers"].values()
    assert dlib["metrics"]["accuracy"]["n"] == 50 * 24
    assert dlib["metrics"]["accuracy_masked"]["n"] == 50 * 12
    for figure in dlib["metrics"].values():
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert dlib["metrics"]["accuracy"]["value"] > noise["metrics"]["accuracy"]["value"] + 0.2
    (row,) = table["differences"]
    assert (row["of"], row["minus"]) == ("python:own_noise:Noise", "dlib")
    assert row["metrics"]["accuracy"]["high"] < 0
    missed = [miss for miss in noise["misses"] if not miss["masked"]]
    assert 0 < len(missed) < 32
    text = check_report(tmp_path)
    assert all(miss["image_id"] in text for miss in missed)
    assert "% more errors than dlib in accuracy, masked anchors (95% interval " in done.text()


def test_gallery_is_seeded_and_judges_a_recogniser_alike_whoever_else_is_compared(tmp_path, demo_faces, people):
    done, table = run(tmp_path / "a", demo_faces, people, protocol="gallery", draws=3)
    noise = ("python:own_noise:Noise",)
    _, again = run(tmp_path / "b", demo_faces, people, protocol="gallery", draws=3, recognisers=noise)
    metrics = table["recognisers"]["dlib"]["metrics"]
    assert set(metrics) == {
        *(f"{key}_{state}" for key in ("rank1", "rank5", "fpir", "fnir") for state in ("bare", "masked")),
        *("eer_masked", "dprime_masked"),
    }
    assert metrics["eer_masked"]["n"] == 32 * 31
    assert metrics["dprime_masked"]["low"] < metrics["dprime_masked"]["value"] < metrics["dprime_masked"]["high"]
    assert metrics["rank1_bare"]["n"] == metrics["rank1_masked"]["n"] == 3 * (32 - 4)
    assert metrics["rank5_bare"]["value"] == 1  # of four people everybody is among the first five
    assert metrics["rank1_bare"]["value"] >= metrics["rank1_masked"]["value"] - 0.1
    assert again["recognisers"][noise[0]]["metrics"] == table["recognisers"][noise[0]]["metrics"]
    assert again["differences"] == []
    text = check_report(tmp_path / "a")
    assert "Nearest neighbours" in text
    assert any(look.replace(":", ", ") in text for look in done.config.masks)


@pytest.mark.parametrize("protocol", ["gallery", "unmask"])
def test_own_textures_are_read_from_their_folder(protocol, tmp_path, demo_faces, people):
    with pytest.raises(DataError, match="none holds no picture"):
        run(
            tmp_path / "out",
            demo_faces,
            people,
            protocol=protocol,
            recognisers=("mrii",) if protocol == "unmask" else ("dlib",),
            masks=("cloth:own",),
            textures=str(tmp_path / "none"),
        )


def test_masks_can_be_of_own_pictures(tmp_path, demo_faces, people, own):
    (own / "own_red.py").write_text(OWN_RED)
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (60, 40), (255, 0, 0)).save(tmp_path / "pictures" / "red.png")
    options = {"protocol": "gallery", "draws": 1, "max_photos": 2, "recognisers": ("python:own_red:Red",)}
    run(tmp_path / "own", demo_faces, people, masks=("cloth:own",), textures=str(tmp_path / "pictures"), **options)
    run(tmp_path / "white", demo_faces, people, masks=("cloth:plain#ffffff",), **options)
    import own_red

    red, white = own_red.SEEN[: len(own_red.SEEN) // 2], own_red.SEEN[len(own_red.SEEN) // 2 :]
    assert len(red) == len(white) == 4 * 2 * 2, "bare and masked photos"
    redder = np.array(red) - np.array(white)
    assert (redder > 5).sum() == 8, "the masked ones"
    assert (redder == 0).sum() == 8


def test_pairs(tmp_path, demo_faces):
    images = tmp_path / "images"
    lines = []
    for person in sorted(demo_faces.iterdir())[:4]:
        (images / person.name).mkdir(parents=True)
        for number, path in enumerate(sorted(person.iterdir())[:4], 1):
            os.link(path, images / person.name / f"{person.name}_{number:04}.jpg")
    names = sorted(path.name for path in images.iterdir())
    for fold in (0, 1):
        lines += [f"{name}\t{1 + 2 * fold}\t{2 + 2 * fold}" for name in names]
        lines += [f"{a}\t{1 + fold}\t{b}\t{3 + fold}" for a, b in pairwise(names)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    done, table = run(tmp_path / "out", images, None, protocol="pairs", pairs=str(tmp_path / "pairs.txt"), mask="one")
    assert set(table["recognisers"]["dlib"]["metrics"]) == {"accuracy", "eer", "tar_1e-2", "tar_1e-3"}
    assert table["recognisers"]["dlib"]["metrics"]["accuracy"]["n"] == 14
    assert {probe.masked for probe in done.trial.probes} == {False, True}
    assert (done.trial.folds == np.repeat([0, 1], 7)).all()
    assert "the second masked" in check_report(tmp_path / "out")


@pytest.fixture(scope="module")
def worn(demo_faces, tmp_path_factory):
    """The last two of each demo person's eight photos in drawn masks, as files: 6c.jpg and 7r.jpg; the first photo of
    the first person is of nothing, and a stranger is among them. In another folder the other six, bare."""
    root = tmp_path_factory.mktemp("worn")
    drawing = Probes(Folder(demo_faces), masks=("surgical",), seed=5)
    for place, person in enumerate(sorted(demo_faces.iterdir())):
        (root / "bare" / person.name).mkdir(parents=True)
        (root / "masked" / person.name).mkdir(parents=True)
        *bare, first, last = sorted(person.iterdir())
        for path in bare:
            os.link(path, root / "bare" / person.name / path.name)
        for name, path in (("6c", first), ("7r", last)):
            photo = Photo(person.name, f"{person.name}/{path.name}")
            pixels = drawing.masked(photo, drawing.bare(photo))
            assert pixels is not None
            pixels = np.full((90, 80, 3), 200, np.uint8) if (name, place) == ("7r", 0) else pixels
            (root / "masked" / person.name / f"{name}.jpg").write_bytes(encode_jpeg(pixels))
    (root / "masked" / "stranger").mkdir()
    (root / "masked" / "stranger" / "1c.jpg").write_bytes(encode_jpeg(np.full((90, 80, 3), 200, np.uint8)))
    return root


def test_gallery_in_real_masks(tmp_path, worn, people):
    given = {"masked_images": str(worn / "masked"), "clean": "*c.*", "protocol": "gallery", "draws": 3}
    crowd = {"crowd": 2, "crowd_images": str(worn / "bare")}
    done, table = run(tmp_path, str(worn / "bare"), people, recognisers=("dlib",), **given, **crowd)
    assert table["counts"] == {
        "people": 4,
        "people_left_out": 0,
        "photos": 32,
        "in_real_masks": 8,
        "probes": 32,
        "crowd": 2,
    }
    metrics = table["recognisers"]["dlib"]["metrics"]
    assert metrics["rank1_masked"]["n"] == 3 * 8
    assert metrics["rank1_clean"]["n"] == 3 * 4
    assert metrics["rank1_bare"]["n"] == 3 * (24 - 4)
    assert metrics["eer_masked"]["n"] == 8 * 24
    assert metrics["eer_clean"]["n"] == 4 * 24
    first = sorted(path.name for path in (worn / "bare").iterdir())[0]
    assert [(miss["image_id"], miss["masked"]) for miss in table["recognisers"]["dlib"]["misses"]] == [
        (f"{first}/7r.jpg", True)
    ]
    assert metrics["dprime_masked"]["n"] == 7 * 24  # without the photo in which there is no face
    assert table["without_bare_photo"] == ["stranger"]
    assert "left out, without a photo under images: 1 under masked_images (stranger)" in done.text()
    assert "32 photos (8 in real masks), 32 probes" in done.text()
    assert "d' of all pairs, masked, *c.*" in done.text()
    text = check_report(tmp_path)
    for said in ("a real mask", "7r.jpg", "EER of all pairs, masked, *c.*", "1 under masked_images (stranger)"):
        assert said in text
    assert text.count("a real mask</small></div>") == 4  # a photo of each person, beside a bare one


def test_pairs_in_real_masks_drawn_and_from_a_file(tmp_path, worn, people):
    given = {"masked_images": str(worn / "masked"), "protocol": "pairs", "recognisers": ("dlib",)}
    done, table = run(tmp_path / "a", str(worn / "bare"), people, pairs="20", clean="*c.*", **given)
    assert table["recognisers"]["dlib"]["metrics"]["accuracy"]["n"] == 40
    assert 0 < table["recognisers"]["dlib"]["metrics"]["accuracy_clean"]["n"] < 40
    assert {tuple(done.trial.probes[row].masked for row in pair) for pair in done.trial.rows} == {(False, True)}
    assert {probe.source for probe in done.trial.probes if probe.masked} == {"masked_images"}
    assert "a real mask" in check_report(tmp_path / "a")

    one, two = sorted(path.name for path in (worn / "bare").iterdir())[1:3]
    photo = sorted(path.name for path in (worn / "bare" / one).iterdir())[0]
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(f"masked/{one}/6c.jpg\tbare/{one}/{photo}\nmasked/{two}/7r.jpg\tbare/{one}/{photo}\n")
    done, table = run(tmp_path / "b", str(worn / "bare"), None, pairs=str(pairs), **given)
    assert table["recognisers"]["dlib"]["metrics"]["eer"]["n"] == 2
    assert table["counts"]["in_real_masks"] == 2

    pairs.write_text(f"bare/{one}/{photo}\tbare/{one}/{photo}\n")
    with pytest.raises(DataError, match=r"names no photo masked/IDENTITY/photo[.]jpg; leave --masked-images out"):
        run(tmp_path / "c", str(worn / "bare"), None, pairs=str(pairs), **given)


def test_a_pattern_that_matches_nothing_ends_in_one_sentence(tmp_path, worn, people):
    given = ("--images", worn / "bare", "--masked-images", worn / "masked", "--people", people, "--clean", "*z.*")
    done = job_here("evaluate", "dlib", "--protocol", "gallery", *given, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("error: clean '*z.*' matches none of the 8 masked photos")


def test_people_in_real_masks_of_whom_none_is_bare(tmp_path, worn, people):
    (tmp_path / "others" / "nobody").mkdir(parents=True)
    os.link(worn / "masked" / "stranger" / "1c.jpg", tmp_path / "others" / "nobody" / "1.jpg")
    with pytest.raises(DataError, match=r"none of the 1 people under .*, such as nobody, has a photo under "):
        run(tmp_path, str(worn / "bare"), people, masked_images=str(tmp_path / "others"), protocol="gallery")


def job(*words, own=""):
    path = os.pathsep.join([str(ROOT), str(own)])
    return subprocess.run(
        [sys.executable, "-W", "ignore", ROOT / "jobs" / "evaluate.py", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_the_command_line(tmp_path, demo_faces, people, own):
    done = job(
        *("--images", demo_faces, "--people", f"{people}:val", "python:own_noise:Noise"),
        *("--protocol", "batch", "--max-photos", "6", "--batches", "5", "--out", tmp_path / "out"),
        own=own,
    )
    assert done.returncode == 0, done.stderr
    assert "2 people, 12 photos, 24 probes" in done.stdout
    assert str(tmp_path / "out" / "report.html") in done.stdout
    assert (tmp_path / "out" / "table.json").is_file()


def test_users_mistakes_end_in_one_sentence(tmp_path, demo_faces, people):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    given = {"--images": demo_faces, "--people": people, "--protocol": "gallery", "--out": tmp_path / "out"}
    for changed, said in (
        ({"--images": tmp_path / "empty"}, "holds no photo"),
        ({"--out": tmp_path / "file" / "out"}, "cannot be written"),
        ({"--protocol": "pairs"}, "protocol pairs needs --pairs FILE"),
        ({"--protocol": "verify"}, "verify"),
        ({"--people": f"{people}:tset"}, "'tset' is no split"),
    ):
        words = [word for pair in {**given, **changed}.items() for word in pair]
        done = job_here("evaluate", "bundle:nowhere" if "--out" not in changed else "dlib", *words)
        assert done.returncode == 2, said
        assert said in done.stderr
