"""What a cluster has room for, and what is said where it has not."""

import subprocess
import sys

import pytest

from raymask.cluster import GROWS, check_places, worker_places
from raymask.errors import DataError


@pytest.fixture
def machines(monkeypatch):
    """Set what the cluster's machines have, as Ray tells it."""
    import ray

    def be(*machines: dict[str, float]) -> None:
        nodes = [{"Alive": True, "Resources": machine} for machine in machines]
        monkeypatch.setattr(ray, "nodes", lambda: [*nodes, {"Alive": False, "Resources": {"CPU": 64.0}}])
        sums = {name: sum(machine.get(name, 0) for machine in machines) for name in ("CPU", "GPU")}
        monkeypatch.setattr(ray, "cluster_resources", lambda: sums)

    monkeypatch.delenv(GROWS, raising=False)
    return be


def test_a_worker_must_fit_on_one_machine(machines):
    machines({"CPU": 2.0}, {"CPU": 3.0, "GPU": 1.0})
    assert worker_places(cpus=1, gpu=False) == 5
    assert worker_places(cpus=2, gpu=False) == 2
    assert worker_places(cpus=3, gpu=True) == 1
    assert worker_places(cpus=4, gpu=False) == 0
    check_places(2, cpus=2, gpu=False)
    with pytest.raises(DataError, match=r"room for 0 of 1 workers, .* one machine with 4 CPUs"):
        check_places(1, cpus=4, gpu=False)


def test_too_few_in_all_are_counted(machines):
    machines({"CPU": 2.0}, {"CPU": 2.0, "GPU": 1.0})
    with pytest.raises(DataError, match=r"asks for 8 CPUs and the cluster has 4; lower --workers or --cpus-per-worker"):
        check_places(8, cpus=1, gpu=False)
    with pytest.raises(DataError, match=r"asks for 2 GPUs and the cluster has 1; lower --workers, or"):
        check_places(2, cpus=1, gpu=True)


def test_a_cluster_that_grows_is_waited_for(machines, monkeypatch, capsys):
    machines({"CPU": 0.0})
    monkeypatch.setenv(GROWS, "1")
    check_places(4, cpus=14, gpu=True)
    assert "room for 0 of 4 workers now and waits for machines" in capsys.readouterr().out


ASK_FOR_ITSELF = """
import ray
from raymask.cluster import connect

connect()

@ray.remote
class Actor:
    def state(self):
        from ray.util.state import get_actor
        return get_actor(ray.get_runtime_context().get_actor_id()).state

print(ray.get(Actor.remote().state.remote()))
"""


@pytest.mark.faults
@pytest.mark.usefixtures("ray_cluster")
def test_workers_ask_their_own_cluster_where_another_one_runs():
    asked = subprocess.run(
        [sys.executable, "-c", ASK_FOR_ITSELF], capture_output=True, text=True, timeout=400, check=False
    )
    assert asked.stdout == "ALIVE\n", asked.stderr[-3000:]
