"""The Ray cluster: joining or starting it, what it offers, and what its errors mean."""

from __future__ import annotations

import logging
import os
import re
from importlib.metadata import version

from raymask import errors
from raymask.cluster_address import Address, check_listening, chosen
from raymask.cluster_start import check_home, check_temporary_folder, temporary_folder
from raymask.cluster_wait import Patience, token_wanted, wait_for_head, watched
from raymask.errors import ClusterError, DataError, RaymaskError, StoppedError
from raymask.ray_private import makes_token, reachable_host, take_own_token

GROWS = "RAYMASK_CLUSTER_GROWS"
"""Environment variable: 1 where machines are started as work waits for them, as `cluster.yaml` says."""


def connect() -> None:
    """Make sure that Ray runs: an address in RAY_ADDRESS or a submitted job's cluster, this user's, or one of its own.

    Raises:
        ClusterError: the cluster cannot be joined, or none can be started.
        StoppedError: SIGTERM came meanwhile.
    """
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")  # its lines are in its files
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")  # by itself it waits 5 s and kills it
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")  # it tells its plans; ours tells how far it is
    address = chosen()
    try:
        if address is None:
            _start()
        else:
            _join(address)
    except (ConnectionError, ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        raise _joining_error(error, address) from None
    except SystemExit:  # how Ray hears SIGTERM as it starts
        raise StoppedError("stopped before Ray was there") from None


def _start() -> None:
    """Start a cluster on this machine, for this process."""
    check_temporary_folder()
    if makes_token():
        check_home()
    _init("local")


def _join(address: Address) -> None:
    """Join the cluster there, once it answers. Raises ClusterError."""
    patience = Patience(address)
    if address.is_client:
        check_listening(address, address.host)
    else:
        host = reachable_host(address.host)
        check_listening(address, host)
        if address.named_by != "RAY_ADDRESS":
            take_own_token()
        theirs, ours = wait_for_head(patience, host), version("ray")
        if theirs != ours:
            raise ClusterError(_other_version(address.text, f"Ray {theirs}", f"Ray {ours}"))
    with watched(patience):
        _init(address.text)
    print(f"joined the Ray cluster at {address.text}, which {address.named_by} names", flush=True)


def _init(address: str) -> None:
    import ray

    hook = {"worker_process_setup_hook": f"{__name__}.tell_address"}
    ray.init(address, logging_level=logging.WARNING, runtime_env=hook)


def _joining_error(error: BaseException, address: Address | None) -> ClusterError:
    """The sentence for what `ray.init` raises; what says why is at the end of a chain of causes."""
    from ray.exceptions import AuthenticationError

    while error.__cause__ is not None:
        error = error.__cause__
    place = address.text if address else "this machine"
    text = str(error).strip()
    if isinstance(error, AuthenticationError):
        return ClusterError(token_wanted(place))
    if "Version mismatch" in text:
        theirs, ours = (
            f"Ray {ray} with Python {python}"
            for ray, python in zip(re.findall(r"Ray: (\S+)", text), re.findall(r"Python: (\S+)", text), strict=True)
        )
        return ClusterError(_other_version(place, theirs, ours))
    first = (text.splitlines() or [type(error).__name__])[0]
    if address is None:
        return ClusterError(f"Ray does not start on this machine ({first}); its logs are in {temporary_folder()}/ray")
    return ClusterError(
        f"the Ray cluster at {place}, which {address.named_by} names, cannot be joined ({first}); a job runs on one "
        f"of its machines, as `ray job submit` has it, or {address.way_out}"
    )


def _other_version(place: str, theirs: str, ours: str) -> str:
    return f"the Ray cluster at {place} runs {theirs} and this program {ours}; install the same on both"


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
