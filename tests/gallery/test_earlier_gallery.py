"""A gallery made at commit 8cc0a1c opens, is searched as then, and is written on.

Its embeddings are random, its kept photo is noise; `gallery_8cc0a1c/expected.json` is what that commit read in it.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.galleries import SPACE, enrolment, files_holding, nearest, unit

from raymask.gallery.erasures import Erasures
from raymask.gallery.reader import GalleryReader
from raymask.gallery.store import GalleryStore

EARLIER = Path(__file__).parent / "data" / "gallery_8cc0a1c"


@pytest.fixture
def gallery(tmp_path) -> Path:
    return Path(shutil.copytree(EARLIER / "gallery", tmp_path / "gallery"))


def found(reader: GalleryReader, query: list[float]) -> list[tuple[str, float]]:
    return [(one.identity, one.score) for one in nearest(reader, np.array(query, np.float32), 4)]


def check_searches(reader: GalleryReader) -> None:
    for search in json.loads((EARLIER / "expected.json").read_text())["searches"]:
        people, scores = zip(*search["found"], strict=True)
        now, now_scores = zip(*found(reader, search["query"]), strict=True)
        assert now == people
        assert now_scores == pytest.approx(scores, abs=1e-6)


def test_an_earlier_gallery_is_read_as_it_was(gallery):
    reader = GalleryReader(str(gallery), SPACE)  # before a writer has opened it
    check_searches(reader)
    people = json.loads((EARLIER / "expected.json").read_text())["people"]
    assert reader.identities() == sorted((name, len(photos)) for name, photos in people.items())
    for name, photos in people.items():
        assert [
            {"key": one.key.hex(), "added": one.added.isoformat(), "looks": list(one.looks), "kept": one.kept}
            for one in reader.photos(name)
        ] == photos
    (kept,) = reader.pictures("ann")
    assert reader.picture("ann", kept.key) == (EARLIER / "picture.png").read_bytes()


def test_an_earlier_gallery_is_written_on(gallery):
    with GalleryStore(gallery, SPACE) as store:
        assert len(store) == 5
        assert set(store.erasures.times) == {Erasures.digest("gone")}
        reader = GalleryReader(str(gallery), SPACE)
        check_searches(reader)
        assert store.enrol([enrolment("dan", 7)]) == [True]
        reader.refresh()
        assert found(reader, unit(7).tolist())[0] == ("dan", pytest.approx(1, abs=1e-6))
        assert store.delete_pictures("ann") == 1
        assert files_holding(gallery, (EARLIER / "picture.png").read_bytes()) == []
        assert store.erase("ann") == 2
        assert files_holding(gallery, b"ann") == []
        reader.refresh()
        assert [name for name, _ in reader.identities()] == ["O'Hara", "bob", "cyd", "dan"]
