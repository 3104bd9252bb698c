"""Ray Train around the loop: workers, checkpoints, continuing, and the bundle at the end."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymask import __version__
from raymask.cluster import check_places, connect, own_error
from raymask.data.crop_index import INDEX
from raymask.data.prepare import SUMMARY
from raymask.data.storage import Folder, absolute
from raymask.errors import ConfigError, DataError, StoppedError, TrainingError, UnsavedError
from raymask.progress import Waiting
from raymask.stopping import asked_by_sigterm
from raymask.train.checkpoints import FOLDER, Checkpoints, State
from raymask.train.claim import claim
from raymask.train.config import LoopConfig, TrainConfig, WatchConfig, loop_config

if TYPE_CHECKING:
    from ray.train import UserCallback
    from ray.train.torch import TorchTrainer

    from raymask.train.watch import Watch

SETTINGS = "settings.json"
"""File of a run: the loop's settings, so that another run cannot go on under its name."""

STOP = "stop"
"""File of a run: there while its workers are asked to leave a checkpoint and stop."""

STARTED = "started"
"""File of a run: there while its workers work, with the machine and the process of the first."""


def train_on_ray(config: TrainConfig) -> tuple[str, dict[str, float]]:
    """Train through Ray Train, or go on with the run of that name, and leave the bundle in STORAGE/NAME/bundle.

    Returns:
        The bundle's address, and the metrics of the last epoch.

    Raises:
        DataError: no data, other settings under the same name, a cluster too small, or a run that failed.
        TrainingError: the settings cannot be trained with.
        StoppedError: the process was told to end (SIGTERM) and did so after a checkpoint.
    """
    run = Folder(f"{absolute(config.storage)}/{config.name}")
    check_data(config.data)
    _claim(run, config)
    newest = Checkpoints(run).newest()
    if newest is None or newest[1]["epoch"] < config.epochs:
        _run_workers(config, run)
        newest = Checkpoints(run).newest()
    if newest is None:
        raise DataError(f"the run left no checkpoint in {run.uri}; start it again")
    return _bundle(config, run, newest[1]), newest[1]["metrics"]


def _run_workers(config: TrainConfig, run: Folder) -> None:
    """Have the workers train to the end, and raise whatever ends them earlier."""
    import ray
    from ray.train import TrainingFailedError

    run.delete(STARTED)
    run.delete(STOP)
    workers = "1 worker" if config.workers == 1 else f"{config.workers} workers"
    with Waiting(f"train: starting {workers}", until=lambda: run.exists(STARTED)):
        connect()
        check_places(config.min_workers or config.workers, cpus=config.cpus_per_worker, gpu=config.gpu)
        at_once = "stopped at once; the same command continues from the last checkpoint"
        with asked_by_sigterm(partial(_ask_to_stop, run), at_once=at_once):
            try:
                end = make_trainer(config).fit().return_value
            except (TrainingFailedError, ray.exceptions.RayError) as error:
                raise own_error(error) from error
    run.delete(STARTED)
    raise_failure(end, run)
    if not end["finished"]:
        run.delete(STOP)
        raise StoppedError("stopped after a checkpoint; the same command continues from it")
    print("train: workers are done, making the bundle", flush=True)


def raise_failure(end: dict[str, Any], run: Folder) -> None:
    """Raise what the workers of a run have agreed on, if its `return_value` is a failure.

    Raises:
        TrainingError: its settings cannot be trained with, however often it is tried.
        DataError: it could not be kept.
    """
    if "failed" not in end:
        return
    newest = Checkpoints(run).names()[-1:]
    kept = f"; the last good checkpoint is {run / newest[0]}" if newest else ""
    raise (DataError if end["unsaved"] else TrainingError)(end["failed"] + kept)


def make_trainer(config: TrainConfig, *, callbacks: Sequence[UserCallback] = ()) -> TorchTrainer:
    """The trainer of a run; its result's `return_value` says whether it `finished`, or how it `failed`.

    Args:
        config: the run; Ray Train's own files lie in STORAGE/NAME too.
        callbacks: called with the metrics of each epoch.
    """
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    storage = absolute(config.storage)
    return TorchTrainer(
        _worker,
        train_loop_config={
            "run": f"{storage}/{config.name}",
            "gpu": config.gpu,
            "settings": _settings(config),
            "save_every": config.checkpoint_every,
            "watch": asdict(config.watch),
        },
        scaling_config=ScalingConfig(
            num_workers=(config.min_workers, config.workers) if config.min_workers else config.workers,
            use_gpu=config.gpu,
            resources_per_worker={"CPU": config.cpus_per_worker, **({"GPU": 1} if config.gpu else {})},
        ),
        run_config=RunConfig(
            name=config.name,
            storage_path=storage,
            failure_config=FailureConfig(max_failures=3),
            callbacks=list(callbacks),
            logging_config=LoggingConfig(log_level="WARNING"),
            worker_runtime_env={"env_vars": {"RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}},  # it prints every line twice
        ),
    )


def _ask_to_stop(run: Folder) -> bool:
    """Ask the workers for a checkpoint and an end, if they have begun."""
    if not run.exists(STARTED):
        return False
    print("train: told to stop, waiting for the checkpoint", flush=True)
    run.write(STOP, b"")
    return True


def _worker(task: dict[str, Any]) -> dict[str, Any]:
    """What each Ray Train worker does."""
    import ray.train.torch
    import torch

    from raymask.train.loop import Surroundings, train

    logging.getLogger().setLevel(logging.WARNING)  # Ray Train announces each report; ours says what is in it
    run, first = Folder(task["run"]), ray.train.get_context().get_world_rank() == 0
    if first:
        run.write(STARTED, f"{socket.gethostname()} {os.getpid()}".encode())
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))  # Ray sets it to the worker's CPUs

    def report(metrics: dict[str, float]) -> None:
        if first:
            print(_sentence(metrics), flush=True)
        ray.train.report({key: float(value) for key, value in metrics.items()})

    config = loop_config(task["settings"])
    device = ray.train.torch.get_device() if task["gpu"] else torch.device("cpu")
    checkpoints = Checkpoints(run)
    resume = checkpoints.agreed()
    if resume is not None and first:
        print(f"going on at epoch {resume['epoch'] + 1}, step {resume['step'] + 1}", flush=True)
    try:
        with _watching(WatchConfig(**task["watch"]), first, run, config=config, resume=resume) as watch:

            def save(state: State) -> None:
                checkpoints.save(state)
                if watch is not None:
                    watch.publish()

            around = Surroundings(
                report=report, save=save, save_every=task["save_every"], stop=_Asked(run), watch=watch
            )
            return {"finished": train(config, around, resume=resume, device=device).finished}
    except (ConfigError, TrainingError, UnsavedError) as error:  # all ranks meet these alike; no new try would help
        return {"failed": str(error), "unsaved": isinstance(error, UnsavedError)}


