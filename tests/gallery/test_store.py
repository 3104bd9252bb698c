"""The gallery on disk: what is acknowledged stays, what is erased is gone, and one recogniser's embeddings only."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from raymask.errors import ConfigError, DataError, ModelError, UnsavedError
from raymask.gallery import store as store_module
from raymask.gallery.committer import GroupCommitter
from raymask.gallery.durability import Durability
from raymask.gallery.erasures import Erasures, read_erasures
from raymask.gallery.reader import GalleryReader
from raymask.gallery.rows import Enrolment, check_identity, photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space

SPACE = Space(digest="a" * 64, size=16, recogniser="dlib")


def unit(seed: int, size: int = 16) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    return vector / np.linalg.norm(vector)


def enrolment(identity: str, seed: int, *, looks: tuple[str, ...] = ("",), picture: bytes | None = None) -> Enrolment:
    embeddings = np.stack([unit(seed + 1000 * place) for place in range(len(looks))])
    key = photo_key(identity, str(seed))
    return Enrolment(identity=identity, key=key, embeddings=embeddings, looks=looks, picture=picture)


def files_holding(folder: Path, *needles: bytes) -> list[tuple[Path, bytes]]:
    """The bytes of every file are read."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [(path, needle) for path in files for needle in needles if needle in path.read_bytes()]


def test_what_is_enrolled_is_found(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        assert store.enrol([enrolment("ann", 1), enrolment("bob", 2)]) == [True, True]
        reader = GalleryReader(str(tmp_path), SPACE)
        assert [one.identity for one in reader.search(unit(2), 5)] == ["bob", "ann"]
        assert reader.search(unit(2), 1)[0].score == pytest.approx(1, abs=1e-6)
        store.enrol([enrolment("cyd", 3)])
        assert reader.search(unit(3), 1)[0].identity != "cyd"
        assert reader.refresh()
        assert reader.search(unit(3), 1)[0].identity == "cyd"
        assert not reader.refresh()


def test_a_person_counts_by_the_nearest_embedding_and_once(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", seed) for seed in range(40)] + [enrolment("bob", 99)])
        reader = GalleryReader(str(tmp_path), SPACE)
        found = reader.search(unit(7), 2)
        assert [one.identity for one in found] == ["ann", "bob"]
        assert found[0].score == pytest.approx(1, abs=1e-6)
        assert found[1].score == pytest.approx(float(unit(7) @ unit(99)), abs=1e-6)


def test_a_photo_is_enrolled_once_however_often_it_is_sent(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        assert store.enrol([enrolment("ann", 1), enrolment("ann", 1)]) == [True, False]
        assert store.enrol([enrolment("ann", 1)]) == [False]
    with GalleryStore(tmp_path, SPACE) as store:
        assert store.enrol([enrolment("ann", 1)]) == [False]
        assert len(store) == 1
        assert GalleryReader(str(tmp_path), SPACE).rows == 1


def test_people_and_photos_are_listed(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1, looks=("", "cloth:plain"), picture=b"JPEG"), enrolment("O'Hara", 2)])
        store.enrol([enrolment("ann", 3)])
        reader = GalleryReader(str(tmp_path), SPACE)
        assert reader.identities() == [("O'Hara", 1), ("ann", 2)]
        assert reader.identities(after="O'Hara", limit=1) == [("ann", 2)]
        first, second = reader.photos("ann")
        assert (first.looks, first.kept, second.looks, second.kept) == (("cloth:plain",), True, (), False)
        assert reader.picture("ann", first.key) == b"JPEG"
        assert reader.picture("ann", second.key) is None
        assert [photo.key for photo in reader.photos("O'Hara")] == [photo_key("O'Hara", "2")]
        assert reader.photos("nobody") == []


def test_the_erased_are_in_no_file(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1)])
        store.enrol([enrolment("O'Hara", 2, looks=("", "kn95"), picture=b"PICTURE-OF-OHARA"), enrolment("bob", 3)])
        store.enrol([enrolment("O'Hara", 4)])
        traces = [b"O'Hara", b"PICTURE-OF-OHARA", unit(2).tobytes()[:16], unit(1002).tobytes()[:16], unit(4).tobytes()]
        traces.append(photo_key("O'Hara", "4"))
        assert files_holding(tmp_path, *traces)
        reader = GalleryReader(str(tmp_path), SPACE)
        assert store.erase("O'Hara") == 2
        assert files_holding(tmp_path, *traces) == []
        reader.refresh()
        assert reader.identities() == [("ann", 1), ("bob", 1)]
        assert {one.identity for one in reader.search(unit(2), 9)} == {"ann", "bob"}
        assert store.erase("O'Hara") is None
        assert store.enrol([enrolment("O'Hara", 4)]) == [True], "who was erased can be enrolled anew"


