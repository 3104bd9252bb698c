"""The index of a large gallery, on a small one."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.galleries import nearest

from raymask.gallery import index, index_builder, view
from raymask.gallery.reader import GalleryReader
from raymask.gallery.rows import Enrolment, photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space

SPACE = Space(digest="c" * 64, size=64, recogniser="dlib")
NEW = Enrolment(identity="new", key=bytes(16), embeddings=np.eye(1, 64, dtype=np.float32), looks=("",))


def people(count: int, seed: int, noise: float) -> np.ndarray:
    centres = np.random.default_rng(0).standard_normal((count, 64))
    rows = centres + noise * np.random.default_rng(seed).standard_normal((count, 64))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def enrol(store: GalleryStore, rows: np.ndarray, tag: str) -> None:
    store.enrol(
        [
            Enrolment(identity=f"p{n:05}", key=photo_key(f"p{n:05}", tag), embeddings=row[None], looks=("",))
            for n, row in enumerate(rows)
        ]
    )


def recall(gallery: GalleryReader, queries: np.ndarray, every: int = 1) -> float:
    asked = range(0, len(queries), every)
    return float(np.mean([nearest(gallery, queries[n], 1)[0].identity == f"p{n:05}" for n in asked]))


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(index, "EXACT_ROWS", 1500)
    monkeypatch.setattr(index, "UNINDEXED_ROWS", 200)
    monkeypatch.setattr(index, "FRAGMENT_ROWS", 200)


def test_a_gallery_that_grows_is_indexed_and_stays_searched_whole(tmp_path, small_limits):
    queries = people(3000, 9, 0.4)
    with GalleryStore(tmp_path, SPACE) as store:
        enrol(store, people(1200, 1, 0.3), "first")
        store.finish_index()
        gallery = GalleryReader(str(tmp_path), SPACE)
        assert not gallery._view.dataset.has_index
        exact = recall(gallery, queries[:1200])
        assert exact > 0.99

        enrol(store, people(2000, 2, 0.3), "second")
        store.finish_index()
        gallery.refresh()
        assert gallery._view.dataset.has_index
        assert recall(gallery, queries[:300]) >= 0.99
        found = nearest(gallery, queries[7], 3)
        rows = np.concatenate([people(1200, 1, 0.3)[7:8], people(2000, 2, 0.3)[7:8]])
        assert found[0].score == pytest.approx(float((rows @ queries[7]).max()), abs=1e-5), "scores are exact"

        enrol(store, people(3000, 3, 0.3), "third")  # not indexed yet, and found
        gallery.refresh()
        assert index._unindexed(gallery._view.dataset) == 3000
        assert recall(gallery, queries, every=10) >= 0.99
        assert not gallery._view.memory.names, "so many are left in their files"
        store.finish_index()
        gallery.refresh()
        assert index._unindexed(gallery._view.dataset) == 0
        assert recall(gallery, queries, every=10) >= 0.99

        late = people(3100, 4, 0.3)[3000:]
        for place in range(0, 100, 10):  # a few, in files of their own, while the index stays as it is
            enrol(store, late[place : place + 10], f"late {place}")
        gallery.refresh()
        assert len(gallery._view.memory.names) == 100
        found = nearest(gallery, late[42], 1)[0]
        assert found.score == pytest.approx(1, abs=1e-5)
        assert recall(gallery, queries, every=10) >= 0.99, "the indexed are found beside them"


def indexed_rows(folder: Path) -> set[int]:
    """Numbers of the rows that the index's files hold codes of."""
    from lance.file import LanceFileReader  # not before other tests have forked, of which lance would warn

    files = list(folder.glob("faces.lance/_indices/*/auxiliary.idx"))
    assert files
    tables = [LanceFileReader(str(file)).read_all().to_table() for file in files]
    assert all("_rabit_codes" in table.column_names for table in tables)
    return {row for table in tables for row in table["_rowid"].to_pylist()}


def rows_of(store: GalleryStore) -> set[int]:
    return set(store._table.dataset.to_table(columns=[], with_row_id=True)["_rowid"].to_pylist())


def test_the_erased_leave_the_index(tmp_path, small_limits):
    rows = people(2000, 1, 0.3)
    alone = Enrolment(identity="alone", key=photo_key("alone", "1"), embeddings=people(2, 8, 0.3)[:1], looks=("",))
    with GalleryStore(tmp_path, SPACE) as store:
        enrol(store, rows, "first")
        store.enrol([alone])  # in a file of their own
        store.finish_index()
        assert indexed_rows(tmp_path) == rows_of(store)
        assert store.erase("alone") == 1
        assert indexed_rows(tmp_path) == rows_of(store)
        assert store.erase("p00007") == 1
        assert indexed_rows(tmp_path) == rows_of(store)
        assert len(rows_of(store)) == 1999
        gallery = GalleryReader(str(tmp_path), SPACE)
        assert gallery._view.dataset.has_index
        assert nearest(gallery, rows[7], 1)[0].identity != "p00007"
        assert nearest(gallery, rows[8], 1)[0].identity == "p00008"
        assert index._unindexed(gallery._view.dataset) == 0
    data = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(rows[7].tobytes() in one or b"p00007" in one for one in data)
    assert any(rows[8].tobytes() in one for one in data)


