"""Ray Train around the loop: workers, checkpoints, continuing, and the bundle at the end."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raymask import __version__
from raymask.cluster import check_resources, connect, own_error
from raymask.data.storage import Folder
from raymask.errors import DataError
from raymask.progress import Waiting
from raymask.train.config import TrainConfig, loop_config

STATE = "state.pt"
"""File of a checkpoint: the loop's State, read back with `weights_only=True`."""

SETTINGS = "settings.json"
"""File of a run: the loop's settings, so that another run cannot go on under its name."""


STARTED = "started"
"""File of a run: there as soon as its workers work, which can take a minute."""


def train_on_ray(config: TrainConfig) -> tuple[str, dict[str, float]]:
    """Train through Ray Train, or go on with the run of that name, and leave the bundle in STORAGE/NAME/bundle.

    Returns:
        The bundle's address, and the metrics of the last epoch.

    Raises:
        DataError: no data, other settings under the same name, a cluster too small, or a run that failed.
    """
    storage = config.storage if "://" in config.storage else os.path.abspath(os.path.expanduser(config.storage))
    run = Folder(f"{storage}/{config.name}")
    _check_data(config.data)
    _claim(run, config)
    run.delete(STARTED)
    with Waiting(f"train: starting {config.workers} workers", until=lambda: run.exists(STARTED)):
        connect()
        check_resources(cpus=config.workers * config.cpus_per_worker, gpus=config.workers if config.gpu else 0)
        checkpoint, metrics = _fit(config, storage)
    return _bundle(config, storage, checkpoint, metrics), metrics


def _fit(config: TrainConfig, storage: str) -> tuple[Any, dict[str, float]]:
    """Run the trainer to its end; the newest checkpoint and its metrics."""
    import ray
    from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        _worker,
        train_loop_config={"run": f"{storage}/{config.name}", "settings": _absolute(asdict(config.loop()))},
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
    if result.checkpoint is None:
        raise DataError(f"the run left no checkpoint in {storage}/{config.name}; start it again")
    return result.checkpoint, dict(result.metrics or {})


def _worker(task: dict[str, Any]) -> None:
    """What each Ray Train worker does."""
    import ray.train
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
    train(loop_config(task["settings"]), report=report, resume=None if latest is None else _load(latest))


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
    if not any(name.startswith("split=train/") for name in Folder(data).names()):
        raise DataError(f"{data} holds no prepared training faces; make them with jobs/prepare.py --out {data}")


def _absolute(settings: dict[str, Any]) -> dict[str, Any]:
    """Workers run in other folders, so a relative data path would be lost."""
    data = settings["data"]
    return settings | {"data": data if "://" in data else os.path.abspath(os.path.expanduser(data))}


def _claim(run: Folder, config: TrainConfig) -> None:
    """Keep the settings with the run; a run of that name with others is refused before anything starts."""
    settings = json.loads(json.dumps(_absolute(asdict(config.loop()))))
    if run.exists(SETTINGS):
        earlier = json.loads(run.read(SETTINGS))
        changed = [key for key in settings if key not in ("data", "epochs") and settings[key] != earlier.get(key)]
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
