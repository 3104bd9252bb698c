"""Folders, local or remote (any pyarrow or fsspec URI), with files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from raymask.errors import DataError

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileInfo, FileSystem, FileType

_LISTINGS = 20
"""Times that a folder is listed which changes each time."""

_PAUSES = (1, 5)
"""Seconds before a file is read again that could not be read."""


class UnreadableError(DataError):
    """A file that is not there or that may not be read; trying again does not help."""


def absolute(uri: str | os.PathLike[str]) -> str:
    """A local path made absolute, for processes that run in other folders; a URI as it is."""
    text = os.fspath(uri)
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"))
    return text if "://" in text else os.path.abspath(os.path.expanduser(text))


def folder_and_name(address: str) -> tuple[Folder, str]:
    """A file's folder, and its name in it. Raises DataError as `Folder`."""
    folder, _, name = absolute(address).rpartition("/")
    return Folder(folder or "/"), name


class RangeReader(Protocol):
    """A file of which any thread reads ranges."""

    def read_at(self, count: int, start: int, /) -> bytes:
        """`count` bytes from byte `start` on, fewer where the file ends. Raises OSError."""
        ...


class Folder:
    """A folder that is read and written by relative names with forward slashes."""

    def __init__(self, uri: str | os.PathLike[str]) -> None:
        """Raises DataError if the URI's scheme is unknown or its driver is not installed."""
        self.uri = absolute(uri).rstrip("/") or "/"
        self._fs, self._root = _open(self.uri)

    def __truediv__(self, name: str) -> str:
        """The full address of a file of this folder, for messages and for other readers."""
        return f"{self.uri}/{name}"

    def names(self) -> list[str]:
        """Names of all files below the folder, sorted; none if it does not exist.

        Raises:
            DataError: the folder cannot be listed, or a name in it is not UTF-8.
        """
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self._root, recursive=True, allow_not_found=True)
        try:
            found = _undisturbed(lambda: self._fs.get_file_info(selector))
            files = [info.path for info in found if info.type != FileType.Directory]
        except OSError as error:
            raise DataError(f"{self.uri} cannot be listed ({_reason(error)}); check the path and its rights") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{self.uri}: the file name {error.object!r} is not UTF-8; rename the file") from None
        skip = len(self._root.rstrip("/")) + 1
        return sorted(path[skip:] for path in files)

    def exists(self, name: str) -> bool:
        """Whether the file is there. Raises DataError if that cannot be found out."""
        from pyarrow.fs import FileType

        return self._type(name) == FileType.File

    def read(self, name: str) -> bytes:
        """The file's bytes.

        Raises:
            UnreadableError: it is not there, or this process may not read it.
            DataError: it cannot be read now.
        """
        try:
            with self._fs.open_input_stream(self._path(name), compression=None) as stream:
                return bytes(stream.read())
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise UnreadableError(f"{self / name} cannot be read ({_reason(error)})") from None
        except OSError as error:
            if "ACCESS_DENIED" in str(error):  # how pyarrow says it of object stores
                raise UnreadableError(f"{self / name} cannot be read ({_reason(error)})") from None
            raise DataError(f"{self / name} cannot be read ({_reason(error)}); try again") from None

    def read_patiently(self, name: str) -> bytes:
        """As `read`, for a file among many: storage that stumbles gets two more tries, seconds apart."""
        for pause in _PAUSES:
            try:
                return self.read(name)
            except UnreadableError:
                raise
            except DataError:
                time.sleep(pause)
        return self.read(name)

    def open(self, name: str) -> RangeReader:
        """The file, to read no more of it than the ranges that are asked for.

        Raises:
            DataError: it is not there, or cannot be read; some remote storage says so only when a range is read.
        """
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        if isinstance(self._fs, PyFileSystem) and isinstance(self._fs.handler, FSSpecHandler):
            return _FsspecRanges(self._fs.handler.fs, self._path(name))
        try:
            return self._fs.open_input_file(self._path(name))
        except OSError as error:
            raise DataError(f"{self / name} cannot be read ({_reason(error)})") from None

    def seekable(self, name: str) -> NativeFile:
        """The file as one that pyarrow's readers take, who read parts of it. Raises OSError if it is not there."""
        return self._fs.open_input_file(self._path(name))

    def write(self, name: str, data: bytes) -> None:
        """Write the file, replacing one of that name; on disks and in object stores no reader ever sees a part of it.

        Raises:
            DataError: no right to write, disk full, or the like; what was there before stays.
        """
        path = self._path(name)
        try:
            if self.is_local:
                _write_local(Path(path), data)
            else:  # object stores show an upload only when it is complete
                with self._fs.open_output_stream(path, compression=None) as stream:
                    stream.write(data)
        except OSError as error:
            raise DataError(
                f"{self / name} cannot be written ({_reason(error)}); check rights and free space, or choose another "
                f"folder"
            ) from None

    def delete(self, name: str) -> None:
        """Delete the file, if it is there. Raises DataError if that is not allowed."""
        if self.exists(name):
            self._delete(self._fs.delete_file, name)

    def delete_folder(self, name: str) -> None:
        """Delete a folder in this one with all its files, if it is there. Raises DataError if that is not allowed."""
        from pyarrow.fs import FileType

        if self._type(name) == FileType.Directory:
            self._delete(self._fs.delete_dir, name)

    def _delete(self, act: Callable[[str], None], name: str) -> None:
        try:
            act(self._path(name))
        except OSError as error:
            raise DataError(f"{self / name} cannot be deleted ({_reason(error)}); check its rights") from None

    def _type(self, name: str) -> FileType:
        try:
            return self._fs.get_file_info(self._path(name)).type
        except OSError as error:
            raise DataError(f"{self / name} cannot be looked up ({_reason(error)}); check its rights") from None

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @property
    def is_local(self) -> bool:
        """Whether its files lie on this machine, or are mounted here."""
        return str(self._fs.type_name) == "local"


class _FsspecRanges:
    """A file of an fsspec file system, whose file objects would read far ahead and serve one thread at a time."""

    def __init__(self, filesystem: Any, path: str) -> None:
        self._filesystem, self._path = filesystem, path

    def read_at(self, count: int, start: int) -> bytes:
        return bytes(self._filesystem.cat_file(self._path, start=start, end=start + count))


def _open(uri: str) -> tuple[FileSystem, str]:
    import pyarrow as pa
    from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem

    if "://" not in uri:
        return LocalFileSystem(), uri
    try:
        return FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass  # a scheme that pyarrow does not speak; fsspec may
    except OSError as error:
        raise DataError(f"{uri} cannot be opened ({_reason(error)}); check the address") from None
    try:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise DataError(f"{uri}: no driver for this address ({error}); install its fsspec package") from None
    return PyFileSystem(FSSpecHandler(filesystem)), path


def _write_local(path: Path, data: bytes) -> None:
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, if they are missing, and put their names on disk. Raises OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Put a new name on disk as well: without this a power cut can take back a file that was written."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what some mounted stores answer, which have no folders to sync
            raise
    finally:
        os.close(descriptor)


def _undisturbed(listing: Callable[[], list[FileInfo]]) -> list[FileInfo]:
    """A listing, made again when a file or folder in it came or went meanwhile, which pyarrow takes for an error."""
    for _ in range(_LISTINGS - 1):
        try:
            return listing()
        except FileNotFoundError:
            continue
    return listing()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