@pytest.mark.parametrize("alone", [True, False])
def test_the_name_of_the_erased_is_in_no_file_whoever_came_with_them(tmp_path, alone):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("bob", 1)])
        store.enrol([enrolment("ann", 2)] if alone else [enrolment("ann", 2), enrolment("cyd", 3)])
        store.enrol([enrolment("dan", 4)])
        assert files_holding(tmp_path, b"ann")
        assert store.erase("ann") == 1
        assert files_holding(tmp_path, b"ann", unit(2).tobytes()) == []
    GalleryStore(tmp_path, SPACE).close()
    assert files_holding(tmp_path, b"ann", unit(2).tobytes()) == []


def test_an_erasure_cut_short_is_finished_when_the_gallery_is_opened(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1), enrolment("bob", 2)])
        monkeypatch.setattr(store, "_finish_erasure", lambda identity: 0)  # as if killed here
        store.erase("ann")
    assert read_erasures(store.folder).unfinished
    assert files_holding(tmp_path, b"ann")
    with GalleryStore(tmp_path, SPACE) as store:
        assert len(store) == 1
    assert files_holding(tmp_path, b"ann", unit(1).tobytes()) == []
    assert not read_erasures(store.folder).unfinished


def test_an_erasure_that_failed_goes_on_when_it_is_asked_for_again(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1), enrolment("bob", 2)])
        with monkeypatch.context() as disk:
            disk.setattr("raymask.gallery.store.drop_deleted", _fails)  # after its rows were deleted
            with pytest.raises(UnsavedError, match="no space"):
                store.erase("ann")
        assert files_holding(tmp_path, unit(1).tobytes())
        assert store.erase("ann") == 0, "somebody was erased, though no row was left to delete"
        assert store.erase("ann") is None
        assert files_holding(tmp_path, b"ann", unit(1).tobytes()) == []
        assert store.enrol([enrolment("ann", 1), enrolment("bob", 2)]) == [True, False]


def _fails(*_: object) -> None:
    raise OSError(28, "no space left")


def test_who_is_enrolled_after_a_failed_erasure_stays(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1), enrolment("bob", 2)])
        with monkeypatch.context() as disk:
            disk.setattr("raymask.gallery.store.delete_rows", _fails)
            with pytest.raises(UnsavedError, match="no space"):
                store.erase("ann")
        assert store.enrol([enrolment("ann", 3)]) == [True]
        assert files_holding(tmp_path, unit(1).tobytes()) == [], "first what was to be erased is"
    with GalleryStore(tmp_path, SPACE):
        photos = GalleryReader(str(tmp_path), SPACE).photos("ann")
        assert [photo.key for photo in photos] == [photo_key("ann", "3")]


def test_what_was_refused_is_not_found(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1)])
        sync = Durability.sync

        def fails_once(durability, version):
            monkeypatch.setattr(Durability, "sync", sync)
            raise OSError(28, "no space left")

        monkeypatch.setattr(Durability, "sync", fails_once)
        with pytest.raises(UnsavedError, match="no space"):
            store.enrol([enrolment("bob", 2)])
        reader = GalleryReader(str(tmp_path), SPACE)
        assert reader.identities() == [("ann", 1)]
        assert store.enrol([enrolment("bob", 2)]) == [True]
        assert reader.refresh()
        assert reader.identities() == [("ann", 1), ("bob", 1)]


def test_a_copy_without_the_note_of_what_is_on_disk_is_whole(tmp_path):
    with GalleryStore(tmp_path / "gallery", SPACE) as store:
        store.enrol([enrolment("ann", 1)])
        store.enrol([enrolment("bob", 2)])
    shutil.copytree(tmp_path / "gallery", tmp_path / "copy", ignore=shutil.ignore_patterns("durable"))
    with GalleryStore(tmp_path / "copy", SPACE) as store:
        assert len(store) == 2
        assert store.enrol([enrolment("ann", 1), enrolment("cyd", 3)]) == [False, True]


def test_a_gallery_whose_making_was_cut_short_is_made_anew(tmp_path):
    GalleryStore(tmp_path, SPACE).close()
    (tmp_path / "durable").unlink()
    for manifest in (tmp_path / "faces.lance" / "_versions").iterdir():
        manifest.write_bytes(b"")
    with GalleryStore(tmp_path, SPACE) as store:
        assert store.enrol([enrolment("ann", 1)]) == [True]


