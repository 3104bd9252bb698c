"""Ray Train around the loop: workers, checkpoints, continuing, and the bundle at the end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from raymask.cluster import check_places, connect, own_error
from raymask.data.format.crop_index import INDEX
from raymask.data.prepare.layout import FORMAT, PLAN, SUMMARY
from raymask.data.reading.joined import Data, folders_of
from raymask.errors import ConfigError, DataError, ModelError, StoppedError, TrainingError, UnsavedError
from raymask.plugins import allow
from raymask.progress import Waiting
from raymask.stopping import asked_by_sigterm
from raymask.storage import Folder, absolute
from raymask.train.engine.checkpoints import FOLDER, Checkpoints, State
from raymask.train.engine.config import RunConfig, WatchConfig
from raymask.train.engine.export import leave_bundle
from raymask.train.engine.hooks import LoopHooks, Metrics
from raymask.train.engine.resume_guard import claim
from raymask.train.on_ray.tasks import Task, task_of

if TYPE_CHECKING:
    from ray.train import UserCallback
    from ray.train.torch import TorchTrainer

    from raymask.train.engine.run_log import RunLog

SETTINGS = "settings.json"
"""File of a run: the loop's settings, so that another run cannot go on under its name."""

STOP = "stop"
"""File of a run: there while its workers are asked to leave a checkpoint and stop."""

STARTED = "started"
"""File of a run: there while its workers work, with the machine and the process of the first."""


def train_on_ray(config: RunConfig) -> tuple[str, Metrics]:
    """Train through Ray Train, or go on with the run of that name, and leave the bundle in STORAGE/NAME/bundle.

    Returns:
        The bundle's address, and the metrics of the last epoch or stage.

    Raises:
        DataError: no data, other settings under the same name, a cluster too small, or a run that failed.
        ConfigError, ModelError: what it learns from cannot be had, or it is to end earlier than it has come already.
        TrainingError: the settings cannot be trained with.
        StoppedError: the process was told to end (SIGTERM) and did so, after a checkpoint if it had begun to learn.
    """
    if config.own:
        allow(config.own)
    run = Folder(f"{absolute(config.storage)}/{config.name}")
    task = task_of(config)
    for key in ("data", "worn"):
        if task.settings.get(key) is not None:
            check_data(task.settings[key])
    trainer = make_trainer(config, task)
    _claim(run, task)
    newest = Checkpoints(run).newest()
    if newest is None or not task.ended(newest[1]):
        _run_workers(config, run, trainer)
        newest = Checkpoints(run).newest()
    if newest is None:
        raise DataError(f"the run left no checkpoint in {run.uri}; start it again")
    return _bundle(config, task, run, newest[1]), newest[1]["metrics"]


def _run_workers(config: RunConfig, run: Folder, trainer: TorchTrainer) -> None:
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
                end = trainer.fit().return_value
            except (TrainingFailedError, ray.exceptions.RayError) as error:
                raise own_error(error) from error
    run.delete(STARTED)
    raise_failure(end, run)
    if not end["finished"]:
        run.delete(STOP)
        if Checkpoints(run).names():
            raise StoppedError("stopped after a checkpoint; the same command continues from it")
        raise StoppedError("stopped before there was anything to keep; the same command starts anew")
    print("train: workers are done, making the bundle", flush=True)


def raise_failure(end: dict[str, Any], run: Folder) -> None:
    """Raise what the workers of a run have agreed on, if its `return_value` is a failure.

    Raises:
        TrainingError: its settings cannot be trained with, however often it is tried.
        DataError: it could not be kept.
    """
    if "failed" not in end:
        return
    newest = Checkpoints(run).newest()
    kept = f"; the last good checkpoint is {run / newest[0]}" if newest else ""
    raise (DataError if end["unsaved"] else TrainingError)(end["failed"] + kept)


