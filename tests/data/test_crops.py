"""Crops read one by one: exactly their bytes, as prepare wrote them."""

import shutil

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from raymask.data.crops import CropStore
from raymask.data.sampler import PKSampler, SamplerConfig, Shot
from raymask.errors import DataError


@pytest.fixture
def store(prepared) -> CropStore:
    return CropStore(str(prepared), "train")


def test_every_crop_is_the_parquet_files_own(store, prepared):
    table = pq.read_table(sorted((prepared / "split=train").glob("*.parquet")), partitioning=None)
    assert len(store) == len(table) == 32
    assert [store.people[code] for code in store.identities] == table["identity"].to_pylist()
    for row in range(len(store)):
        assert store.jpeg(Shot(row, False)) == table["image"][row].as_py()
        assert store.jpeg(Shot(row, True)) == table["masked_image"][row].as_py()


def test_pixels_are_the_decoded_crops(store):
    pixels = store.pixels([Shot(3, True), Shot(0, False)], 224)
    assert (pixels.shape, pixels.dtype) == ((2, 3, 224, 224), np.uint8)
    wanted = cv2.imdecode(np.frombuffer(store.jpeg(Shot(3, True)), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (pixels[0].transpose(1, 2, 0) == wanted).all()
    assert store.pixels([Shot(1, False)], 48).shape == (1, 3, 48, 48)


def bytes_read() -> int:
    """What this process has read from files so far."""
    with open("/proc/self/io") as counters:
        return int(counters.readline().split()[1])


def test_an_epoch_reads_at_most_a_fifth_more_than_the_crops_it_uses(prepared):
    CropStore(str(prepared), "train").pixels([Shot(0, False)], 224)  # loads the libraries
    before = bytes_read()
    store = CropStore(str(prepared), "train")
    sampler = PKSampler(store.identities, SamplerConfig(people=4), seed=0)
    used = 0
    for step in range(sampler.steps):
        shots = sampler.batch(0, step)
        store.pixels(shots, 112)
        used += sum(int(store._ranges[shot.masked][1][shot.row]) for shot in shots)
    read = bytes_read() - before
    assert used > 100_000
    assert read / used <= 1.2


def test_many_threads_read_the_same(store):
    from concurrent.futures import ThreadPoolExecutor

    shots = [Shot(row, bool(row % 2)) for row in range(32)] * 4
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(store.jpeg, shots)) == [store.jpeg(shot) for shot in shots]


@pytest.fixture
def damaged(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "out")
    return tmp_path / "out"


def test_a_file_that_vanished_or_was_cut_is_named(damaged):
    store = CropStore(str(damaged), "train")
    first = damaged / "split=train" / "00000.parquet"
    first.write_bytes(first.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"00000\.parquet is shorter than the index says"):
        store.pixels([Shot(19, True)], 48)
    first.unlink()
    with pytest.raises(DataError, match=r"00000\.parquet cannot be read"):
        CropStore(str(damaged), "train").pixels([Shot(0, False)], 48)


def test_a_crop_that_is_no_picture_is_named(damaged):
    store = CropStore(str(damaged), "train")
    offset, size = (int(values[5]) for values in store._ranges[False])
    first = damaged / "split=train" / "00000.parquet"
    data = bytearray(first.read_bytes())
    data[offset : offset + size] = bytes(size)
    first.write_bytes(data)
    with pytest.raises(DataError, match=r"00000\.parquet holds a crop that is no picture"):
        store.pixels([Shot(5, False)], 48)


def test_crops_on_a_remote_file_system(prepared):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(prepared), "/crops", recursive=True)
    remote, local = CropStore("memory://crops", "train"), CropStore(str(prepared), "train")
    shots = [Shot(row, False) for row in range(20)]
    assert (remote.pixels(shots, 48) == local.pixels(shots, 48)).all()


def test_a_split_that_is_not_there_is_named(prepared, tmp_path):
    with pytest.raises(DataError, match=r"no prepared faces of split train; make them with jobs/prepare\.py"):
        CropStore(str(tmp_path), "train")