@pytest.mark.parametrize("lost", ["newest version", "all versions", "table", "all versions and the note"])
def test_a_gallery_that_lacks_what_was_acknowledged_is_refused_and_left_as_it_is(tmp_path, lost):
    gallery = tmp_path / "gallery"
    with GalleryStore(gallery, SPACE) as store:
        store.enrol([enrolment("ann", 1), enrolment("bob", 2)])
        store.enrol([enrolment("cyd", 3)])
    table = gallery / "faces.lance"
    if lost == "newest version":
        min((table / "_versions").glob("*.manifest")).unlink()  # the latest is listed first
        (table / "_versions" / "latest_version_hint.json").unlink(missing_ok=True)
    else:
        shutil.rmtree(table if lost == "table" else table / "_versions")
    if lost.endswith("note"):
        (gallery / "durable").unlink()
    before = {path: path.read_bytes() for path in gallery.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=r"is damaged: it lacks .*; restore it from a backup"):
        GalleryStore(gallery, SPACE)
    assert {path: path.read_bytes() for path in gallery.rglob("*") if path.is_file()} == before


def test_the_list_of_erasures_names_nobody():
    then = datetime(2026, 1, 1, tzinfo=UTC)
    erasures = Erasures().begun("ann", then)
    assert "ann" not in str(erasures.as_json())
    assert erasures.covers("ann", then)
    assert not erasures.covers("ann", datetime(2026, 1, 2, tzinfo=UTC))
    assert not erasures.covers("bob", then)
    assert Erasures.from_json(erasures.as_json(), "erasures.json") == erasures


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


@pytest.mark.parametrize("damage", ["manifest empty", "data cut", "whole"])
def test_versions_that_were_not_synced_are_dropped(tmp_path, damage):
    """A power cut: files of a version that nobody was told of may be there in part."""
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1)])
        table = tmp_path / "faces.lance"
        before, durable = set(table.rglob("*")), (tmp_path / "durable").read_text()
        store.enrol([enrolment("bob", 2)])
    (tmp_path / "durable").write_text(durable)
    for path in set(table.rglob("*")) - before:
        if (damage == "manifest empty" and path.suffix == ".manifest") or (
            damage == "data cut" and path.suffix == ".lance"
        ):
            os.truncate(path, 0)
    with GalleryStore(tmp_path, SPACE) as store:
        reader = GalleryReader(str(tmp_path), SPACE)
        assert reader.identities() == [("ann", 1)]
        assert reader.version > int(durable) + 1, "a number that a search may have seen is not used again"
        assert store.enrol([enrolment("bob", 2)]) == [True]
        reader.refresh()
        assert reader.identities() == [("ann", 1), ("bob", 1)]


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


def test_erasing_rewrites_only_the_files_that_hold_the_person(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        for part in range(3):
            store.enrol([enrolment(f"p{seed}", seed) for seed in range(100 * part, 100 * part + 100)])
        before = set((tmp_path / "faces.lance" / "data").iterdir())
        store.erase("p150")
        after = set((tmp_path / "faces.lance" / "data").iterdir())
        assert (len(before), len(after), len(before & after)) == (3, 3, 2)


def test_one_group_holds_what_came_meanwhile_and_ends_at_an_erasure(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        version = store._dataset.version
        committer = GroupCommitter(store)
        first = [committer.enrol(enrolment("ann", seed)) for seed in range(30)]
        erased = committer.erase("ann")
        again = [committer.enrol(enrolment("ann", seed)) for seed in range(5)]
        assert [one.result(20) for one in first] == [True] * 30
        assert erased.result(20) == 30
        assert [one.result(20) for one in again] == [True] * 5
        committer.close()
        assert len(store) == 5
        assert store._dataset.version - version < 20
        with pytest.raises(ConfigError, match="length 1"):
            committer.enrol(
                Enrolment(identity="ann", key=b"x" * 16, embeddings=np.zeros((1, 16), np.float32), looks=("",))
            )


def test_a_request_given_up_before_its_turn_does_nothing_and_harms_nobody(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1)])
        committer = GroupCommitter(store)
        with store._turn:  # the writer waits
            first = committer.enrol(enrolment("bob", 2))
            while committer.waiting:
                time.sleep(0.01)
            given_up = [
                committer.enrol(enrolment("cyd", 3)),
                committer.erase("ann"),
                committer.enrol(enrolment("eve", 4)),
            ]
            last = committer.enrol(enrolment("dan", 5))
            assert all(one.cancel() for one in given_up)
        assert first.result(20)
        assert last.result(20)
        assert committer.alive
        monkeypatch.setattr(store, "maintain", _fails)
        assert committer.enrol(enrolment("bob", 6)).result(20)
        assert committer.erase("bob").result(20) == 2, "a failure beside its work does not end it"
        assert committer.enrol(enrolment("bob", 2)).result(20)
        committer.close()
        reader = GalleryReader(str(tmp_path), SPACE)
        assert [name for name, _ in reader.identities(after="", limit=9)] == ["ann", "bob", "dan"]