@pytest.mark.parametrize("beside", [0, 2])
def test_a_deleted_photo_leaves_the_index_right(tmp_path, small_limits, beside):
    """The row of a kept photo moves to another file; what the index knew of it must go with its person."""
    rows = people(2000, 1, 0.3)
    alone = Enrolment(
        identity="alone", key=photo_key("alone", "1"), embeddings=people(2, 8, 0.3)[:1], looks=("",), picture=b"KEPT"
    )
    with GalleryStore(tmp_path, SPACE) as store:
        enrol(store, rows, "first")
        others = [replace(alone, identity=f"other {n}", key=photo_key("other", str(n))) for n in range(beside)]
        store.enrol([alone, *others])  # in a file that goes as a whole, or stays
        store.finish_index()
        assert indexed_rows(tmp_path) == rows_of(store)
        assert store.delete_pictures("alone") == 1
        assert indexed_rows(tmp_path) <= rows_of(store)
        assert len(rows_of(store)) == 2001 + beside
        gallery = GalleryReader(str(tmp_path), SPACE)
        scores = {one.identity: one.score for one in nearest(gallery, alone.embeddings[0], 1 + beside)}
        assert scores["alone"] == pytest.approx(1, abs=1e-5)
        assert nearest(gallery, rows[8], 1)[0].identity == "p00008"
        assert store.erase("alone") == 1
        assert indexed_rows(tmp_path) == rows_of(store)
        assert len(rows_of(store)) == 2000 + beside


def test_people_are_counted_whether_in_memory_or_in_files_and_a_file_is_read_once(tmp_path, small_limits, monkeypatch):
    read: list[int] = []
    names = view._names
    monkeypatch.setattr(view, "_names", lambda fragment: read.append(fragment.fragment_id) or names(fragment))

    def enrolled() -> tuple[int, int]:
        """People and embeddings, as a reader that follows and a new one count them."""
        gallery.refresh()
        again = GalleryReader(str(tmp_path), SPACE)
        assert gallery.search(queries, 1).enrolled == again.search(queries, 1).enrolled
        return gallery.search(queries, 1).enrolled

    queries = people(1, 9, 0.4)
    with GalleryStore(tmp_path, SPACE) as store:
        enrol(store, people(2000, 1, 0.3), "first")
        store.finish_index()
        gallery = GalleryReader(str(tmp_path), SPACE)
        assert enrolled() == (2000, 2000)
        assert not gallery._view.memory.names, "all are in files"
        enrol(store, people(50, 2, 0.3), "second")
        enrol(store, people(2030, 3, 0.3)[1990:], "third")  # by the names of the first 40
        store.enrol([replace(NEW, identity=name, key=photo_key(name, "1")) for name in ("new", "O'Hara")])
        read.clear()
        gallery.refresh()
        assert gallery.search(queries, 1).enrolled == (2002, 2092), "most of them twice"
        assert len(gallery._view.memory.names) == 92
        assert read == [], "what the files hold is known"
        assert enrolled() == (2002, 2092)
        likeness = gallery.compare(people(50, 2, 0.3)[7], "p00007")
        assert likeness == (pytest.approx(1, abs=1e-5), 3), "of the index, and of what waits for it"

        store.erase("O'Hara")
        assert enrolled() == (2001, 2091)
        files = {one.fragment_id for one in gallery._view.dataset.get_fragments()}
        store.erase("p01234")
        read.clear()
        gallery.refresh()
        assert gallery.search(queries, 1).enrolled == (2000, 2090)
        assert not files & set(read), "only what was written anew is read"
        assert enrolled() == (2000, 2090)
        assert gallery.compare(people(2000, 1, 0.3)[1234], "p01234") is None


def test_who_is_erased_while_the_index_is_built_is_not_in_it(tmp_path, small_limits, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    extend = index.extend_index

    def slowly(dataset):
        begun.set()
        assert go_on.wait(30)
        extend(dataset)

    monkeypatch.setattr(index_builder, "extend_index", slowly)
    with GalleryStore(tmp_path, SPACE) as store:
        enrol(store, people(2000, 1, 0.3), "first")
        store.maintain()
        assert begun.wait(30)
        threading.Timer(0.5, go_on.set).start()
        assert store.erase("p00007") == 1
        assert store._table.dataset.has_index
        assert indexed_rows(tmp_path) == rows_of(store)


def test_an_index_that_cannot_be_built_is_not_tried_with_every_commit(tmp_path, small_limits, monkeypatch):
    tries = []

    def fails(_):
        tries.append(1)
        raise RuntimeError("no memory")

    monkeypatch.setattr(index_builder, "extend_index", fails)
    with GalleryStore(tmp_path, SPACE) as store:
        enrol(store, people(2000, 1, 0.3), "first")
        store.finish_index()
        for number in range(3):
            enrol(store, people(3, 1, 0.3), str(number))
            store.maintain()
        assert len(tries) == 1
        assert len(store) == 2009
