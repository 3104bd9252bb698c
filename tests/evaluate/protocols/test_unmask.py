"""MRII, fusion and protocol `unmask` on invented people, with networks that were trained for seconds."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.jobs import job_here

from raymask.errors import ConfigError, DataError, ModelError
from raymask.evaluate import evaluate, load_recogniser
from raymask.evaluate.calibrate import Scores, fit_weights, fuse
from raymask.evaluate.calibrate_config import FuseConfig
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.protocols.unmask_fillers import FILLERS
from raymask.evaluate.protocols.unmask_measures import PictureJudge
from raymask.evaluate.protocols.unmask_result import TITLES
from raymask.faces import detect, draw_mask, subject
from raymask.faces.images import decode_photo
from raymask.models import load_bundle, save_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.teacher import load_teacher
from raymask.recognisers.photo_cache import spared_seconds

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def people(demo_faces, tmp_path_factory):
    names = sorted(path.name for path in demo_faces.iterdir())
    path = tmp_path_factory.mktemp("splits") / "splits.json"
    path.write_text(json.dumps(dict(zip(names, ["test"] * 3 + ["val"] * 3 + ["train"] * 2, strict=True))))
    return str(path)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """An embedder of ours, as it is made: it knows nobody, but it is none that taught the inpainter."""
    torch.manual_seed(0)
    network = MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", input_size=64, embedding_size=32, dropout=0))
    return save_bundle(tmp_path_factory.mktemp("judge") / "judge", network, preprocessing={})


@pytest.fixture(scope="module")
def mrii(unmask_bundles):
    segmenter, inpainter = unmask_bundles
    return f"mrii:{segmenter},{inpainter}"


@pytest.fixture(scope="module")
def photos(demo_faces):
    """Three photos, each bare and masked."""
    bare = [decode_photo(path.read_bytes(), path.name) for path in sorted(demo_faces.glob("*/*.jpg"))[::20][:3]]
    faces = [subject(detect(photo), photo.shape) for photo in bare]
    masked = [draw_mask(p, f.landmarks, "surgical", 4)[0] for p, f in zip(bare, faces, strict=True)]
    return bare, masked


def test_mrii_asks_the_embedder_about_the_face_without_its_mask(mrii, photos):
    recogniser, plain = load_recogniser(f"{mrii},dlib"), load_recogniser("dlib")
    embeddings, found = recogniser.embed(photos[1])
    assert found.all()
    without, seen = plain.embed([recogniser.unmask(photo).photo for photo in photos[1]])
    assert seen.any()  # not all: what an inpainter paints that has only begun to learn may be no face to the detector
    masked, _ = plain.embed(photos[1])
    assert np.allclose(embeddings, np.where(seen[:, None], without, masked), atol=1e-5)  # rounding, by batches
    assert not np.isclose(embeddings[seen], masked[seen], atol=1e-3).all(axis=1).any()


def test_where_the_embedder_finds_no_face_it_sees_the_photo_as_it_was(mrii, photos):
    recogniser = load_recogniser(f"{mrii},dlib")

    class SeesMasksOnly:
        def embed(self, given):
            found = np.array([any(np.array_equal(photo, one) for one in photos[1]) for photo in given])
            return np.tile(np.eye(4, dtype=np.float32)[0], (len(given), 1)) * found[:, None], found

    recogniser.embedder = SeesMasksOnly()
    embeddings, found = recogniser.embed(photos[1])
    assert found.all()
    assert (embeddings[:, 0] == 1).all()


def test_a_photo_without_a_face_is_not_found(mrii):
    _, found = load_recogniser(f"{mrii},dlib").embed([np.full((120, 120, 3), 128, np.uint8)])
    assert not found.any()


@pytest.mark.parametrize("spec", ["mrii:a", "mrii:a,b", "mrii:a,,dlib"])
def test_mrii_takes_three_parts(spec):
    with pytest.raises(ConfigError, match="it takes mrii:SEGMENTER,INPAINTER,EMBEDDER"):
        load_recogniser(spec)


@pytest.fixture(scope="module")
def fused(mrii, demo_faces, people, judge, tmp_path_factory):
    config = FuseConfig(
        recognisers=(f"bundle:{judge}", f"{mrii},dlib"),
        images=str(demo_faces),
        people=f"{people}:val",
        out=str(tmp_path_factory.mktemp("fused") / "both"),
        max_photos=4,
        draws=5,
    )
    return fuse(config)


def test_a_fusion_weighs_the_better_part_and_moves_with_its_files(fused, photos, tmp_path):
    names = list(fused.weights)
    assert sum(fused.weights.values()) == pytest.approx(1)
    assert fused.weights[names[1]] > fused.weights[names[0]]
    assert fused.rank1["fused"][0] >= fused.rank1[names[0]][0]
    assert set(fused.thresholds) == {"bare_1e-2", "bare_1e-3", "masked_1e-2", "masked_1e-3"}
    assert fused.thresholds["masked_1e-3"] >= fused.thresholds["masked_1e-2"]
    recogniser = load_recogniser(f"fused:{fused.folder}")
    moved = fused.folder.rename(tmp_path / "elsewhere")
    again = load_recogniser(f"fused:{moved}")
    first, found = recogniser.embed(photos[0])
    assert found.all()
    assert np.array_equal(again.embed(photos[0])[0], first)
    parts = [load_recogniser(name).embed(photos[0])[0] for name in names]
    wanted = sum(w * part @ part.T for w, part in zip(fused.weights.values(), parts, strict=True))
    assert np.allclose(first @ first.T, wanted, atol=1e-5)
    config = load_bundle(moved, "Fusion").config
    assert config["thresholds"] == pytest.approx(dict(fused.thresholds))
    ranked = config["metrics"]["validation_rank1"]
    assert ranked == {
        name: list(fused.rank1[of]) for name, of in zip(("part 0", "part 1", "fused"), fused.rank1, strict=True)
    }
    moved.rename(fused.folder)


def test_a_fusion_and_its_part_take_each_mask_off_once(fused, mrii, photos):
    load_recogniser(f"{mrii},dlib").embed(photos[1])
    before = spared_seconds()
    load_recogniser(f"fused:{fused.folder}").embed(photos[1])
    assert spared_seconds() > before


def test_weights_follow_who_knows_people():
    rng = np.random.default_rng(0)
    people, photos = 6, 60
    identities = np.arange(photos) % people
    knows, half, noise = (
        share * np.eye(people)[identities] + rng.normal(0, 0.4, (photos, people)) for share in (1, 0.5, 0)
    )

    def scores(*parts):
        for rows in np.array_split(np.arange(photos), 3):
            yield Scores(np.stack(parts)[:, rows], identities[rows], np.ones(len(rows)))

    weights = fit_weights(lambda: scores(knows, half, noise), 3)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > weights[1] > weights[2]
    assert weights[2] < 0.15
    assert fit_weights(lambda: scores(0 * noise, 0 * noise), 2) == pytest.approx([0.5, 0.5])


def test_the_weights_are_the_most_probable():
    rng = np.random.default_rng(1)
    identities = np.arange(40) % 4
    parts = np.stack([share * np.eye(4)[identities] + rng.normal(0, 0.5, (40, 4)) for share in (1, 0.6)])
    counts = rng.uniform(0.5, 2, 40)
    found = fit_weights(lambda: iter([Scores(parts, identities, counts)]), 2)

    def probability(first, second):
        logits = first * parts[0] + second * parts[1]
        chosen = np.exp(logits[np.arange(40), identities]) / np.exp(logits).sum(1)
        return (counts * np.log(chosen)).sum()

    grid = np.linspace(0, 12, 121)
    best = max(((a, b) for a in grid for b in grid), key=lambda pair: probability(*pair))
    assert found[0] == pytest.approx(best[0] / sum(best), abs=0.03)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recognisers": ()}, "recognisers is empty; name one or more"),
        ({"recognisers": ("dlib", "dlib")}, "named twice"),
        ({"recognisers": ("dlib", "fused:x")}, "'fused:x' cannot be a part of a bundle; a part"),
        (
            {"recognisers": ("dlib", "mrii:a,b,fused:x")},
            "'fused:x' cannot be a part of a bundle; a part",
        ),
        ({"out": "s3://bucket/f"}, "out must be a local folder"),
        ({"people": "splits.json"}, "test people are not calibrated on; name splits.json:val"),
        ({"people": "s.json:train"}, "train people are not calibrated on; name s.json:val"),
    ],
)
def test_fusions_that_cannot_be_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        FuseConfig(**{"recognisers": ("dlib", "facenet"), "images": "x", "people": "s.json:val", "out": "o"} | changes)


@pytest.fixture(scope="module")
def unmasked(mrii, judge, demo_faces, people, tmp_path_factory):
    out = tmp_path_factory.mktemp("unmask")
    config = EvaluateConfig(
        protocol="unmask",
        recognisers=(f"{mrii},bundle:{judge}",),
        images=str(demo_faces),
        people=people,
        out=str(out),
        max_photos=2,
        resamples=100,
    )
    return evaluate(config), out


def test_pictures_are_measured_beside_plain_fillers(unmasked):
    done, out = unmasked
    table = json.loads((out / "table.json").read_text())
    (method,) = (name for name in table["methods"] if name not in FILLERS)
    assert set(table["methods"]) == {method, *FILLERS}
    for figures in table["methods"].values():
        assert set(figures) == set(TITLES)
        assert all(one["low"] <= one["value"] <= one["high"] for one in figures.values())
    masked = table["methods"]["masked photo"]
    assert masked["ssim_hole"]["value"] < masked["ssim_crop"]["value"] < 1
    gain = table["gains"][method]["masked photo"]["psnr_hole"]["value"]
    assert gain == pytest.approx(table["methods"][method]["psnr_hole"]["value"] - masked["psnr_hole"]["value"])
    assert table["counts"] == {"people": 3, "photos": 6}
    assert "identity similarity" in done.text()


def test_the_report_shows_a_grid(unmasked):
    from PIL import Image

    done, out = unmasked
    page = (out / "report.html").read_text()
    assert page.count("<img") == 7 * len(done.examples) == 21
    for title in ("bare", "masked", "map found", "edges", "unmasked", "Telea"):
        assert f">{title}</th>" in page
    assert "http" not in page.replace("http-equiv", "")
    with Image.open(out / "grid.png") as grid:
        size = grid.size
    assert size == (7 * 154 - 4, 22 + 3 * 154)


def test_the_teacher_does_not_judge(mrii, demo_faces, people, tmp_path):
    config = EvaluateConfig(
        protocol="unmask", recognisers=(f"{mrii},dlib",), images=str(demo_faces), people=people, out=str(tmp_path)
    )
    with pytest.raises(ConfigError, match="learned from dlib, which cannot judge its pictures; name another"):
        evaluate(config)


@pytest.mark.parametrize(
    ("second", "said"),
    [("mrii:other,{1},bundle:x", "one segmenter, and these name"), ("mrii:{0},{1},dlib", "one judge, and these name")],
)
def test_pictures_are_compared_alike(mrii, demo_faces, people, tmp_path, second, said):
    parts = mrii.removeprefix("mrii:").split(",")
    config = EvaluateConfig(
        protocol="unmask",
        recognisers=(f"{mrii},bundle:x", second.format(*parts)),
        images=str(demo_faces),
        people=people,
        out=str(tmp_path),
    )
    with pytest.raises(ConfigError, match=said):
        evaluate(config)


def test_other_recognisers_make_no_pictures():
    with pytest.raises(ConfigError, match="takes mrii:SEGMENTER,INPAINTER,EMBEDDER only, not 'dlib'"):
        EvaluateConfig(protocol="unmask", recognisers=("dlib",), images="x", people="s.json", out="o")


def test_picture_measures_by_hand():
    judge = PictureJudge(load_teacher("dlib"))
    rng = np.random.default_rng(0)
    true = rng.integers(60, 190, (224, 224, 3), dtype=np.uint8)
    points = np.array([(80, 90), (144, 90), (112, 125), (88, 155), (136, 155)], np.float32)
    hole = np.zeros((224, 224), bool)
    hole[112:] = True
    same = judge.compare(true, true, hole, points)
    assert (same["psnr_crop"], same["lpips_hole"]) == (60.0, 0.0)
    assert same["ssim_crop"] == pytest.approx(1)
    made = true.copy()
    made[hole] += 10
    found = judge.compare(made, true, hole, points)
    assert found["psnr_hole"] == pytest.approx(10 * np.log10(255**2 / 100))
    assert found["psnr_crop"] == pytest.approx(10 * np.log10(255**2 / 50))
    assert found["ssim_hole"] < found["ssim_crop"] < 1
    assert found["lpips_crop"] > 0


def test_fillers_leave_what_is_known():
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    hole = np.zeros((64, 64), bool)
    hole[30:50, 20:40] = True
    for name, fill in FILLERS.items():
        filled = fill(crop, hole)
        assert np.array_equal(filled[~hole], crop[~hole]), name
    assert np.ptp(FILLERS["mean colour"](crop, hole)[hole], axis=0).max() == 0


def test_the_command_line_fuses_and_names_what_is_missing(mrii, demo_faces, people, tmp_path):
    options = ["--images", demo_faces, "--people", f"{people}:val", "--out", tmp_path / "f"]
    done = job_here("fuse", "dlib", f"{mrii.replace('segmenter', 'nowhere', 1)},dlib", *options)
    assert done.returncode == 2
    assert "jobs/train_segmenter.py" in done.stderr


def test_a_folder_that_is_no_fusion_is_not_replaced(mrii, demo_faces, people, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "precious").touch()
    config = FuseConfig(
        recognisers=("dlib", f"{mrii},dlib"), images=str(demo_faces), people=f"{people}:val", out=str(tmp_path / "runs")
    )
    with pytest.raises(DataError, match="runs is there and is not a fusion"):
        fuse(config)
    assert (tmp_path / "runs" / "precious").exists()


@pytest.mark.parametrize("judge", ["facenet", "python:m:x", "bundle:s3://b/x"])
def test_judges_that_cannot_look_at_pictures_are_refused(judge):
    with pytest.raises(ConfigError, match=r"is judged by sface, dlib, a local onnx:FILE or bundle:DIR, not"):
        EvaluateConfig(protocol="unmask", recognisers=(f"mrii:a,b,{judge}",), images="x", people="s.json", out="o")


def test_a_damaged_part_of_a_fusion_is_named(fused, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(fused.folder, copy)
    weights = copy / "parts" / "1" / "inpainter" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="is damaged: its checksum"):
        load_recogniser(f"fused:{copy}")
