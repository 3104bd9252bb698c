"""What is erased is gone from every file, whatever happened meanwhile."""

import pytest
from support.galleries import SPACE, enrolment, files_holding, nearest, unit

from raymask.errors import UnsavedError
from raymask.gallery import erasing
from raymask.gallery.erasures import Erasures, read_erasures
from raymask.gallery.reader import GalleryReader
from raymask.gallery.rows import photo_key
from raymask.gallery.store import GalleryStore


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
        assert {one.identity for one in nearest(reader, unit(2), 9)} == {"ann", "bob"}
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
        monkeypatch.setattr(store._erasing, "finish", lambda identity: 0)  # as if killed here
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
            disk.setattr("raymask.gallery.erasing.drop_deleted", _fails)  # after its rows were deleted
            with pytest.raises(UnsavedError, match="no space"):
                store.erase("ann")
        assert files_holding(tmp_path, unit(1).tobytes())
        assert store.erase("ann") == 0, "somebody was erased, though no row was left to delete"
        assert store.erase("ann") is None
        assert files_holding(tmp_path, b"ann", unit(1).tobytes()) == []
        assert store.enrol([enrolment("ann", 1), enrolment("bob", 2)]) == [True, False]


def test_who_is_enrolled_after_a_failed_erasure_stays(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1), enrolment("bob", 2)])
        with monkeypatch.context() as disk:
            disk.setattr("raymask.gallery.erasing.delete_rows", _fails)
            with pytest.raises(UnsavedError, match="no space"):
                store.erase("ann")
        assert store.enrol([enrolment("ann", 3)]) == [True]
        assert files_holding(tmp_path, unit(1).tobytes()) == [], "first what was to be erased is"
    with GalleryStore(tmp_path, SPACE):
        photos = GalleryReader(str(tmp_path), SPACE).photos("ann")
        assert [photo.key for photo in photos] == [photo_key("ann", "3")]


def test_erasing_rewrites_only_the_files_that_hold_the_person(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        for part in range(3):
            store.enrol([enrolment(f"p{seed}", seed) for seed in range(100 * part, 100 * part + 100)])
        before = set((tmp_path / "faces.lance" / "data").iterdir())
        store.erase("p150")
        after = set((tmp_path / "faces.lance" / "data").iterdir())
        assert (len(before), len(after), len(before & after)) == (3, 3, 2)


def test_what_is_erased_stays_so_after_a_power_cut(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1)])
        store.enrol([enrolment("bob", 2)])
        synced = []
        monkeypatch.setattr("raymask.gallery.durability.sync_folder", lambda path: synced.append(path.name))
        unlinked: list[str] = []
        forget = erasing.forget_versions

        def forgets(dataset, **options):
            synced.clear()
            before = set(tmp_path.rglob("*"))
            forget(dataset, **options)
            unlinked.extend(path.parent.name for path in before - set(tmp_path.rglob("*")))

        monkeypatch.setattr(erasing, "forget_versions", forgets)
        store.erase("ann")
        assert {"data", "_versions"} <= set(unlinked) <= set(synced)


def test_a_kept_photo_that_is_deleted_is_in_no_file_and_its_person_stays(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        ann = [enrolment("ann", 1, looks=("", "kn95"), picture=b"FIRST-OF-ANN"), enrolment("bob", 2, picture=b"OF-BOB")]
        store.enrol(ann)
        store.enrol([enrolment("ann", 3, picture=b"SECOND-OF-ANN"), enrolment("ann", 4)])
        reader = GalleryReader(str(tmp_path), SPACE)
        before, photos = nearest(reader, unit(1), 9), reader.photos("ann")
        assert store.delete_pictures("ann", photo_key("ann", "1")) == 1
        assert files_holding(tmp_path, b"FIRST-OF-ANN") == []
        assert files_holding(tmp_path, b"SECOND-OF-ANN")
        reader.refresh()
        assert [one.key for one in reader.pictures("ann")] == [photo_key("ann", "3")]
        assert reader.picture("ann", photo_key("ann", "1")) is None
        assert nearest(reader, unit(1), 9) == before, "embeddings stay as they are"
        assert [(one.key, one.added, one.looks) for one in reader.photos("ann")] == [
            (one.key, one.added, one.looks) for one in photos
        ]
        assert store.enrol([enrolment("ann", 1, picture=b"FIRST-OF-ANN")]) == [False]
        assert store.delete_pictures("ann", photo_key("ann", "1")) is None
        assert store.delete_pictures("ann", photo_key("ann", "4")) is None, "it was enrolled and not kept"
        assert store.delete_pictures("ann") == 1
        assert store.delete_pictures("ann") is None
        assert store.delete_pictures("nobody") is None
        assert files_holding(tmp_path, b"OF-ANN", b"'ann'") == [], "nor does the log of commits name anybody"
        assert files_holding(tmp_path, b"OF-BOB")
        assert store.erasures == Erasures(), "nobody was erased"
        assert store.erase("ann") == 3
        assert files_holding(tmp_path, b"ann", unit(1).tobytes(), unit(3).tobytes()) == []


def test_a_deletion_cut_short_is_finished_when_the_gallery_is_opened(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1, picture=b"OF-ANN"), enrolment("bob", 2)])
        monkeypatch.setattr(store._erasing, "finish", lambda identity: 0)  # as if killed here
        store.delete_pictures("ann")
    assert files_holding(tmp_path, b"OF-ANN")
    with GalleryStore(tmp_path, SPACE) as store:
        assert len(store) == 2
    assert files_holding(tmp_path, b"OF-ANN") == []
    assert read_erasures(store.folder) == Erasures()


def test_a_deletion_that_failed_goes_on_when_it_is_asked_for_again(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1, picture=b"OF-ANN"), enrolment("bob", 2)])
        with monkeypatch.context() as disk:
            disk.setattr("raymask.gallery.erasing.drop_deleted", _fails)  # after its row was written without
            with pytest.raises(UnsavedError, match="no space"):
                store.delete_pictures("ann")
        assert files_holding(tmp_path, b"OF-ANN")
        assert store.delete_pictures("ann") == 0, "something was deleted, though no row was left to change"
        assert store.delete_pictures("ann") is None
        assert files_holding(tmp_path, b"OF-ANN") == []
        assert len(store) == 2


def _fails(*_: object) -> None:
    raise OSError(28, "no space left")
