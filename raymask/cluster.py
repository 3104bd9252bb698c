"""The Ray cluster: joining or starting it, what it offers, and what its errors mean."""

from __future__ import annotations

import logging
import os
import re

from raymask import errors
from raymask.errors import DataError, RaymaskError

GROWS = "RAYMASK_CLUSTER_GROWS"
"""Environment variable: 1 where machines are started as work waits for them, as `cluster.yaml` says."""


def connect() -> None:
    """Make sure that Ray runs: an address in RAY_ADDRESS or a submitted job's cluster, else a local one.

    Raises:
        DataError: an address is set and no cluster answers there.
    """
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")  # its lines are in its files
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")  # by itself it waits 5 s and kills it
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")  # it tells its plans; ours tells how far it is
    try:
        ray.init(logging_level=logging.WARNING, runtime_env={"worker_process_setup_hook": f"{__name__}.tell_address"})
    except (ConnectionError, ValueError) as error:
        address = os.environ.get("RAY_ADDRESS")
        raise DataError(
            f"no Ray cluster answers at {address} ({error}); start one with `ray start --head` or unset RAY_ADDRESS"
        ) from None


def tell_address() -> None:
    """In each worker, which else looks for any cluster on the machine when Ray Train asks whether a training lives.

    Where there are two, it finds none, or the wrong one, which does not know the training: its workers are stopped.
    """
    import ray

    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address


def worker_places(*, cpus: int, gpu: bool) -> int:
    """How many workers of so many CPU cores, and with a GPU each, the machines that are there can hold."""
    import ray

    needs = {"CPU": cpus, "GPU": int(gpu)}
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(
        min(int(machine.get(name, 0) // count) for name, count in needs.items() if count) for machine in machines
    )


def check_places(workers: int, *, cpus: int, gpu: bool) -> None:
    """Raise DataError if the machines cannot hold the workers, for which Ray itself would wait for ever.

    Where more machines come as work waits for them (GROWS), it is only said.
    """
    import ray

    places = worker_places(cpus=cpus, gpu=gpu)
    if places >= workers:
        return
    if os.environ.get(GROWS) == "1":
        print(f"the cluster has room for {places} of {workers} workers now and waits for machines", flush=True)
        return
    offered = ray.cluster_resources()
    for name, wanted in (("CPU", workers * cpus), ("GPU", workers * gpu)):
        if wanted > offered.get(name, 0):
            options = "--workers or --cpus-per-worker" if name == "CPU" else "--workers"
            raise DataError(
                f"the run asks for {wanted:g} {name}s and the cluster has {offered.get(name, 0):g}; lower {options}, "
                f"or add machines"
            )
    raise DataError(
        f"the cluster's machines have room for {places} of {workers} workers, for each must fit on one machine with "
        f"{cpus} CPUs{' and a GPU' if gpu else ''}; lower --workers or --cpus-per-worker, or add machines"
    )


def own_error(error: BaseException | str) -> RaymaskError:
    """The raymask error inside an error of Ray's, or a sentence about the cluster's failure.

    Ray hands a worker's exception on in wrappers that differ by library and lose its cause; all of them keep the
    worker's traceback as text, and raymask's messages are one line.
    """
    text = str(error).strip()
    own = re.search(r"^raymask\.errors\.(\w+): (.+)$", text, flags=re.MULTILINE)
    if own:
        kind: type[RaymaskError] = getattr(errors, own[1], DataError)
        return kind(own[2])
    last_line = text.splitlines()[-1] if text else type(error).__name__
    return DataError(f"the cluster failed ({last_line}); the same command run again continues")
