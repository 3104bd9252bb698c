"""What a cluster has room for, and what is said where it has not."""

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
