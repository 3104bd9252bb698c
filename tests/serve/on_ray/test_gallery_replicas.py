"""The gallery's replicas, in this process: what they answer, and when they are no good any more."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ray.serve import metrics
from support.galleries import alike, people_of, search_table, unlike

from raymask.errors import ChangingError
from raymask.gallery.rows import Enrolment, photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space
from raymask.gallery.view import Candidate, Found, GallerySize, Likeness
from raymask.serve.core.self_check import SelfCheck, Share
from raymask.serve.on_ray import gallery_replicas
from raymask.serve.on_ray.gallery_replicas import GalleryName, GallerySearchReplica, GalleryWriterReplica
from raymask.serve.on_ray.metrics import GalleryMetrics

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


@pytest.fixture
def gauges(monkeypatch) -> dict[str, float]:
    """What Prometheus would hear, by name and tags."""
    told: dict[str, float] = {}

    class Gauge:
        def __init__(self, name: str, description: str, tag_keys: tuple[str, ...] = ()) -> None:
            assert description
            self._name, self._tag_keys = name, tag_keys

        def set(self, value: float, tags: dict[str, str] | None = None) -> None:
            assert set(tags or {}) == set(self._tag_keys)
            told[" ".join([self._name, *(tags or {}).values()])] = value

    monkeypatch.setattr(metrics, "Gauge", Gauge)
    return told


@pytest.fixture
def log(caplog) -> Iterator[pytest.LogCaptureFixture]:
    """What the replicas log, also where Serve keeps its lines to itself."""
    logger = logging.getLogger("ray.serve")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


ROOMY = Space(digest="b" * 64, size=64, recogniser="dlib")


@pytest.mark.parametrize(("people", "warned"), [(alike(250), True), (unlike(250), False)], ids=["alike", "unlike"])
def test_a_gallery_that_breaks_the_promise_is_warned_of_once(tmp_path, monkeypatch, log, gauges, people, warned):
    monkeypatch.setattr(gallery_replicas, "_CHECKS", 0.05)
    name = GalleryName(str(tmp_path), ROOMY.digest)
    with GalleryStore(tmp_path, ROOMY) as store:
        store.enrol(people_of(people))
    replica = GallerySearchReplica(str(tmp_path), ROOMY, search_table())
    wait_until(lambda: "raymask_gallery_warning" in gauges, "it is checked when it starts")
    time.sleep(0.5)
    lines = {id(record) for record in log.records if "jobs/calibrate.py" in record.getMessage()}
    assert len(lines) == warned, "once a check, and the gallery has not changed"
    state = asyncio.run(replica.state(name))
    assert (state.people, state.embeddings, state.check.exceeds) == (250, 250, warned)
    assert len(state.check.nearest) == 5
    assert not re.search(r"p\d{4}", log.text), "names nobody"
    assert gauges["raymask_gallery_warning"] == warned
    for share in state.check.shares:
        assert gauges[f"raymask_gallery_observed {share.expected}"] == share.observed
    with pytest.raises(ChangingError):
        asyncio.run(replica.state(GalleryName(str(tmp_path), "c" * 64)))


def test_a_check_that_fails_is_said_and_made_again(tmp_path, monkeypatch, log):
    monkeypatch.setattr(gallery_replicas, "_CHECKS", 0.05)
    fails, update = [True], gallery_replicas.GalleryChecks.update

    def fails_once(checks):
        if fails:
            raise OSError(f"the folder is away {fails.pop()}")
        return update(checks)

    monkeypatch.setattr(gallery_replicas.GalleryChecks, "update", fails_once)
    with GalleryStore(tmp_path, ROOMY) as store:
        store.enrol(people_of(unlike(250)))
    replica = GallerySearchReplica(str(tmp_path), ROOMY, search_table())
    name = GalleryName(str(tmp_path), ROOMY.digest)
    wait_until(lambda: asyncio.run(replica.state(name)).check, "it is not checked again")
    assert "the gallery could not be checked: the folder is away" in log.text
    replica.check_health()


def test_the_dashboard_asks_for_what_is_told(gauges):
    shares = (Share(0.01, 0.5, True),)
    GalleryMetrics()(SelfCheck(checked=None, people=1, embeddings=1, searched=1, shares=shares, nearest=()))
    grafana = json.loads((Path(__file__).parents[3] / "serve_configs" / "grafana.json").read_text())
    asked = re.findall(r"ray_(raymask_gallery_[a-z_]+)\{", json.dumps(grafana))
    assert set(asked) == {name.partition(" ")[0] for name in gauges}
