"""Datasets are brought by their loaders, from small files here; what cannot be had is said with what to put where."""

import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path

import pytest

from raymask.data.prepare import fetch as module
from raymask.data.prepare.fetch import FetchConfig, fetch
from raymask.data.prepare.photos import list_photos
from raymask.errors import ConfigError, DataError
from raymask.storage import Folder

PAIRS = ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt")


@pytest.fixture
def offline(monkeypatch):
    """Whoever asks the network is refused at once, and nobody who asks later meets this proxy."""
    monkeypatch.setattr(urllib.request, "_opener", None)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def archive(demo_faces, tmp_path, monkeypatch) -> Path:
    """A folder in which LFW was put by hand: an archive of two people, whose checksum is taken for the true one."""
    home = tmp_path / "lfw" / "lfw_home"
    home.mkdir(parents=True)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for person in sorted(demo_faces.iterdir())[:2]:
            tar.add(person, f"lfw/{person.name}")
    (home / "lfw.tgz").write_bytes(data.getvalue())
    for name in PAIRS:
        (home / name).write_text("0\n")
    monkeypatch.setattr(module, "LFW_ARCHIVE", ("lfw.tgz", hashlib.sha256(data.getvalue()).hexdigest()))
    return home / "lfw.tgz"


def test_lfw_put_by_hand_becomes_a_tree(archive, offline, tmp_path, capsys):
    root = fetch("lfw", tmp_path)
    photos, dropped = list_photos(Folder(str(root)))
    assert len(photos) == 16
    assert len({photo.identity for photo in photos}) == 2
    assert not dropped
    assert "fetch lfw" in capsys.readouterr().out
    assert fetch("lfw", tmp_path) == root


def test_unpacking_that_was_cut_short_is_done_again(archive, offline, tmp_path):
    (archive.parent / "lfw" / "somebody").mkdir(parents=True)
    photos, _ = list_photos(Folder(str(fetch("lfw", tmp_path))))
    assert len(photos) == 16
    assert not (archive.parent / "lfw" / "somebody").exists()


def test_a_damaged_archive_is_named(archive, offline, tmp_path):
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"lfw\.tgz is not the file that it should be .*remove it"):
        fetch("lfw", tmp_path)


def test_without_a_network_lfw_says_what_to_put_where(offline, tmp_path):
    with pytest.raises(DataError, match=r"put lfw\.tgz \(SHA-256 055f7d.*pairsDevTest\.txt into \S+lfw_home"):
        fetch("lfw", tmp_path)


def test_the_checksum_is_that_of_the_loader():
    from sklearn.datasets import _lfw

    assert (_lfw.ARCHIVE.filename, _lfw.ARCHIVE.checksum) == module.LFW_ARCHIVE


def test_celeba_put_by_hand_becomes_a_folder_a_person(demo_faces, offline, tmp_path, monkeypatch):
    from torchvision.datasets import CelebA

    folder = tmp_path / "celeba" / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    photos = sorted(demo_faces.glob("*/*.jpg"))[:3]
    names = ["000001.jpg", "000002.jpg", "000003.jpg"]
    for name, photo in zip(names, photos, strict=True):
        (folder / "img_align_celeba" / name).write_bytes(photo.read_bytes())
    tables = {
        "identity_CelebA.txt": "".join(f"{name} {person}\n" for name, person in zip(names, (7, 9, 7), strict=True)),
        "list_eval_partition.txt": "".join(f"{name} 0\n" for name in names),
    }
    for name, head in (
        ("list_bbox_celeba.txt", 1),
        ("list_landmarks_align_celeba.txt", 1),
        ("list_attr_celeba.txt", 1),
    ):
        tables[name] = "3\n" + "one\n" * head + "".join(f"{photo} 1\n" for photo in names)
    files = [("", "", "img_align_celeba.zip")]
    for name, text in tables.items():
        (folder / name).write_text(text)
        files.append(("", hashlib.md5(text.encode()).hexdigest(), name))
    monkeypatch.setattr(CelebA, "file_list", files)
    root = fetch("celeba", tmp_path)
    assert sorted(str(file.relative_to(root)) for file in root.rglob("*.jpg")) == [
        "7/000001.jpg",
        "7/000003.jpg",
        "9/000002.jpg",
    ]
    assert (root / "9" / "000002.jpg").read_bytes() == photos[1].read_bytes()
    assert fetch("celeba", tmp_path) == root
    (folder / "identity_CelebA.txt").write_text("000001.jpg 8\n")
    with pytest.raises(DataError, match=r"celeba cannot be fetched .*put img_align_celeba\.zip"):
        fetch("celeba", tmp_path)


@pytest.mark.parametrize(("name", "place"), [("vggface2", "train"), ("casia", "CASIA-WebFace")])
def test_what_nobody_hands_on_is_put_by_hand(demo_faces, tmp_path, name, place):
    with pytest.raises(DataError, match=f"unpack it so that .*{place} has a folder a person"):
        fetch(name, tmp_path)
    (tmp_path / name / place).symlink_to(demo_faces)
    assert len(list_photos(Folder(str(fetch(name, tmp_path))))[0]) == 64


def test_bad_names_and_folders_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="'lwf' is unknown; choose one of lfw, celeba"):
        FetchConfig(datasets=("lwf",))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written.*choose another --out"):
        fetch("casia", tmp_path / "file")
