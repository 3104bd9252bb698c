"""`prepare` with the real models on a real Ray cluster: good photos, every kind of bad one, and second runs."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from raymask.data.format.crop_index import locate_crops
from raymask.data.format.schema import prepared_schema
from raymask.data.format.splits import SplitConfig
from raymask.data.prepare.config import PrepareConfig
from raymask.data.prepare.part_worker import PartWorker
from raymask.data.prepare.photo_work import PhotoWorker
from raymask.data.prepare.photos import Photo
from raymask.data.prepare.preview import preview
from raymask.data.prepare.run import prepare
from raymask.demo_faces import Person, Shot, render
from raymask.errors import ConfigError, DataError, NoFaceError
from raymask.faces.images import encode_png
from raymask.faces.masks import draw_mask
from raymask.faces.masks.looks import TRAIN_LOOKS
from raymask.models.shipped import SHIPPED
from raymask.models.unmasker_parts import UnmaskerParts
from raymask.storage import Folder

pytestmark = pytest.mark.usefixtures("ray_cluster")

ROOT = Path(__file__).parent.parent.parent.parent


def rows_of(out: Path) -> list[dict]:
    return [row for file in sorted(out.glob("split=*/*.parquet")) for row in pq.ParquetFile(file).read().to_pylist()]


def dropped_of(out: Path) -> dict[str, str]:
    return {row["image_id"]: row["reason"] for row in pq.read_table(out / "dropped.parquet").to_pylist()}


def everything(out: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(p.relative_to(out)): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(out.rglob("*")) if p.is_file()
    }


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_rows_follow_the_contract(prepared, demo_faces):
    rows = rows_of(prepared)
    assert len(rows) == len({row["image_id"] for row in rows}) == 64
    for file in prepared.glob("split=*/*.parquet"):
        assert pq.ParquetFile(file).schema_arrow.equals(prepared_schema())
    for row in rows:
        bare, masked, covered = (pixels(row[name]) for name in ("image", "masked_image", "mask_map"))
        assert bare.shape == masked.shape == (224, 224, 3)
        assert covered.shape == (224, 224)
        assert set(np.unique(covered)) == {0, 255}
        changed = np.abs(bare.astype(int) - masked.astype(int)).max(axis=2)
        assert changed[covered == 255].mean() > 10 * changed[covered == 0].mean()
        assert row["mask_kind"] in TRAIN_LOOKS
        assert row["identity"] == row["image_id"].split("/")[0]
        left, top, right, bottom = row["box"]
        assert 0 < right - left < 250
        assert 0 < bottom - top < 250
        landmarks, points = np.array(row["landmarks"]), np.array(row["points"])
        eyes = [landmarks[36:42].mean(0), landmarks[42:48].mean(0)]
        assert points.shape == (5, 2)
        assert np.linalg.norm(points[:2] - eyes, axis=1).max() < 0.3 * np.linalg.norm(points[1] - points[0])
        assert landmarks.shape == (68, 2)
        assert np.abs(landmarks.mean(0) - 112).max() < 40


def test_splits_are_disjoint_in_identity(prepared):
    splits = json.loads((prepared / "splits.json").read_text())
    rows = rows_of(prepared)
    assert all(splits[row["identity"]] == row["split"] for row in rows)
    assert sorted(splits.values()) == ["test"] * 2 + ["train"] * 4 + ["val"] * 2
    for file in prepared.glob("split=*/*.parquet"):
        assert {f"split={row['split']}" for row in pq.ParquetFile(file).read().to_pylist()} == {file.parent.name}


def test_mask_kind_and_seed_redraw_the_mask(prepared, demo_faces):
    from raymask.faces import detect, subject
    from raymask.faces.crop import Square
    from raymask.faces.images import decode_photo

    row = rows_of(prepared)[0]
    photo = decode_photo((demo_faces / row["image_id"]).read_bytes(), row["image_id"])
    face = subject(detect(photo), photo.shape)
    _, mask_map = draw_mask(photo, face.landmarks, row["mask_kind"], row["mask_seed"])
    np.testing.assert_array_equal(Square.around(face.box).cut_map(mask_map), pixels(row["mask_map"]))


def test_rows_are_clustered_by_identity(prepared):
    for split in ("train", "val", "test"):
        names = [
            row["identity"]
            for file in sorted(prepared.glob(f"split={split}/*.parquet"))
            for row in pq.ParquetFile(file).read().to_pylist()
        ]
        assert names == sorted(names)


def test_a_sheet_and_a_summary_are_left(prepared):
    summary = json.loads((prepared / "summary.json").read_text())
    assert summary["photos"] == summary["rows"] + summary["dropped"] == 64
    assert summary["splits"]["train"] == {"people": 4, "rows": 32}
    assert min(pixels((prepared / "sheet.png").read_bytes()).shape[:2]) > 500
    assert not (prepared / "_parts").exists()


def test_a_second_run_changes_nothing(prepared, demo_faces):
    before = everything(prepared)
    config = PrepareConfig(
        images=str(demo_faces), out=str(prepared), split=SplitConfig(least_photos=4), photos_per_file=20, workers=1
    )
    assert prepare(config)["rows"] == 64
    assert everything(prepared) == before


def test_other_options_or_photos_are_refused(prepared, demo_faces):
    before = everything(prepared)
    with pytest.raises(DataError, match=r"other options \(split, seed changed\)"):
        prepare(PrepareConfig(images=str(demo_faces), out=str(prepared), seed=1, photos_per_file=20))
    assert everything(prepared) == before


def test_an_output_with_masks_takes_no_faces_without(prepared, demo_faces):
    repainter = UnmaskerParts(str(SHIPPED / "segmenter"), str(SHIPPED / "inpainter"))
    split = SplitConfig(least_photos=4)
    with pytest.raises(DataError, match=r"other options \(unmask changed\)"):
        prepare(PrepareConfig(images=str(demo_faces), out=str(prepared), split=split, photos_per_file=20), repainter)


def write_records(out: Path) -> None:
    """The records of all parts, as they are before a run ends."""
    (out / "_parts").mkdir()
    for file in out.glob("split=*/*.parquet"):
        name = f"{file.parent.name}/{file.name}"
        crops = locate_crops(file.read_bytes(), pq.read_table(file, partitioning=None).to_pylist(), name)
        record = out / "_parts" / f"{file.parent.name}-{file.name}.json"
        record.write_text(json.dumps({"crops": crops, "dropped": []}))


def test_what_an_earlier_version_prepared_is_refused_with_the_way_out(prepared, demo_faces, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(prepared, out)
    (out / "index.parquet").unlink()
    plan = json.loads((out / "plan.json").read_text())
    del plan["format"]
    (out / "plan.json").write_text(json.dumps(plan))
    before = everything(out)
    with pytest.raises(DataError, match=r"prepared by another version of raymask; prepare into another --out"):
        prepare(
            PrepareConfig(images=str(demo_faces), out=str(out), split=SplitConfig(least_photos=4), photos_per_file=20)
        )
    assert everything(out) == before


@pytest.mark.parametrize("last", ["dropped.parquet", "index.parquet", "sheet.png", "summary.json", "_parts"])
def test_a_run_that_dies_at_its_end_is_finished_by_the_next(prepared, demo_faces, tmp_path, monkeypatch, last):
    """It dies before it writes, or removes, each of the last things."""
    out = tmp_path / "out"
    shutil.copytree(prepared, out)
    for name in ("dropped.parquet", "index.parquet", "sheet.png", "summary.json"):
        (out / name).unlink()
    write_records(out)
    config = PrepareConfig(
        images=str(demo_faces), out=str(out), split=SplitConfig(least_photos=4), photos_per_file=20, workers=1
    )

    def dying(plain):
        def call(folder, name, *data):
            if name == last:
                raise KeyboardInterrupt
            return plain(folder, name, *data)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", dying(Folder.write))
        patch.setattr(Folder, "delete_folder", dying(Folder.delete_folder))
        with pytest.raises(KeyboardInterrupt):
            prepare(config)
    assert (out / "summary.json").exists() == (last == "_parts")
    assert prepare(config)["rows"] == 64
    assert {name: data for name, (data, _) in everything(out).items()} == {
        name: data for name, (data, _) in everything(prepared).items()
    }


def test_a_part_that_is_done_and_recorded_stays_as_it_is(prepared, demo_faces, tmp_path):
    """An actor that dies between its record and its answer is asked to do the part again."""
    out = tmp_path / "out"
    shutil.copytree(prepared, out)
    write_records(out)
    before = everything(out)
    worker = PartWorker(PrepareConfig(images=str(demo_faces), out=str(out)))
    photos = [["nobody", "nobody/missing.jpg"]]
    done = worker({"name": "split=val/00000.parquet", "split": "val", "photos": json.dumps(photos)})
    assert done == {"photos": 1, "error": ""}
    assert everything(out) == before


@pytest.mark.faults
def test_an_interrupted_run_continues_with_the_same_rows(prepared, demo_faces, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(prepared, out)
    for name in ("summary.json", "dropped.parquet", "index.parquet", "sheet.png", "split=train/00001.parquet"):
        (out / name).unlink()
    kept = (out / "split=train/00000.parquet").stat().st_mtime_ns
    write_records(out)
    config = PrepareConfig(
        images=str(demo_faces), out=str(out), split=SplitConfig(least_photos=4), photos_per_file=20, workers=1
    )
    prepare(config)
    assert rows_of(out) == rows_of(prepared)
    assert (out / "index.parquet").read_bytes() == (prepared / "index.parquet").read_bytes()
    assert (out / "split=train/00000.parquet").stat().st_mtime_ns == kept


@pytest.fixture(scope="module")
def bad_input(tmp_path_factory, ray_cluster):
    """A folder with one of each fault, and what `prepare` made of it."""
    root = tmp_path_factory.mktemp("bad")

    def save(name: str, image: Image.Image, **options) -> None:
        (root / name).parent.mkdir(exist_ok=True)
        image.save(root / name, **options)

    def portrait(seed: int) -> Image.Image:
        return Image.fromarray(render(Person.invent(seed), Shot.invent(seed)).image)

    for number in range(2):
        save(f"anna/good_{number}.jpg", portrait(number))
    save("anna/grey.png", portrait(2).convert("L"))
    save("anna/cmyk.jpg", portrait(3).convert("CMYK"))
    crowd = Image.new("RGB", (750, 250), "grey")
    crowd.paste(portrait(4), (250, 0))
    for place, seed in enumerate((5, 6, 7, 8)):
        crowd.paste(portrait(seed).resize((125, 125)), (60 + 500 * (place % 2), 125 * (place // 2)))
    save("anna/five.png", crowd)
    save("bert/only.jpg", portrait(9))
    save("bert/wall.jpg", Image.new("RGB", (250, 250), "white"))
    save("bert/dot.png", Image.new("RGB", (1, 1)))
    save("bert/huge.png", Image.new("1", (12_000, 12_000)))
    (root / "bert/text.jpg").write_text("I am no image")
    (root / "bert/notes.txt").write_text("I do not even try to be one")
    whole = (root / "anna/good_0.jpg").read_bytes()
    (root / "bert/cut.jpg").write_bytes(whole[: len(whole) // 2])
    out = tmp_path_factory.mktemp("bad_out") / "out"
    summary = prepare(PrepareConfig(images=str(root), out=str(out), workers=1))
    return root, out, summary


def test_bad_photos_are_dropped_by_name_and_reason_and_the_rest_goes_on(bad_input):
    root, out, summary = bad_input
    dropped = dropped_of(out)
    assert {name: reason for name, reason in dropped.items() if not reason} == {}
    expected = {
        "bert/wall.jpg": "no face found",
        "bert/dot.png": "1x1 pixels is too small",
        "bert/huge.png": "144 megapixels, over the limit",
        "bert/text.jpg": "not a JPEG, PNG or WebP image",
        "bert/cut.jpg": "damaged image",
        "bert/notes.txt": "not a photo by its name",
    }
    assert set(dropped) == set(expected)
    assert all(words in dropped[name] for name, words in expected.items())
    files = [path for path in root.rglob("*") if path.is_file()]
    assert summary["photos"] == len(files) == len(rows_of(out)) + len(dropped)


def test_grey_cmyk_crowds_and_single_photos_are_no_faults(bad_input):
    _, out, _ = bad_input
    rows = {row["image_id"]: row for row in rows_of(out)}
    assert set(rows) == {f"anna/{n}" for n in ("good_0.jpg", "good_1.jpg", "grey.png", "cmyk.jpg", "five.png")} | {
        "bert/only.jpg"
    }
    grey = pixels(rows["anna/grey.png"]["image"]).astype(int)
    assert np.abs(grey - grey.mean(axis=2, keepdims=True)).max() <= 2
    left, _, right, _ = rows["anna/five.png"]["box"]
    assert 250 < (left + right) / 2 < 500  # the subject in the middle


def test_a_preview_shows_what_would_be_drawn_and_prepares_nothing(demo_faces, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "jobs/prepare.py", "--images", demo_faces, "--out", tmp_path / "out"),
            *("--preview", "6", "--masks", "cloth:plain#22aa33,surgical@chin,hand"),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"look at {tmp_path}/out/preview.png"
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["preview.png"]
    sheet = pixels((tmp_path / "out" / "preview.png").read_bytes())
    assert sheet.shape[0] > 2 * 150, "two lines of four"
    (tmp_path / "nobody" / "wall").mkdir(parents=True)
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "nobody" / "wall" / "1.jpg")
    with pytest.raises(NoFaceError, match="no face was found in 1 photos"):
        preview(PrepareConfig(images=str(tmp_path / "nobody"), out=str(tmp_path / "none")), 4)


def test_everybody_in_a_photo_can_wear_a_mask(tmp_path):
    """A small face beside the subject's: one map of both masks, the subject's as when it is masked alone."""
    canvas, other = (render(Person.invent(seed), Shot.invent(seed)).image for seed in (1, 5))
    canvas[90:200, 140:250] = cv2.resize(other, (110, 110), interpolation=cv2.INTER_AREA)
    data = encode_png(canvas)
    photo = Photo("two", "two/1.png")
    alone, both = (
        PhotoWorker(masks=("surgical",), seed=3, everybody=everybody)(photo, "train", data)
        for everybody in (False, True)
    )
    assert (alone["mask_kind"], alone["mask_seed"]) == (both["mask_kind"], both["mask_seed"])
    one, two = (pixels(row["mask_map"]) > 0 for row in (alone, both))
    # The other's mask changes the light, by which the shadow of this one ends a pixel earlier here and there.
    assert (one & ~two).sum() < 0.002 * one.sum()
    changed = np.abs(pixels(alone["masked_image"]).astype(int) - pixels(both["masked_image"])).max(axis=2) > 40
    assert two.sum() > one.sum(), "the other's mask reaches into the crop"
    assert changed[two & ~one].mean() > 0.5


@pytest.mark.faults
def test_masks_can_be_of_own_pictures_which_must_stay_the_same(demo_faces, tmp_path, capsys):
    faces, own = tmp_path / "faces", tmp_path / "own"
    for name in sorted(path.name for path in demo_faces.iterdir())[:2]:
        (faces / name).mkdir(parents=True)
        for file in sorted((demo_faces / name).glob("*.jpg"))[:3]:
            shutil.copy(file, faces / name)
    own.mkdir()
    for name, colour in (("red", (230, 20, 20)), ("blue", (20, 20, 230))):
        Image.new("RGB", (60, 40), colour).save(own / f"{name}.png")
    (own / "notes.txt").write_text("no picture")
    config = PrepareConfig(
        images=str(faces), out=str(tmp_path / "out"), masks=("cloth:own",), textures=str(own), photos_per_file=4
    )
    assert prepare(config)["rows"] == 6
    assert f"textures: 1 of 3 files in {own} cannot be used as pictures: notes.txt" in capsys.readouterr().out
    rows = rows_of(tmp_path / "out")
    inks = [np.median(pixels(row["masked_image"])[pixels(row["mask_map"]) > 0], axis=0) for row in rows]
    assert {row["mask_kind"] for row in rows} == {"cloth:own"}
    assert {int(np.argmax(ink)) for ink in inks} == {0, 2}, "some are red, some are blue"
    assert all(max(ink[0], ink[2]) > 2 * ink[1] for ink in inks)
    before = everything(tmp_path / "out")
    shutil.copytree(own, tmp_path / "moved")
    assert prepare(replace(config, textures=str(tmp_path / "moved")))["rows"] == 6
    assert everything(tmp_path / "out") == before
    (own / "red.png").unlink()
    with pytest.raises(DataError, match=r"prepared with other options \(textures changed\)"):
        prepare(config)
    with pytest.raises(DataError, match="the pictures in textures are not the same on all machines"):
        PartWorker(config)


def test_a_hand_is_written_with_an_empty_map(demo_faces):
    file = next(iter(sorted(demo_faces.glob("*/*.jpg"))))
    row = PhotoWorker(masks=("hand",), seed=0)(Photo("ann", "ann/1.jpg"), "train", file.read_bytes())
    assert row["mask_kind"] == "hand"
    assert not pixels(row["mask_map"]).any()
    assert (np.abs(pixels(row["image"]).astype(int) - pixels(row["masked_image"])).max(axis=2) > 10).mean() > 0.08


def test_masks_can_be_taken_off_again(demo_faces):
    """By what comes with raymask: the mask is gone, and all else is as in the photo with the mask."""
    file = sorted(demo_faces.glob("*/*.jpg"))[3]
    repaint = UnmaskerParts(str(SHIPPED / "segmenter"), str(SHIPPED / "inpainter")).load()
    worn, painted = (
        PhotoWorker(masks=("surgical",), seed=0, repaint=given)(Photo("ann", "a/1.jpg"), "train", file.read_bytes())
        for given in (None, repaint)
    )
    covered = pixels(worn["mask_map"]) > 0
    assert np.array_equal(pixels(painted["mask_map"]) > 0, covered)
    bare, masked, shown = (
        pixels(picture).astype(int) for picture in (worn["image"], worn["masked_image"], painted["masked_image"])
    )
    near = cv2.dilate(covered.astype(np.uint8), np.ones((17, 17))) > 0
    assert np.abs(shown - masked)[~near].mean() < 1, "but for what JPEG makes of the difference"
    assert np.abs(shown - bare)[covered].mean() < 0.6 * np.abs(masked - bare)[covered].mean()


@pytest.mark.faults
def test_people_left_out_are_dropped_counted_and_kept_with_the_plan(demo_faces, tmp_path):
    people = sorted(folder.name for folder in demo_faces.iterdir())
    file, named = tmp_path / "people.json", tmp_path / "named.txt"
    file.write_text(json.dumps({"demo": {"first": people[:3], "others": [*people[4:], "Nobody"]}}))
    named.write_text("\n".join(people[2:4]))
    config = PrepareConfig(images=str(demo_faces), out=str(tmp_path / "out"), leave_out=str(file), workers=1)
    summary = prepare(config)
    assert summary["left_out"] == {"people": 7, "photos": 56}
    assert summary["rows"] == 8
    assert {row["identity"] for row in rows_of(tmp_path / "out")} == {people[3]}
    dropped = dropped_of(tmp_path / "out")
    assert len(dropped) == summary["dropped"] == 56
    assert set(dropped.values()) == {f"its person is left out by {file}"}
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["leave_out"] == sorted(
        {*people, "Nobody"} - {people[3]}
    )

    assert prepare(config) == summary
    file.write_text(json.dumps(people[:3]))
    with pytest.raises(DataError, match=r"other options \(leave_out changed\)"):
        prepare(config)
    file.write_text(json.dumps(people[2:4]))
    with pytest.raises(DataError, match="names everybody whom --identities names"):
        prepare(replace(config, identities=str(named)))


def test_an_output_that_cannot_be_written_ends_in_a_sentence(demo_faces, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be written .*choose another folder"):
        prepare(PrepareConfig(images=str(demo_faces), out=str(tmp_path / "file" / "out")))


@pytest.mark.faults
def test_a_disk_that_fills_ends_in_a_sentence_and_keeps_what_is_done(prepared, demo_faces, small_disk, ray_cluster):
    out = small_disk / "out"
    done = {file.relative_to(prepared): file.stat().st_size for file in (prepared / "split=train").iterdir()}
    filler = small_disk / "filler"
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(
        bytes(free - sum(done.values()) - 150_000)
    )  # enough for the records, too little for another part
    config = PrepareConfig(
        images=str(demo_faces), out=str(out), split=SplitConfig(least_photos=4), photos_per_file=20, workers=1
    )
    with pytest.raises(DataError, match=r"^\S+ cannot be written .*No space left"):
        prepare(config)
    kept = {name: (out / name).stat().st_mtime_ns for name in done}
    filler.unlink()
    assert prepare(config)["rows"] == 64
    assert rows_of(out) == rows_of(prepared)
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept


@pytest.mark.faults
def test_a_run_killed_three_times_over_continues_to_the_same_rows(prepared, demo_faces, tmp_path, ray_cluster):
    """SIGKILL of a worker, after which the run goes on, of the driver, of the whole cluster; the rows are the same."""
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "jobs" / "prepare.py"), "--images", str(demo_faces), "--out", str(out)]
    command += ["--split.least-photos", "4", "--photos-per-file", "4", "--workers", "1"]

    def run_to(parts: int) -> subprocess.Popen[bytes]:
        run = subprocess.Popen(command, env=os.environ | {"RAY_ADDRESS": "local"}, stdout=subprocess.DEVNULL)
        wait_for(run, parts)
        return run

    def wait_for(run: subprocess.Popen[bytes], parts: int) -> None:
        while len(list(out.glob("_parts/*"))) < parts:
            assert run.poll() is None, "ended before it could be killed"
            time.sleep(0.02)

    driver = run_to(2)
    (worker,) = [pid for pid in descendants(driver.pid) if "PartWorker" in name_of(pid)]
    os.kill(worker, signal.SIGKILL)
    wait_for(driver, 5)
    driver.kill()
    driver.wait()

    second = run_to(len(list(out.glob("_parts/*"))) + 2)
    for pid in [second.pid, *descendants(second.pid)]:
        os.kill(pid, signal.SIGKILL)
    second.wait()
    there = {file: file.stat().st_mtime_ns for file in out.glob("_parts/*")}
    assert 7 <= len(there) < 16
    assert not (out / "summary.json").exists()

    config = PrepareConfig(
        images=str(demo_faces), out=str(out), split=SplitConfig(least_photos=4), photos_per_file=4, workers=1
    )
    assert prepare(config)["rows"] == 64
    by_id = {row["image_id"]: row for row in rows_of(prepared)}
    assert {row["image_id"]: row for row in rows_of(out)} == by_id
    assert len(rows_of(out)) == 64


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that these have."""
    children = [int(one) for file in Path(f"/proc/{pid}/task").glob("*/children") for one in file.read_text().split()]
    return [one for child in children for one in (child, *descendants(child))]


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_a_folder_without_a_usable_photo_is_an_error_that_names_the_first(tmp_path, ray_cluster):
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "x.jpg").write_text("no image")
    config = PrepareConfig(images=str(tmp_path / "in"), out=str(tmp_path / "out"), workers=1)
    with pytest.raises(DataError, match=r"no photo could be prepared; the first of 1: a/x\.jpg: not a JPEG"):
        prepare(config)
    assert not (tmp_path / "out" / "summary.json").exists()


def test_impossible_options_are_refused():
    with pytest.raises(ConfigError, match="min_photos must be 1 or more"):
        PrepareConfig(images="a", out="b", min_photos=0)
    with pytest.raises(ConfigError, match="paper-bag"):
        PrepareConfig(images="a", out="b", masks=("paper-bag",))