def make_trainer(config: RunConfig, task: Task, *, callbacks: Sequence[UserCallback] = ()) -> TorchTrainer:
    """The trainer of a run; its result's `return_value` says whether it `finished`, or how it `failed`.

    Args:
        config: where it runs; Ray Train's own files lie in STORAGE/NAME too.
        task: what it trains.
        callbacks: called with the metrics of each epoch or stage.
    """
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    storage = absolute(config.storage)
    return TorchTrainer(
        _worker,
        train_loop_config={
            "run": f"{storage}/{config.name}",
            "gpu": config.gpu,
            "task": task,
            "save_every": config.checkpoint_every,
            "watch": config.watch,
            "own": config.own,
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


def _worker(given: dict[str, Any]) -> dict[str, Any]:
    """What each Ray Train worker does."""
    import ray.train.torch
    import torch

    task: Task = given["task"]
    logging.getLogger().setLevel(logging.WARNING)  # Ray Train announces each report; ours says what is in it
    allow(given["own"])
    run, first = Folder(given["run"]), ray.train.get_context().get_world_rank() == 0
    if first:
        run.write(STARTED, f"{socket.gethostname()} {os.getpid()}".encode())
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))  # Ray sets it to the worker's CPUs

    def report(metrics: dict[str, float]) -> None:
        if first:
            print(task.sentence(metrics), flush=True)
        ray.train.report({key: float(value) for key, value in metrics.items()})

    device = ray.train.torch.get_device() if given["gpu"] else torch.device("cpu")
    checkpoints = Checkpoints(run)
    resume = checkpoints.agreed()
    if resume is not None and first:
        print(f"going on at epoch {resume['epoch'] + 1}, step {resume['step'] + 1}", flush=True)
    try:
        with _logging(given["watch"], first, run, settings=task.settings, resume=resume) as run_log:

            def save(state: State) -> None:
                checkpoints.save(state)
                if run_log is not None:
                    run_log.publish()

            hooks = LoopHooks(
                report=report, save=save, save_every=given["save_every"], stop=_Asked(run), run_log=run_log
            )
            return {"finished": task.train(hooks, resume, device)}
    except (ConfigError, ModelError, TrainingError, UnsavedError) as error:  # all ranks alike; no new try would help
        return {"failed": str(error), "unsaved": isinstance(error, UnsavedError)}


@contextlib.contextmanager
def _logging(
    watch: WatchConfig, first: bool, run: Folder, *, settings: dict[str, Any], resume: State | None
) -> Iterator[RunLog | None]:
    """The first rank's log; if it cannot be opened all ranks end, for the others would wait for ever."""
    import torch.distributed as dist

    from raymask.train.engine.run_log import open_run_log

    with contextlib.ExitStack() as stack:
        opened, failure = None, ""
        try:
            opened = stack.enter_context(open_run_log(watch if first else None, run, settings=settings, resume=resume))
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


def check_data(data: Data) -> None:
    """Raise DataError here rather than in every worker."""
    folders = folders_of(data)
    names_of = {folder: Folder(folder).names() for folder in folders}
    for folder, names in names_of.items():
        if not any(name.startswith("split=") for name in names):
            raise DataError(f"{folder} holds no prepared training faces; make them with jobs/prepare.py --out {folder}")
        if SUMMARY not in names:
            raise DataError(f"{folder} is not prepared to its end; run jobs/prepare.py again, it continues")
        if not {INDEX, PLAN} <= set(names) or json.loads(Folder(folder).read(PLAN))["format"] != FORMAT:
            raise DataError(f"{folder} was prepared by another version of raymask; prepare again into another --out")
    if not any(name.startswith("split=train/") for names in names_of.values() for name in names):
        raise DataError(
            f"nobody in {', '.join(folders)} is there to train on; prepare with fewer --split.validation and "
            f"--split.test"
        )


def _claim(run: Folder, task: Task) -> None:
    """Keep the settings with the run; a run of that name that has trained with others is refused before it starts."""
    has_trained = any(name.startswith(f"{FOLDER}/") for name in run.names())
    claim(run, SETTINGS, task.settings | task.weights, kind="run", begun=has_trained, free=task.free)


def _bundle(config: RunConfig, task: Task, run: Folder, state: State) -> str:
    """Make the bundle of a checkpoint in the run's folder."""
    settings = {key: value for key, value in asdict(config).items() if key != "watch"}  # its address: a password
    return leave_bundle(
        run,
        task.model(state),
        preprocessing=task.preprocessing,
        metrics=state["metrics"],
        training={"settings": settings, **task.weights},
    )
