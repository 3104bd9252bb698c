"""Crops read one by one: exactly their bytes, as prepare wrote them."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from raymask.data.format.crop_index import IndexWriter, locate_crops
from raymask.data.format.schema import parquet_file, prepared_schema
from raymask.data.reading import crops
from raymask.data.reading.crops import CropStore, decode_crop
from raymask.data.reading.sampler import BatchPhoto
from raymask.errors import DataError

PEOPLE, PHOTOS, FILE = 20, 12, 30
"""People, photos of each, and photos in a file of `folder`; the last 4 people are the validation split."""


def row(person: int, photo: int) -> dict:
    random = np.random.default_rng([person, photo])
    pictures = [random.integers(0, 255, (14, 14, 3), dtype=np.uint8) for _ in range(2)]
    bare, masked = (cv2.imencode(".jpg", cv2.resize(picture, (224, 224)))[1].tobytes() for picture in pictures)
    return {
        "identity": f"person {person:02}",
        "image_id": f"person {person:02}/{photo}.jpg",
        "split": "train" if person < PEOPLE - 4 else "val",
        "image": bare,
        "masked_image": masked,
        "mask_map": b"map",
    }


def write_prepared(out: Path) -> Path:
    """What training reads of a prepared folder, with pictures of noise."""
    rows = [row(person, photo) for person in range(PEOPLE) for photo in range(PHOTOS)]
    index = IndexWriter()
    for split in ("train", "val"):
        (out / f"split={split}").mkdir(parents=True)
        own = [row for row in rows if row["split"] == split]
        for number, start in enumerate(range(0, len(own), FILE)):
            name = f"split={split}/{number:05}.parquet"
            data = parquet_file(own[start : start + FILE], prepared_schema())
            (out / name).write_bytes(data)
            index.add(locate_crops(data, own[start : start + FILE], name))
    (out / "index.parquet").write_bytes(index.finish())
    return out


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("crops") / "out")


@pytest.fixture
def folder(tmp_path) -> Path:
    """One that a test may damage."""
    return write_prepared(tmp_path / "out")


@pytest.fixture
def remote(shared) -> str:
    memory = fsspec.filesystem("memory")
    memory.put(str(shared), "/crops", recursive=True)
    yield "memory://crops"
    memory.rm("/crops", recursive=True)


def all_shots(store: CropStore) -> list[BatchPhoto]:
    return [BatchPhoto(row, masked) for row in range(len(store)) for masked in (False, True)]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_crop_of_what_prepare_wrote_is_the_parquet_files_own(prepared, split):
    store = CropStore(str(prepared), split)
    table = pq.read_table(sorted((prepared / f"split={split}").glob("*.parquet")), partitioning=None)
    assert len(store) == len(table) == (32 if split == "train" else 16)
    assert store.people == sorted(set(table["identity"].to_pylist()))
    assert [store.people[code] for code in store.identities] == table["identity"].to_pylist()
    for number in range(len(store)):
        assert store.jpeg(BatchPhoto(number, False)) == table["image"][number].as_py()
        assert store.jpeg(BatchPhoto(number, True)) == table["masked_image"][number].as_py()


def test_pictures_that_are_equal_or_hold_each_other_are_found():
    pictures = [b"aaaa", b"aaaa", b"aa", b"", b"aaaaaa", b"PAR1" * 3000, b"PAR1"]
    rows = [{"identity": "a", "image": one, "masked_image": one[::-1], "mask_map": one} for one in pictures]
    data = parquet_file(rows, prepared_schema())
    for entry, one in zip(locate_crops(data, rows, "file"), pictures, strict=True):
        assert data[entry["image_offset"] :][: entry["image_size"]] == one
        assert data[entry["masked_offset"] :][: entry["masked_size"]] == one[::-1]


def test_pixels_are_the_decoded_crops_and_may_be_changed(shared):
    store = CropStore(str(shared), "train")
    pixels = store.pixels([BatchPhoto(33, True), BatchPhoto(0, False)], 224)
    assert (pixels.shape, pixels.dtype) == ((2, 3, 224, 224), np.uint8)
    wanted = cv2.imdecode(np.frombuffer(row(33 // PHOTOS, 33 % PHOTOS)["masked_image"], np.uint8), cv2.IMREAD_COLOR)
    assert (pixels[0].transpose(1, 2, 0) == wanted[..., ::-1]).all()
    pixels[:] = 0
    small = store.pixels([BatchPhoto(1, False)], 48)
    assert (small[0].transpose(1, 2, 0) == decode_crop(store.jpeg(BatchPhoto(1, False)), 48)).all()


READ_AN_EPOCH = """
import json, sys
from raymask.data.reading.crops import CropStore, BatchPhoto
from raymask.data.reading.sampler import PKSampler, SamplerConfig

def bytes_read():
    with open("/proc/self/io") as counters:
        return int(counters.readline().split()[1])

