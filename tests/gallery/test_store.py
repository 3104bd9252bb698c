"""The gallery's one writer: what is acknowledged stays, and one recogniser's embeddings only."""

import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from support.galleries import SPACE, enrolment, nearest, run_writer, unit

from raymask.errors import DataError, ModelError, UnsavedError
from raymask.gallery import store as store_module
from raymask.gallery.reader import GalleryReader
from raymask.gallery.rows import photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space


def test_what_is_enrolled_is_found(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        assert store.enrol([enrolment("ann", 1), enrolment("bob", 2)]) == [True, True]
        reader = GalleryReader(str(tmp_path), SPACE)
        assert [one.identity for one in nearest(reader, unit(2), 5)] == ["bob", "ann"]
        assert nearest(reader, unit(2), 1)[0].score == pytest.approx(1, abs=1e-6)
        store.enrol([enrolment("cyd", 3)])
        assert nearest(reader, unit(3), 1)[0].identity != "cyd"
        assert reader.refresh()
        assert nearest(reader, unit(3), 1)[0].identity == "cyd"
        assert not reader.refresh()


def test_a_photo_is_enrolled_once_however_often_it_is_sent(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        assert store.enrol([enrolment("ann", 1), enrolment("ann", 1)]) == [True, False]
        assert store.enrol([enrolment("ann", 1)]) == [False]
    with GalleryStore(tmp_path, SPACE) as store:
        assert store.enrol([enrolment("ann", 1)]) == [False]
        assert len(store) == 1
        assert GalleryReader(str(tmp_path), SPACE).rows == 1


def test_another_recognisers_embeddings_are_refused(tmp_path):
    GalleryStore(tmp_path, SPACE).close()
    other = Space(digest="b" * 64, size=16, recogniser="onnx:other")
    for opened in (GalleryStore, GalleryReader):
        with pytest.raises(ModelError, match=r"holds embeddings of dlib \(aaaaaaaaaaaa\).*onnx:other") as refused:
            opened(str(tmp_path), other)
        for way in ("jobs/enroll.py", "models: {fused: DIR}", "a copy of the previous raymask/bundles"):
            assert way in str(refused.value)


def test_there_is_one_writer(tmp_path):
    with GalleryStore(tmp_path, SPACE), pytest.raises(DataError, match="being written by another process"):
        GalleryStore(tmp_path, SPACE)
    GalleryStore(tmp_path, SPACE).close()


def test_a_full_disk_is_said_and_nothing_is_lost(small_disk):
    folder = small_disk / "gallery"
    with GalleryStore(folder, SPACE) as store:
        enrolled = 0
        with contextlib.suppress(UnsavedError):
            for enrolled in range(1, 60):
                store.enrol([enrolment(f"p{enrolled}", enrolled, picture=os.urandom(400_000))])
        assert 5 < enrolled < 25, "the disk has 8 MiB"
        full = enrolment("large", 100, picture=os.urandom(4_000_000))
        with pytest.raises(UnsavedError, match=r"cannot be written.*free space"):
            store.enrol([full])
        reader = GalleryReader(str(folder), SPACE)
        assert [name for name, _ in reader.identities()] == sorted(f"p{number}" for number in range(1, enrolled))
        assert store.erase("p1") == 1, "what the failed writes had left is cleared away, so that there is room to erase"
        reader.refresh()
        assert "p1" not in dict(reader.identities())


def test_many_commits_leave_few_files(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        for seed in range(150):
            store.enrol([enrolment(f"p{seed % 10}", seed)])
            store.maintain()
        reader = GalleryReader(str(tmp_path), SPACE)
        assert reader.rows == 150
        assert len(reader._view.dataset.get_fragments()) < 50


@pytest.mark.faults
def test_a_killed_writer_loses_nothing_acknowledged(tmp_path):
    acknowledged: set[int] = set()
    for attempt in range(3):
        with run_writer(tmp_path, 10_000 * attempt, 10_000) as writer:
            assert writer.stdout.readline() == "open\n"
            for _ in range(40 + 7 * attempt):
                acknowledged.add(int(writer.stdout.readline()))
            writer.send_signal(signal.SIGKILL)
            acknowledged |= {int(line) for line in writer.stdout if line.endswith("\n")}
    with GalleryStore(tmp_path, SPACE) as store:
        keys = [key for batch in GalleryReader(str(tmp_path), SPACE).batches() for key in batch["photo"].to_pylist()]
        assert len(keys) == len(set(keys)) == len(store)
        assert {photo_key("ann", str(seed)) for seed in acknowledged} <= set(keys)


def test_searches_go_on_while_the_writer_compacts_and_erases(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "COMPACT_AFTER", 3)
    monkeypatch.setattr(store_module, "_KEPT", timedelta(0))  # files go as soon as they can
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 49)])
        reader = GalleryReader(str(tmp_path), SPACE)
        stop = threading.Event()

        def search() -> int:
            searches = 0
            while not stop.is_set():
                assert [photo.key for photo in reader.photos("ann")] == [photo_key("ann", "49")]
                assert nearest(reader, unit(49), 1)[0].identity == "ann"
                reader.refresh()
                searches += 1
            return searches

        with ThreadPoolExecutor(2) as pool:
            searching = [pool.submit(search) for _ in range(2)]
            for number in range(20):
                for seed in range(3):
                    store.enrol([enrolment(f"p{number}", 100 * number + seed)])
                store.maintain()
                assert store.erase(f"p{number}") == 3
            stop.set()
            assert all(one.result() > 5 for one in searching)
