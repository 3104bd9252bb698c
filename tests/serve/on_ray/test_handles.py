"""What becomes of the errors of calls between deployments."""

import asyncio

import grpc
import pytest
import ray
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RequestCancelledError

from raymask.errors import BusyError, ChangingError, NoFaceError, UnavailableError
from raymask.serve.on_ray.gallery_replicas import GalleryName
from raymask.serve.on_ray.handles import RayGallery, RayStages, asked


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


class Gallery:
    """A handle of a search, answered by whichever gallery is there."""

    def __init__(self, here: GalleryName) -> None:
        self._here, self.search, self.compare = here, self, self

    def options(self, **_):
        return self

    async def remote(self, gallery: GalleryName, _embeddings, _sought: int | str) -> str:
        self._here.check(gallery)
        return "found"


@pytest.mark.parametrize("other", [GalleryName("other", "0"), GalleryName("people", "1")])
def test_a_call_for_one_gallery_is_not_answered_by_another(other):
    people = GalleryName("people", "0")

    def gallery(here: GalleryName) -> RayGallery:
        return RayGallery(Gallery(here), Gallery(here), people)

    assert asyncio.run(gallery(people).search(None, 1)) == asyncio.run(gallery(people).compare(None, "ann")) == "found"
    for asks in (gallery(other).search(None, 1), gallery(other).compare(None, "ann")):
        with pytest.raises(ChangingError, match="another gallery"):
            asyncio.run(asks)