CropStore(sys.argv[1], "train").pixels([BatchPhoto(0, False)], 48)  # loads the libraries
before = bytes_read()
store = CropStore(sys.argv[1], "train")
sampler = PKSampler(store.identities, SamplerConfig(people=4), seed=0)
used = 0
for step in range(sampler.steps):
    shots = sampler.batch(0, step)
    store.pixels(shots, 112)
    used += sum(store._index.place(shot.row, masked=shot.masked)[2] for shot in shots)
print(json.dumps([bytes_read() - before, used]))
"""


def test_an_epoch_reads_at_most_a_fifth_more_than_the_crops_it_uses(shared):
    """All that the process reads from the operating system, index included."""
    done = subprocess.run(
        [sys.executable, "-c", READ_AN_EPOCH, str(shared)], capture_output=True, text=True, check=True
    )
    read, used = json.loads(done.stdout)
    assert used > 1_000_000
    assert 1 <= read / used <= 1.2


def test_only_places_are_held_in_memory(shared):
    index = CropStore(str(shared), "train")._index
    arrays = [index.identities, index.file_of, *index.offsets, *index.sizes]
    assert sum(array.nbytes for array in arrays) == 36 * len(index.identities)


def test_many_threads_read_the_same_though_files_are_opened_and_closed(shared, monkeypatch):
    monkeypatch.setattr(crops, "_OPEN_FILES", 2)
    store = CropStore(str(shared), "train")
    shots = all_shots(store)
    np.random.default_rng(0).shuffle(shots)
    shots = [BatchPhoto(int(number), bool(masked)) for number, masked in shots]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(store.jpeg, shots))
    assert read == [row(n // PHOTOS, n % PHOTOS)["masked_image" if masked else "image"] for n, masked in shots]
    assert len(store._open) == 2


def patched_ranges(monkeypatch, around: Callable) -> None:
    plain = MemoryFileSystem.cat_file
    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda *args, **kwargs: around(lambda: plain(*args, **kwargs)))


def test_remote_crops_are_the_same_and_cost_no_more_than_their_bytes(shared, remote, monkeypatch):
    here, there = CropStore(str(shared), "train"), CropStore(remote, "train")
    counts: list[int] = []

    def counted(read: Callable[[], bytes]) -> bytes:
        data = read()
        counts.append(len(data))
        return data

    patched_ranges(monkeypatch, counted)
    shots = all_shots(here)[::5]
    assert (there.pixels(shots, 48) == here.pixels(shots, 48)).all()
    assert sorted(counts) == sorted(len(here.jpeg(shot)) for shot in shots)


def test_several_remote_reads_are_in_flight_at_once(remote, monkeypatch):
    eight = threading.Barrier(8)

    def together(read: Callable[[], bytes]) -> bytes:
        eight.wait(timeout=60)  # breaks if fewer than eight ever wait
        return read()

    patched_ranges(monkeypatch, together)
    store = CropStore(remote, "train")
    assert store.pixels([BatchPhoto(number, False) for number in range(16)], 48).shape == (16, 3, 48, 48)


def test_a_file_that_vanished_or_was_cut_is_named(folder, remote):
    first = folder / "split=train" / "00000.parquet"
    first.write_bytes(first.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"split=train/00000\.parquet is cut short; prepare again into another --out"):
        CropStore(str(folder), "train").pixels([BatchPhoto(19, True)], 48)
    first.unlink()
    with pytest.raises(DataError, match=r"split=train/00000\.parquet cannot be read"):
        CropStore(str(folder), "train").pixels([BatchPhoto(0, False)], 48)
    fsspec.filesystem("memory").rm("/crops/split=train/00000.parquet")
    with pytest.raises(DataError, match=r"memory://crops/split=train/00000\.parquet cannot be read"):
        CropStore(remote, "train").pixels([BatchPhoto(0, False), BatchPhoto(1, False)], 48)


def test_a_crop_that_is_no_picture_is_named(folder):
    first = folder / "split=train" / "00000.parquet"
    data, wanted = first.read_bytes(), row(0, 5)["image"]
    first.write_bytes(data.replace(wanted, bytes(len(wanted))))
    with pytest.raises(DataError, match=rf"00000\.parquet holds no picture at byte {data.find(wanted):,}"):
        CropStore(str(folder), "train").pixels([BatchPhoto(5, False)], 48)


def test_a_folder_without_an_index_is_refused_with_the_way_out(folder):
    (folder / "index.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"index\.parquet is damaged .*prepare again into another --out"):
        CropStore(str(folder), "train")
    (folder / "index.parquet").unlink()
    with pytest.raises(DataError, match=r"has no index\.parquet: .*earlier version.*prepare again into another --out"):
        CropStore(str(folder), "train")


def test_a_split_that_is_not_there_is_named(shared, tmp_path):
    with pytest.raises(DataError, match=r"no prepared faces of split test; make them with jobs/prepare\.py"):
        CropStore(str(shared), "test")
    with pytest.raises(DataError, match=r"no prepared faces of split train; make them with jobs/prepare\.py"):
        CropStore(str(tmp_path), "train")
