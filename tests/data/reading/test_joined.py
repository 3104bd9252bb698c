"""Several prepared folders as one: the same photos, in order, of people who are told apart."""

import shutil

import numpy as np
import pytest

from raymask.data.augment.morphs import MorphedStore
from raymask.data.reading.crops import CropStore
from raymask.data.reading.joined import JoinedCrops, absolute_data, folders_of, folders_with, open_crops
from raymask.data.reading.sampler import BatchPhoto
from raymask.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def folders(prepared) -> dict[str, str]:
    """The demo faces whole, a copy of them by which nobody is validated, and one with nobody to train on."""
    made = {"whole": str(prepared)}
    for name, missing in (("no_val", "val"), ("no_train", "train")):
        copy = prepared.parent / f"{prepared.name}_{name}"
        shutil.copytree(prepared, copy, dirs_exist_ok=True)
        shutil.rmtree(copy / f"split={missing}", ignore_errors=True)
        made[name] = str(copy)
    return made


@pytest.mark.parametrize("data", ["a,b", "a, b", ("a", "b"), ["a", "b"]])
def test_folders_are_named_with_commas_or_as_a_list(data):
    assert folders_of(data) == ("a", "b")


def test_a_single_folder_stays_a_string():
    assert folders_of("s3://bucket/faces") == ("s3://bucket/faces",)
    assert absolute_data("/a") == absolute_data(("/a",)) == "/a"
    assert absolute_data("/a,s3://b/c") == ("/a", "s3://b/c")


@pytest.mark.parametrize(
    ("data", "message"),
    [("", "must name a folder"), ("a,,b", "must name a folder"), ((), "must name a folder"), ("a,b,./a", "a twice")],
)
def test_no_folder_and_one_named_twice_are_refused(data, message):
    with pytest.raises(ConfigError, match=f"data .*{message}"):
        folders_of(data)


def test_one_folder_is_opened_as_it_is(folders):
    assert isinstance(open_crops(folders["whole"], "train"), CropStore)
    assert isinstance(open_crops(f"{folders['no_train']},{folders['whole']}", "train"), CropStore)


def test_people_of_two_folders_are_different_people(folders):
    one, both = CropStore(folders["whole"], "train"), open_crops((folders["no_val"], folders["whole"]), "train")
    assert isinstance(both, JoinedCrops)
    assert len(both) == 2 * len(one) == 64
    assert both.people == [*one.people, *one.people]
    assert both.identities.tolist() == [*one.identities, *(one.identities + 4)]
    for name in ("landmarks", "points"):
        single, double = getattr(one, name)(quiet=True), getattr(both, name)(quiet=True)
        assert np.array_equal(double, np.concatenate([single, single]))


def test_shots_keep_their_order_whichever_folder_they_lie_in(folders):
    one = {name: CropStore(folders["whole"], name) for name in ("train", "val")}
    both = JoinedCrops([one["val"], one["train"]])  # 16 and 32 photos
    rows = [40, 3, 15, 16, 47, 0, 16]
    shots = [BatchPhoto(row, masked=place % 2 == 0) for place, row in enumerate(rows)]
    pixels = both.pixels(shots, 56)
    assert pixels.shape == (7, 3, 56, 56)
    for shot, seen in zip(shots, pixels, strict=True):
        store, first = (one["val"], 0) if shot.row < 16 else (one["train"], 16)
        assert np.array_equal(seen, store.pixels([BatchPhoto(shot.row - first, shot.masked)], 56)[0])
    assert both.pixels([], 56).shape == (0, 3, 56, 56)


def test_morphs_are_made_across_folders(folders):
    both = open_crops((folders["no_val"], folders["whole"]), "train")
    morphed = MorphedStore(both, 60, 0, quiet=True)
    assert len(morphed) == 124
    assert len(set(morphed.identities.tolist())) == 68
    across = [(first < 32) != (second < 32) for first, second in morphed._pairs]
    assert 0 < sum(across) < 60
    shots = [BatchPhoto(64 + across.index(True), False), BatchPhoto(50, True)]
    assert morphed.pixels(shots, 48).reshape(2, -1).std(axis=1).min() > 5
    assert np.array_equal(morphed.pixels(shots, 48)[1], both.pixels(shots[1:], 48)[0])


def test_folders_without_a_split_are_passed_over_as_long_as_one_has_it(folders, tmp_path):
    data = (folders["no_val"], folders["whole"], folders["no_train"])
    assert folders_with(data, "val") == (folders["whole"], folders["no_train"])
    assert len(open_crops(data, "val")) == 32
    assert len(open_crops(data, "train")) == 64
    assert folders_with(folders["no_val"], "val") == ()
    copy = shutil.copytree(folders["no_val"], tmp_path / "copy")
    with pytest.raises(DataError, match=r"no folder of \S+_no_val, \S+copy holds prepared faces of split val"):
        open_crops((folders["no_val"], str(copy)), "val")


def test_the_folder_at_fault_is_named(folders, tmp_path):
    with pytest.raises(DataError, match=rf"^{tmp_path} holds no prepared faces of split train; make them with"):
        open_crops((folders["whole"], str(tmp_path)), "train")
    broken = tmp_path / "broken"
    shutil.copytree(folders["whole"], broken)
    (broken / "index.parquet").unlink()
    with pytest.raises(DataError, match=rf"^{broken} has no index\.parquet"):
        open_crops((folders["whole"], str(broken)), "train")
    shutil.copy(f"{folders['whole']}/index.parquet", broken)
    for file in (broken / "split=train").iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    joined = open_crops((folders["whole"], str(broken)), "train")
    assert joined.pixels([BatchPhoto(31, True)], 48).any()
    with pytest.raises(DataError, match=rf"^{broken}/split=train/\S+ is cut short"):
        joined.pixels([BatchPhoto(31, True), BatchPhoto(32, True)], 48)
    with pytest.raises(DataError, match=rf"^{broken}/split=train/\S+ has no landmarks"):
        joined.landmarks(quiet=True)
