import os

import pytest

from raymask.data.storage import Folder
from raymask.errors import DataError


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_files_come_back(tmp_path, scheme):
    folder = Folder(f"{scheme}{tmp_path}/a")
    assert folder.names() == []
    folder.write("x/one.bin", b"1")
    folder.write("two.bin", b"22")
    folder.write("two.bin", b"2")
    assert folder.names() == ["two.bin", "x/one.bin"]
    assert (folder.read("x/one.bin"), folder.read("two.bin")) == (b"1", b"2")
    assert folder.exists("two.bin")
    folder.delete_folder("x")
    assert not folder.exists("x/one.bin")


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    folder.write("a", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        folder.write("a", b"new")
    assert folder.read("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_cannot_be_read_or_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"file/a cannot be written .*choose another folder"):
        Folder(tmp_path / "file").write("a", b"")
    with pytest.raises(DataError, match=r"missing cannot be read"):
        Folder(tmp_path).read("missing")


def test_unknown_schemes_are_named():
    with pytest.raises(DataError, match=r"nope://x"):
        Folder("nope://x/y")
