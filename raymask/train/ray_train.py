"""Ray Train around the loop: workers, checkpoints, continuing, and the bundle at the end."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raymask import __version__
from raymask.cluster import check_resources, connect, own_error
from raymask.data.prepare import PLAN, SUMMARY
from raymask.data.storage import Folder, absolute
from raymask.errors import ConfigError, DataError, TrainingError
from raymask.progress import Waiting
from raymask.train.config import TrainConfig, loop_config

STATE = "state.pt"
"""File of a checkpoint: the loop's State, read back with `weights_only=True`."""

SETTINGS = "settings.json"
"""File of a run: the loop's settings, so that another run cannot go on under its name."""

FAILED = "failed"
"""File of a run: why its settings cannot be trained with."""

STARTED = "started"
"""File of a run: there as soon as its workers work, which can take a minute."""


def train_on_ray(config: TrainConfig) -> tuple[str, dict[str, float]]:
    """Train through Ray Train, or go on with the run of that name, and leave the bundle in STORAGE/NAME/bundle.

    Returns:
        The bundle's address, and the metrics of the last epoch.

    Raises:
        DataError: no data, other settings under the same name, a cluster too small, or a run that failed.
        TrainingError: the settings cannot be trained with.
    """
    storage = absolute(config.storage)
    run = Folder(f"{storage}/{config.name}")
    _check_data(config.data)
    _claim(run, config)
    run.delete(STARTED)
    run.delete(FAILED)
    workers = "1 worker" if config.workers == 1 else f"{config.workers} workers"
    with Waiting(f"train: starting {workers}", until=lambda: run.exists(STARTED)):
        connect()
        check_resources(cpus=config.workers * config.cpus_per_worker, gpus=config.workers if config.gpu else 0)
        checkpoint, metrics = _fit(config, storage, run)
    run.delete(STARTED)
    return _bundle(config, storage, checkpoint, metrics), metrics


def _fit(config: TrainConfig, storage: str, run: Folder) -> tuple[Any, dict[str, float]]:
    """Run the trainer to its end; the newest checkpoint and its metrics."""
    import ray
    from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        _worker,
        train_loop_config={"run": run.uri, "gpu": config.gpu, "settings": _settings(config)},
        scaling_config=ScalingConfig(
            num_workers=config.workers,
            use_gpu=config.gpu,
            resources_per_worker={"CPU": config.cpus_per_worker, **({"GPU": 1} if config.gpu else {})},
        ),
        run_config=RunConfig(
            name=config.name,
            storage_path=storage,
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            failure_config=FailureConfig(max_failures=3),
            logging_config=LoggingConfig(log_level="WARNING"),
            worker_runtime_env={"env_vars": {"RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}},  # it prints every line twice
        ),
    )
    try:
        result = trainer.fit()
    except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
        raise own_error(error) from error
    print("train: workers are done, making the bundle", flush=True)
    if run.exists(FAILED):
        raise TrainingError(run.read(FAILED).decode())
    if result.checkpoint is None:
        raise DataError(f"the run left no checkpoint in {storage}/{config.name}; start it again")
    return result.checkpoint, dict(result.metrics or {})


def _worker(task: dict[str, Any]) -> None:
    """What each Ray Train worker does."""
    import ray.train.torch
    import torch

    from raymask.train.loop import State, train

    logging.getLogger().setLevel(logging.WARNING)  # Ray Train announces each report; ours says what is in it
    context = ray.train.get_context()
    if context.get_world_rank() == 0:
        Folder(task["run"]).write(STARTED, b"")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))  # Ray sets it to the worker's CPUs

    def report(metrics: dict[str, float], state: State) -> None:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = None
            if context.get_world_rank() == 0:
                torch.save(state, Path(folder) / STATE)
                checkpoint = ray.train.Checkpoint.from_directory(folder)
                print(_sentence(metrics), flush=True)
            ray.train.report({key: float(value) for key, value in metrics.items()}, checkpoint=checkpoint)

    latest = ray.train.get_checkpoint()
    resume = None if latest is None else _load(latest)
    device = ray.train.torch.get_device() if task["gpu"] else torch.device("cpu")
    try:
        train(loop_config(task["settings"]), report=report, resume=resume, device=device)
    except (ConfigError, TrainingError) as error:  # every rank meets these alike, and no new try would help
        Folder(task["run"]).write(FAILED, str(error).encode())


def _load(checkpoint: Any) -> dict[str, Any]:
    import torch

    with checkpoint.as_directory() as folder:
        return dict(torch.load(Path(folder) / STATE, weights_only=True, map_location="cpu"))


def _sentence(metrics: dict[str, float]) -> str:
    """An epoch's metrics as a line."""
    words = [f"epoch {metrics['epoch']:.0f} done: loss {metrics['loss']:.4f}"]
    words.append(f"{metrics['photos_per_second']:.0f} photos/s")
    if "val_bare" in metrics:
        words.append(f"validation rank-1: bare {metrics['val_bare']:.1%}, masked {metrics['val_masked']:.1%}")
    if metrics["empty_steps"]:
        words.append(f"{metrics['empty_steps']:.0f} steps without an active quintuplet")
    return ", ".join(words)


def _check_data(data: str) -> None:
    """Raise DataError here rather than in every worker."""
    names = Folder(data).names()
    if not any(name.startswith("split=train/") for name in names):
        raise DataError(f"{data} holds no prepared training faces; make them with jobs/prepare.py --out {data}")
    if SUMMARY not in names:
        raise DataError(f"{data} is not prepared to its end; run jobs/prepare.py again, it continues")


def _settings(config: TrainConfig) -> dict[str, Any]:
    """The loop's settings as plain values, with the data's address as workers in other folders need it."""
    return asdict(config.loop()) | {"data": absolute(config.data)}


def _claim(run: Folder, config: TrainConfig) -> None:
    """Keep the settings with the run; a run of that name that has trained with others is refused before it starts.

    The data counts by its contents (the plan of its preparation), so that it may be moved.
    """
    plan = hashlib.sha256(Folder(config.data).read(PLAN)).hexdigest()
    settings = json.loads(json.dumps(_settings(config) | {"data": plan}))
    has_trained = any(name.startswith("checkpoint_") for name in run.names())
    if has_trained and run.exists(SETTINGS):
        earlier = json.loads(run.read(SETTINGS))
        changed = [key for key in settings if key != "epochs" and settings[key] != earlier.get(key)]
        if changed:
            raise DataError(
                f"{run.uri} is a run with other settings ({', '.join(changed)} changed); choose another --name to "
                f"start anew, or the settings of before to continue"
            )
    run.write(SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())


def _bundle(config: TrainConfig, storage: str, checkpoint: Any, metrics: dict[str, float]) -> str:
    """Make the bundle of a checkpoint in STORAGE/NAME/bundle."""
    from raymask.faces.crop import CROP_SCALE, CROP_SIZE
    from raymask.models.bundle import save_bundle
    from raymask.models.embedder import MaskFaceNet

    network = MaskFaceNet(config.model)
    network.load_state_dict(_load(checkpoint)["model"])
    target = Folder(f"{storage}/{config.name}/bundle")
    with tempfile.TemporaryDirectory() as folder:
        made = save_bundle(
            Path(folder) / "bundle",
            network,
            preprocessing={"crop_scale": CROP_SCALE, "crop_size": CROP_SIZE, "input_size": config.model.input_size},
            metrics=metrics,
            training={"raymask": __version__, "settings": asdict(config)},
        )
        for name in ("model.safetensors", "config.json"):  # config.json last: without it there is no bundle
            target.write(name, (made / name).read_bytes())
    return target.uri