WRITER = r"""
import sys, numpy as np
sys.path.insert(0, {tests!r})
from test_store import SPACE, enrolment
from raymask.gallery.store import GalleryStore
store = GalleryStore({folder!r}, SPACE)
sys.stdout.write("open\n")
sys.stdout.flush()
for seed in range({start}, {start} + {count}):
    store.enrol([enrolment("ann", seed)])
    sys.stdout.write(f"{{seed}}\n")
    sys.stdout.flush()
    store.maintain()
"""


def run_writer(folder: Path, start: int, count: int, prefix: tuple[str, ...] = ()) -> subprocess.Popen:
    script = WRITER.format(tests=str(Path(__file__).parent), folder=str(folder), start=start, count=count)
    command = [*prefix, sys.executable, "-W", "ignore", "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


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


def test_the_disk_is_synced_before_an_enrolment_is_acknowledged(tmp_path):
    """Traced from outside: between two acknowledgements lie the syncs of the new files and of their folders."""
    if shutil.which("strace") is None:
        assert "RAYMASK_CI" not in os.environ, "CI cannot do without strace"
        pytest.skip("strace is not installed: apt-get install strace")
    trace = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,write,openat,rename"
    writer = run_writer(tmp_path / "gallery", 0, 3, ("strace", "-f", "-y", "-e", calls, "-o", str(trace)))
    with writer:
        assert writer.wait(60) == 0
    lines = trace.read_text().splitlines()
    told = [place for place, line in enumerate(lines) if "write(1<" in line]
    assert len(told) == 4
    for before, after in pairwise(told):
        synced = "\n".join(line for line in lines[before:after] if "fsync(" in line)
        for what in ("/data/", "/_versions/", "faces.lance/data>", "faces.lance/_versions>", "durable"):
            assert what in synced, f"{what} is not synced before the acknowledgement"
        last_data = max(p for p in range(before, after) if "fsync(" in lines[p] and "faces.lance" in lines[p])
        noted = max(p for p in range(before, after) if "fsync(" in lines[p] and "durable" in lines[p])
        named = max(p for p in range(before, after) if "rename(" in lines[p] and "durable" in lines[p])
        kept = max(p for p in range(before, after) if "fsync(" in lines[p] and f"<{tmp_path / 'gallery'}>" in lines[p])
        assert last_data < noted < named < kept, "files, then the note of their version, then its name"
    assert any("fsync(" in line and f"<{tmp_path}>" in line for line in lines[: told[0]]), "the gallery's own name"


def test_what_is_erased_stays_so_after_a_power_cut(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1)])
        store.enrol([enrolment("bob", 2)])
        synced = []
        monkeypatch.setattr("raymask.gallery.durability.sync_folder", lambda path: synced.append(path.name))
        unlinked: list[str] = []
        forget = store_module.forget_versions

        def forgets(dataset, **options):
            synced.clear()
            before = set(tmp_path.rglob("*"))
            forget(dataset, **options)
            unlinked.extend(path.parent.name for path in before - set(tmp_path.rglob("*")))

        monkeypatch.setattr(store_module, "forget_versions", forgets)
        store.erase("ann")
        assert {"data", "_versions"} <= set(unlinked) <= set(synced)


@pytest.mark.parametrize("name", ["", " ann", "a/b", "a\nb", "x" * 129, "\x00", "J\ufffdrg"])
def test_names_that_nobody_can_have(name):
    with pytest.raises(ConfigError, match="printable"):
        check_identity(name)


def test_names_that_people_have():
    for name in ("Anna Müller-Lüdenscheidt", "O'Hara", "李振", "person_001", "a" * 128):
        assert check_identity(name) == name
    assert check_identity("Mu\u0308ller") == "M\u00fcller"


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
                assert reader.search(unit(49), 1)[0].identity == "ann"
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
