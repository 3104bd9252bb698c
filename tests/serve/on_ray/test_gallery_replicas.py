"""The gallery's replicas, in this process: what they answer, and when they are no good any more."""

import asyncio
import time

import numpy as np
import pytest

from raymask.gallery.rows import Enrolment, photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space
from raymask.serve.on_ray import gallery_replicas
from raymask.serve.on_ray.gallery_replicas import GalleryName, GallerySearchReplica

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
    assert [one.identity for one in asyncio.run(replica.search(name, ANN, 1))[0]] == ["ann"]
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
