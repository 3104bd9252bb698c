"""The gallery's replicas, in this process: what they answer, and when they are no good any more."""

import asyncio
import time

import numpy as np
import pytest

from raymask.errors import ChangingError
from raymask.gallery.rows import Enrolment, photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space
from raymask.gallery.view import Candidate, Found, GallerySize, Likeness
from raymask.serve.on_ray import gallery_replicas
from raymask.serve.on_ray.gallery_replicas import GalleryName, GallerySearchReplica, GalleryWriterReplica

SPACE = Space(digest="a" * 64, size=4, recogniser="dlib")
ANN = np.eye(1, 4, dtype=np.float32)


def wait_until(true, what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_search_that_cannot_read_the_gallery_again_is_replaced(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([Enrolment(identity="ann", key=photo_key("ann", "1"), embeddings=ANN, looks=("",))])
    replica = GallerySearchReplica(str(tmp_path), SPACE)
    name = GalleryName(str(tmp_path), SPACE.digest)
    assert asyncio.run(replica.search(name, ANN, 1)) == Found([[Candidate("ann", 1.0)]], GallerySize(1, 1))
    assert asyncio.run(replica.compare(name, ANN[0], "ann")) == Likeness(score=1.0, embeddings=1)
    assert asyncio.run(replica.compare(name, ANN[0], "bob")) is None
    assert asyncio.run(replica.ping())
    replica.check_health()

    def fails():
        raise OSError("the folder is away")

    monkeypatch.setattr(gallery_replicas, "_STALE", 1.0)
    monkeypatch.setattr(replica._reader, "refresh", fails)
    wait_until(lambda: not asyncio.run(replica.ping()), "it goes on by what it has read for ever")
    with pytest.raises(RuntimeError, match="not followed any more"):
        replica.check_health()
    monkeypatch.undo()
    monkeypatch.setattr(gallery_replicas, "_STALE", 10.0)
    wait_until(lambda: asyncio.run(replica.ping()), "it reads again, and is not asked")


def test_a_deleted_photo_is_shown_by_no_replica(tmp_path):
    name = GalleryName(str(tmp_path), SPACE.digest)
    key = photo_key("ann", "1")

    async def asked() -> None:
        writer = GalleryWriterReplica(str(tmp_path), SPACE)
        search = GallerySearchReplica(str(tmp_path), SPACE)
        ann = Enrolment(identity="ann", key=key, embeddings=ANN, looks=("",), picture=b"OF-ANN")
        assert await writer.enrol(name, ann)
        assert [(one.key, one.size) for one in await search.pictures(name, "ann")] == [(key, 6)]
        assert await search.picture(name, "ann", key) == b"OF-ANN"
        assert await writer.delete_pictures(name, "ann", key) == 1
        assert await search.picture(name, "ann", key) is None, "at once"
        assert await search.pictures(name, "ann") == []
        assert await writer.delete_pictures(name, "ann", None) is None
        assert [one.identity for one in (await search.search(name, ANN, 1)).candidates[0]] == ["ann"]
        other = GalleryName(str(tmp_path), "b" * 64)
        for asks in (
            search.pictures(other, "ann"),
            search.picture(other, "ann", key),
            search.compare(other, ANN[0], "ann"),
        ):
            with pytest.raises(ChangingError):
                await asks

    asyncio.run(asked())
