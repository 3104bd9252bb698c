"""A photo that is decoded without end."""

import asyncio
import threading

import pytest

from raymask.errors import ImageError
from raymask.faces import images


@pytest.fixture
def hangs(monkeypatch):
    """Makes each photo hang until it is set; `begun` is set when one does."""
    ends, ends_begun = threading.Event(), threading.Event()

    def open_without_end(*_, **__):
        ends_begun.set()
        ends.wait(60)
        raise ValueError("it has ended")

    monkeypatch.setattr(images.Image, "open", open_without_end)
    ends.begun = ends_begun
    return ends


def test_a_decoding_without_end_makes_the_service_not_ready(ask, service, hangs, faces_of, monkeypatch):
    photo = faces_of(0)[0].read_bytes()
    now = [0.0]
    if hasattr(service, "decoding"):
        monkeypatch.setattr(service.decoding, "_clock", lambda: now[0])
    with asyncio.Runner() as runner:
        asked = runner.get_loop().create_task(service.segment(photo))
        runner.run(asyncio.sleep(0.01))
        assert hangs.begun.wait(30)
        now[0] = 29.0
        assert ask("GET", "/readyz").status_code == 200, "legal work may take a while"
        now[0] = 31.0
        answer = ask("GET", "/readyz")
        hangs.set()
        with pytest.raises(ImageError, match="it has ended"):
            runner.run(wait_for(asked))
    assert (answer.status_code, answer.json()["stages"].get("Decoding")) == (503, "stuck")
    assert ask("GET", "/readyz").status_code == 200


async def wait_for(task):
    return await task
