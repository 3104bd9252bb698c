"""Backup and restore."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.galleries import SPACE, enrolment, nearest, unit

from raymask.errors import DataError, ModelError
from raymask.gallery import backup as backup_module
from raymask.gallery.backup import BackupConfig, RestoreConfig, backup, restore
from raymask.gallery.reader import ChangedError, GalleryReader
from raymask.gallery.rows import photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space


@pytest.fixture
def saved(tmp_path, monkeypatch) -> Path:
    """A gallery of three people, backed up; ann's photo has three rows."""
    monkeypatch.setattr(backup_module, "_ROWS", 2)
    with GalleryStore(tmp_path / "gallery", SPACE) as store:
        store.enrol([enrolment("ann", 1, looks=("", "kn95", "cloth:plain"), picture=b"JPEG"), enrolment("bob", 2)])
        store.enrol([enrolment("cyd", 3)])
        about = backup(BackupConfig(gallery=str(tmp_path / "gallery"), out=str(tmp_path / "backup")))
    assert about["embeddings"] == 5
    assert len(about["files"]) > 1
    return tmp_path


def test_a_backup_brings_everything_back(saved):
    config = RestoreConfig(backup=str(saved / "backup"), gallery=str(saved / "new"))
    assert restore(config) == (3, 0, 0)
    assert restore(config) == (0, 3, 0), "run again, it changes nothing"
    before, after = (GalleryReader(str(saved / name), SPACE) for name in ("gallery", "new"))
    for identity in ("ann", "bob", "cyd"):
        assert after.photos(identity) == before.photos(identity)
        assert nearest(after, unit(2), 3) == nearest(before, unit(2), 3)
    photo = after.photos("ann")[0]
    assert photo.looks == ("cloth:plain", "kn95")
    assert after.picture("ann", photo.key) == b"JPEG"


def test_a_restore_does_not_bring_back_the_erased(saved):
    with GalleryStore(saved / "gallery", SPACE) as store:
        store.erase("ann")
        store.erase("bob")
        store.enrol([enrolment("bob", 22)])  # enrolled anew since
    assert restore(RestoreConfig(backup=str(saved / "backup"), gallery=str(saved / "gallery"))) == (0, 1, 2)
    assert GalleryReader(str(saved / "gallery"), SPACE).identities() == [("bob", 1), ("cyd", 1)]
    assert not any(b"ann" in path.read_bytes() for path in (saved / "gallery").rglob("*") if path.is_file())
    erasures = saved / "erasures.json"
    shutil.copy(saved / "gallery" / "erasures.json", erasures)
    elsewhere = RestoreConfig(backup=str(saved / "backup"), gallery=str(saved / "lost"), erasures=str(erasures))
    assert restore(elsewhere) == (1, 0, 2), "the gallery is lost, its list of erasures is not"
    backup(BackupConfig(gallery=str(saved / "lost"), out=str(saved / "second")))
    assert len(json.loads((saved / "second" / "erasures.json").read_text())["erased"]) == 2


def test_a_deleted_photo_stays_so_where_its_person_is_and_comes_back_elsewhere(saved):
    with GalleryStore(saved / "gallery", SPACE) as store:
        assert store.delete_pictures("ann") == 1
    assert restore(RestoreConfig(backup=str(saved / "backup"), gallery=str(saved / "gallery"))) == (0, 3, 0)
    assert GalleryReader(str(saved / "gallery"), SPACE).pictures("ann") == []
    assert restore(RestoreConfig(backup=str(saved / "backup"), gallery=str(saved / "new"))) == (3, 0, 0)
    assert [one.size for one in GalleryReader(str(saved / "new"), SPACE).pictures("ann")] == [len(b"JPEG")]


def test_a_list_of_erasures_erases_who_is_enrolled_still(saved):
    with GalleryStore(saved / "gallery", SPACE) as store:
        store.erase("ann")
        store.erase("bob")
        store.enrol([enrolment("bob", 22)])
    old = RestoreConfig(backup=str(saved / "backup"), gallery=str(saved / "old"))
    assert restore(old) == (3, 0, 0), "the list is not known yet"
    with GalleryStore(saved / "old", SPACE) as store:
        store.enrol([enrolment("bob", 23)])
    known = replace(old, erasures=str(saved / "gallery" / "erasures.json"))
    assert restore(known) == (0, 1, 2)
    reader = GalleryReader(str(saved / "old"), SPACE)
    assert reader.identities() == [("bob", 1), ("cyd", 1)], "who was enrolled after the erasure stays"
    assert [photo.key for photo in reader.photos("bob")] == [photo_key("bob", "23")]
    assert not any(b"ann" in path.read_bytes() for path in (saved / "old").rglob("*") if path.is_file())


def test_a_gallery_that_changes_while_it_is_saved_is_saved_as_it_is_then(saved, monkeypatch):
    with GalleryStore(saved / "gallery", SPACE) as store:
        for seed in range(100, 130):
            store.enrol([enrolment(f"p{seed}", seed)])
        erased = iter(["ann", "p129"])

        class Disturbed(GalleryReader):
            """Of whose gallery somebody is erased when it begins to read."""

            def batches(self):
                if (name := next(erased, None)) is not None:
                    store.erase(name)
                return super().batches()

        monkeypatch.setattr(backup_module, "GalleryReader", Disturbed)
        about = backup(BackupConfig(gallery=str(saved / "gallery"), out=str(saved / "later")))
        assert about["embeddings"] == len(store) == 31
        assert sorted(about["files"]) == sorted(path.name for path in (saved / "later").glob("rows-*"))
        assert set(json.loads((saved / "later" / "erasures.json").read_text())["erased"]) == set(store.erasures.times)
        erased = iter([f"p{seed}" for seed in range(100, 129)])
        with pytest.raises(ChangedError, match="changed while it was read"):
            backup(BackupConfig(gallery=str(saved / "gallery"), out=str(saved / "never")))
        assert not list((saved / "never").glob("*"))


def test_damage_is_named(saved):
    config = RestoreConfig(backup=str(saved / "backup"), gallery=str(saved / "new"))
    first = sorted((saved / "backup").glob("rows-*.parquet"))[0]
    data = first.read_bytes()
    first.write_bytes(data[:-9] + b"123456789")
    with pytest.raises(DataError, match=rf"{first.name} is damaged"):
        restore(config)
    first.write_bytes(data)
    assert restore(config).photos == 3
    (saved / "backup" / "backup.json").unlink()
    with pytest.raises(DataError, match="is no backup"):
        restore(config)
    with pytest.raises(DataError, match="not empty"):
        backup(BackupConfig(gallery=str(saved / "gallery"), out=str(saved / "backup")))
    with pytest.raises(DataError, match="holds no gallery"):
        backup(BackupConfig(gallery=str(saved / "nowhere"), out=str(saved / "x")))


def test_a_backup_does_not_mix_with_another_recognisers(saved):
    GalleryStore(saved / "other", Space(digest="b" * 64, size=16, recogniser="other")).close()
    with pytest.raises(ModelError, match="cannot be compared"):
        restore(RestoreConfig(backup=str(saved / "backup"), gallery=str(saved / "other")))
