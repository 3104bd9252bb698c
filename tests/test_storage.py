import os

import pytest

from raymask import storage
from raymask.errors import DataError
from raymask.storage import Folder, UnreadableError, absolute, folder_and_name


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


class Stumbling(Folder):
    """A folder whose storage fails so many times in a row; local disks cannot be made to."""

    def __init__(self, uri, times):
        super().__init__(uri)
        self.left = times

    def read(self, name):
        self.left -= 1
        if self.left >= 0:
            raise DataError(f"{self / name} cannot be read (timeout); try again")
        return super().read(name)


def test_a_patient_reader_asks_storage_that_stumbles_three_times(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_PAUSES", (0, 0))
    Folder(tmp_path).write("a", b"1")
    assert Stumbling(tmp_path, 2).read_patiently("a") == b"1"
    with pytest.raises(DataError, match="timeout"):
        Stumbling(tmp_path, 3).read_patiently("a")
    missing = Stumbling(tmp_path, 0)
    with pytest.raises(UnreadableError):
        missing.read_patiently("b")
    assert missing.left == -1, "what is not there is not asked for again"


class Changing:
    """A file system in which folders change while they are listed, as often as told; too rare a moment to wait for."""

    def __init__(self, real, times):
        self._real, self._left = real, times

    def get_file_info(self, selector):
        self._left -= 1
        if self._left >= 0:
            raise FileNotFoundError(2, "No such file or directory")
        return self._real.get_file_info(selector)


class Forbidding:
    """A file system that answers as pyarrow's does for an object in S3 that may not be read."""

    def open_input_stream(self, path, compression):
        raise OSError(f"When reading information for key '{path}': AWS Error ACCESS_DENIED during HeadObject operation")


def test_an_object_that_may_not_be_read_is_not_asked_for_again(tmp_path):
    folder = Folder(tmp_path)
    folder._fs = Forbidding()
    with pytest.raises(UnreadableError, match="ACCESS_DENIED"):
        folder.read_patiently("a")


def test_a_folder_that_changes_while_it_is_listed_is_listed_again(tmp_path):
    folder = Folder(tmp_path)
    folder.write("stays", b"1")
    real = folder._fs
    folder._fs = Changing(real, 3)
    assert folder.names() == ["stays"]
    folder._fs = Changing(real, 1000)
    with pytest.raises(DataError, match=r"cannot be listed \(No such file or directory\)"):
        folder.names()


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
    with pytest.raises(UnreadableError, match=r"missing cannot be read"):
        Folder(tmp_path).read("missing")


def test_relative_paths_become_absolute_and_addresses_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("a/../b") == str(tmp_path / "b")
    assert absolute("file:///tmp/a%20b") == "/tmp/a b"
    assert absolute("s3://bucket/a") == "s3://bucket/a"
    assert Folder("a") / "x" == f"{tmp_path}/a/x"


def test_what_cannot_even_be_looked_up_is_named(tmp_path, monkeypatch):
    folder = Folder(tmp_path)

    class Refusing:
        def get_file_info(self, _):
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folder, "_fs", Refusing())
    for ask in (
        lambda: folder.exists("a"),
        lambda: folder.delete("a"),
        lambda: folder.delete_folder("a"),
        folder.names,
    ):
        with pytest.raises(DataError, match="Permission denied"):
            ask()


def test_names_that_are_not_utf8_are_named(tmp_path):
    open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", "w").close()
    with pytest.raises(DataError, match="is not UTF-8; rename"):
        Folder(tmp_path).names()


def test_unknown_schemes_are_named():
    with pytest.raises(DataError, match=r"nope://x"):
        Folder("nope://x/y")


def test_a_file_is_its_folder_and_its_name(tmp_path, monkeypatch):
    (tmp_path / "names.txt").write_text("ann")
    monkeypatch.chdir(tmp_path)
    for address in ("names.txt", str(tmp_path / "names.txt"), f"file://{tmp_path}/names.txt"):
        folder, name = folder_and_name(address)
        assert (folder.uri, name, folder.read(name)) == (str(tmp_path), "names.txt", b"ann")
    assert folder_and_name("/names.txt")[0].uri == "/", "not whatever folder this is"
