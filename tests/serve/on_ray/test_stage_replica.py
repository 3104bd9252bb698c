"""A stage's replica, without Ray: whose networks it asks, and whether it knows when they do not work any more."""

import asyncio

import pytest

from raymask.errors import ChangingError, NoFaceError
from raymask.serve.core.config import StageConfig
from raymask.serve.on_ray.replica_health import FAILURES, PATIENCE, ReplicaHealth
from raymask.serve.on_ray.stage_replica import StageReplica


class Network:
    """Works, fails, or says that there is no face."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __call__(self, photo: int) -> int:
        if self.error:
            raise self.error
        return 2 * photo


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def replica(network) -> StageReplica:
    return StageReplica(lambda: network, ("a", "b"), StageConfig())


def test_it_answers_for_its_own_networks_alone(replica):
    assert asyncio.run(replica(1)) == 2
    assert asyncio.run(replica(1, networks=("a", "b"))) == 2
    with pytest.raises(ChangingError, match="another network"):
        asyncio.run(replica(1, networks=("a", "c")))


def test_settings_that_are_taken_out_are_those_of_the_start_again(replica):
    replica.reconfigure({"batch": 3, "wait": 0.5})
    assert (replica._batches.most, replica._batches.wait) == (3, 0.5)
    replica.reconfigure(None)
    assert (replica._batches.most, replica._batches.wait) == (8, 0)


def test_a_network_that_fails_for_whatever_comes_is_given_up(replica, network):
    def ask(times: int) -> None:
        for _ in range(times):
            with pytest.raises(type(network.error)):
                asyncio.run(replica(1))

    network.error = RuntimeError("CUDA error: unspecified launch failure")
    ask(FAILURES - 1)
    replica.check_health()
    network.error = None
    asyncio.run(replica(1))
    network.error = NoFaceError("nobody")
    ask(FAILURES)
    replica.check_health()
    network.error = RuntimeError("CUDA error: unspecified launch failure")
    ask(FAILURES)
    with pytest.raises(RuntimeError, match=f"failed {FAILURES} times.*CUDA error"):
        replica.check_health()


def test_a_network_that_does_not_come_back_is_given_up():
    now = 0.0
    health = ReplicaHealth(lambda: now)
    with health.at_work():
        now = PATIENCE
        health.check()
        now = PATIENCE + 1
        with pytest.raises(RuntimeError, match="one batch for more than"):
            health.check()
    health.check()