@contextlib.contextmanager
def _watching(
    watch: WatchConfig, first: bool, run: Folder, *, config: LoopConfig, resume: State | None
) -> Iterator[Watch | None]:
    """The first rank's watch; if it cannot be opened all ranks end, for the others would wait for ever."""
    import torch.distributed as dist

    from raymask.train.watch import open_watch

    with contextlib.ExitStack() as stack:
        opened, failure = None, ""
        try:
            opened = stack.enter_context(open_watch(watch if first else None, run, config=config, resume=resume))
        except (ConfigError, DataError) as error:
            failure = str(error)
        failures = [failure]
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.broadcast_object_list(failures)
        if failures[0]:
            raise ConfigError(failures[0])
        yield opened


class _Asked:
    """Whether the run is asked to stop; storage is not looked at more often than twice a second.

    Storage that stumbles is no reason to end a training.
    """

    def __init__(self, run: Folder) -> None:
        self._run = run
        self._next = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 0.5
        with contextlib.suppress(DataError):
            return self._run.exists(STOP)
        return False


def _sentence(metrics: dict[str, float]) -> str:
    """An epoch's metrics as a line."""
    words = [f"epoch {metrics['epoch']:.0f} done: loss {metrics['loss']:.4f}"]
    words.append(f"{metrics['photos_per_second']:.0f} photos/s")
    if "val_bare" in metrics:
        words.append(f"validation rank-1: bare {metrics['val_bare']:.1%}, masked {metrics['val_masked']:.1%}")
    if metrics["unvisited"]:
        words.append(f"{metrics['unvisited']:,.0f} photos did not come up and are first in the next")
    if metrics["empty_steps"]:
        words.append(f"{metrics['empty_steps']:.0f} steps without an active quintuplet")
    return ", ".join(words)


def check_data(data: str) -> None:
    """Raise DataError here rather than in every worker."""
    names = Folder(data).names()
    if not any(name.startswith("split=train/") for name in names):
        raise DataError(f"{data} holds no prepared training faces; make them with jobs/prepare.py --out {data}")
    if SUMMARY not in names:
        raise DataError(f"{data} is not prepared to its end; run jobs/prepare.py again, it continues")
    if INDEX not in names:
        raise DataError(f"{data} was prepared by an earlier version of raymask; prepare again into another --out")


def _settings(config: TrainConfig) -> dict[str, Any]:
    """The loop's settings as plain values, with the data's address as workers in other folders need it."""
    return asdict(config.loop()) | {"data": absolute(config.data)}


def _claim(run: Folder, config: TrainConfig) -> None:
    """Keep the settings with the run; a run of that name that has trained with others is refused before it starts."""
    has_trained = any(name.startswith(f"{FOLDER}/") for name in run.names())
    claim(run, SETTINGS, _settings(config), kind="run", begun=has_trained, free=("epochs",))


def _bundle(config: TrainConfig, run: Folder, state: State) -> str:
    """Make the bundle of a checkpoint in the run's folder."""
    from raymask.faces.crop import CROP_SCALE, CROP_SIZE
    from raymask.models.bundle import save_bundle
    from raymask.models.embedder import MaskFaceNet

    network = MaskFaceNet(config.model)
    network.load_state_dict(state["model"])
    settings = {
        key: value for key, value in asdict(config).items() if key != "watch"
    }  # its address may hold a password
    target = Folder(run / "bundle")
    with tempfile.TemporaryDirectory() as folder:
        made = save_bundle(
            Path(folder) / "bundle",
            network,
            preprocessing={"crop_scale": CROP_SCALE, "crop_size": CROP_SIZE, "input_size": config.model.input_size},
            metrics=state["metrics"],
            training={"raymask": __version__, "settings": settings},
        )
        for name in ("model.safetensors", "config.json"):  # config.json last: without it there is no bundle
            target.write(name, (made / name).read_bytes())
    return target.uri
