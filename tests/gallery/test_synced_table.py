"""What the writer finds when it opens a gallery: what was acknowledged, and nothing else."""

import os
import shutil

import pytest
from support.galleries import SPACE, enrolment

from raymask.errors import DataError, UnsavedError
from raymask.gallery.durability import Durability
from raymask.gallery.reader import GalleryReader
from raymask.gallery.store import GalleryStore


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
