"""What becomes of the errors of calls between deployments."""

import asyncio

import grpc
import pytest
import ray
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RequestCancelledError

from raymask.errors import BusyError, ChangingError, NoFaceError, UnavailableError
from raymask.serve import handles
from raymask.serve.gallery_replicas import GalleryName
from raymask.serve.handles import RayGallery, RayStages, asked


class GrpcError(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


async def raises(error: Exception):
    raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RequestCancelledError("1"), UnavailableError),
        (DeploymentUnavailableError(None), UnavailableError),
        (GrpcError(grpc.StatusCode.CANCELLED), UnavailableError),
        (GrpcError(grpc.StatusCode.RESOURCE_EXHAUSTED), GrpcError),
        (ray.exceptions.ActorDiedError(), UnavailableError),
        (BackPressureError(num_queued_requests=1, max_queued_requests=1), BusyError),
        (ray.exceptions.RayTaskError("f", "", NoFaceError("nobody")), NoFaceError),
        (ray.exceptions.RayTaskError("f", "", ray.exceptions.ActorDiedError()), UnavailableError),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
def test_a_stage_that_is_away_is_said_to_be(error, expected):
    with pytest.raises(expected):
        asyncio.run(asked(raises(error)))


class Handle:
    """Of a deployment that counts who asks whether it is there."""

    def __init__(self, answer) -> None:
        self.asked, self._answer, self.ping = 0, answer, self

    def options(self, **_):
        return self

    def remote(self):
        self.asked += 1
        return self._answer()


def test_asking_often_whether_all_are_there_asks_them_once(plan):
    async def there():
        return True

    deployments = {"Detector": Handle(there), "Segmenter": Handle(lambda: raises(RuntimeError("what is that")))}

    async def ask() -> list[dict[str, str]]:
        stages = RayStages(deployments, plan)
        return await asyncio.gather(*(stages.states() for _ in range(20)))

    answers = asyncio.run(ask())
    assert answers == [{"Detector": "ready", "Segmenter": "away"}] * 20
    assert deployments["Detector"].asked == 1


class ChangingGallery:
    """A handle of a search whose replica is another gallery's until it has been asked a few times."""

    def __init__(self, changes_after: int) -> None:
        self._left, self.search = changes_after, self

    def options(self, **_):
        return self

    def remote(self, gallery: GalleryName, _embeddings, _people: int):
        self._left -= 1
        return self._answer(GalleryName("old" if self._left >= 0 else "new", "0"), gallery)

    async def _answer(self, here: GalleryName, asked_for: GalleryName) -> str:
        here.check(asked_for)
        return "found"


def test_while_a_deployment_changes_a_call_waits_for_the_models_that_it_means(monkeypatch):
    monkeypatch.setattr(handles, "_CHANGE_AGAIN", 0.001)
    monkeypatch.setattr(handles, "_CHANGE", 0.5)

    def search(changes_after: int):
        handle = ChangingGallery(changes_after)
        return asyncio.run(RayGallery(handle, handle, GalleryName("new", "0")).search(None, 1))

    assert search(3) == "found"
    with pytest.raises(ChangingError, match="another gallery"):
        search(10**9)
