"""The Ray cluster: joining or starting it, what it offers, and what its errors mean."""

from __future__ import annotations

import logging
import os
import re

from raymask.errors import DataError, RaymaskError


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
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")  # it tells its plans; ours tells how far it is
    try:
        ray.init(logging_level=logging.WARNING)
    except (ConnectionError, ValueError) as error:
        address = os.environ.get("RAY_ADDRESS")
        raise DataError(
            f"no Ray cluster answers at {address} ({error}); start one with `ray start --head` or unset RAY_ADDRESS"
        ) from None


def check_resources(*, cpus: float, gpus: float) -> None:
    """Raise DataError if the cluster has fewer: Ray itself would wait for ever."""
    import ray

    offered = ray.cluster_resources()
    for name, wanted, options in (("CPU", cpus, "--workers or --cpus-per-worker"), ("GPU", gpus, "--workers")):
        if wanted > offered.get(name, 0):
            raise DataError(
                f"the run asks for {wanted:g} {name}s and the cluster has {offered.get(name, 0):g}; lower {options}, "
                f"or add machines"
            )


def own_error(error: BaseException) -> RaymaskError:
    """The raymask error inside an error of Ray's, or a sentence about the cluster's failure.

    Ray hands a worker's exception on in wrappers that differ by library and lose its cause; all of them keep the
    worker's traceback as text, and raymask's messages are one line.
    """
    text = str(error).strip()
    own = re.search(r"^raymask\.errors\.\w+: (.+)$", text, flags=re.MULTILINE)
    if own:
        return DataError(own[1])
    last_line = text.splitlines()[-1] if text else type(error).__name__
    return DataError(f"the cluster failed ({last_line}); the same command run again continues")
