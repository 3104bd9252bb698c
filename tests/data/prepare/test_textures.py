"""Folders of a user's own pictures: what is read, what is named as unusable, and by what they are told apart."""

import uuid
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from raymask.data.prepare.textures import load_textures
from raymask.errors import DataError
from raymask.faces.images import encode_png
from raymask.storage import Folder


def picture(path: Path, value: int = 90, size: tuple[int, int] = (60, 40)) -> None:
    Image.new("RGB", size, (value, 40, 40)).save(path)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.jpg", "b.PNG", "c.webp", "d.jpeg"):
        picture(tmp_path / name)
    return tmp_path


def test_pictures_of_every_format_are_read(folder, capsys):
    (folder / "below").mkdir()
    picture(folder / "below" / "e.png")
    textures = load_textures(str(folder))
    assert textures.names == ("a.jpg", "b.PNG", "c.webp", "d.jpeg")
    assert capsys.readouterr().out == "", "nothing is wrong"
    assert load_textures(None) is None


def test_they_are_read_from_uris_too():
    address = f"memory://{uuid.uuid4().hex}"
    Folder(address).write("a.png", encode_png(np.zeros((30, 30, 3), np.uint8)))
    assert load_textures(address).names == ("a.png",)


def test_files_that_are_no_pictures_are_counted_and_named(folder, capsys):
    (folder / "0.txt").write_text("notes")
    (folder / "broken.png").write_bytes(b"no picture")
    picture(folder / "tiny.png", size=(10, 10))
    for number in range(4):
        (folder / f"film{number}.mp4").write_bytes(b"film")
    textures = load_textures(str(folder))
    assert len(textures.names) == 4
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        f"textures: 7 of 11 files in {folder} cannot be used as pictures: 0.txt, broken.png, film0.mp4, film1.mp4, "
        "film2.mp4 and 2 more"
    )
    load_textures(str(folder), quiet=True)
    assert capsys.readouterr().out == ""


def test_a_folder_without_a_picture_is_an_error(tmp_path):
    (tmp_path / "below").mkdir()
    picture(tmp_path / "below" / "a.png")
    with pytest.raises(DataError, match=r"holds no picture: it takes JPEG, PNG or WebP .* not in folders below it$"):
        load_textures(str(tmp_path))
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(DataError, match=r"below it; notes.txt cannot be used$"):
        load_textures(str(tmp_path))
    with pytest.raises(DataError, match="missing holds no picture"):
        load_textures(str(tmp_path / "missing"))


def test_the_digest_tells_pictures_and_names_apart_and_no_other_file(folder, tmp_path_factory):
    first = load_textures(str(folder)).digest
    (folder / "notes.txt").write_text("notes")
    assert load_textures(str(folder), quiet=True).digest == first
    moved = tmp_path_factory.mktemp("moved")
    for file in folder.glob("*.*"):
        (moved / file.name).write_bytes(file.read_bytes())
    assert load_textures(str(moved), quiet=True).digest == first
    (moved / "a.jpg").rename(moved / "z.jpg")
    renamed = load_textures(str(moved), quiet=True).digest
    picture(folder / "a.jpg", value=200)
    assert len({first, renamed, load_textures(str(folder), quiet=True).digest}) == 3


def test_large_pictures_are_shrunk(tmp_path):
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((3000, 4000, 3), np.uint8))
    large = load_textures(str(tmp_path)).picked("")
    assert max(large.pixels.shape) < 500
