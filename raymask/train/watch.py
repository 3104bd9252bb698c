"""A run's curves while it goes on: TensorBoard by default, MLflow by option. Numbers only, never a face or a name."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from raymask.data.storage import Folder
from raymask.errors import ConfigError, DataError
from raymask.train.checkpoints import State
from raymask.train.config import Distance, LoopConfig, WatchConfig

TENSORBOARD = "tensorboard"
"""Folder of a run with its event files."""

MLFLOW_RUN = "mlflow_run"
"""File of a run: MLflow's id for it, so that a run that continues stays one."""

_FLUSH_SECONDS = 10


class Sink(Protocol):
    """A place that curves go to."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None: ...
    def histograms(self, step: int, values: Mapping[str, Tensor]) -> None: ...
    def close(self) -> None: ...


class Watch:
    """Gives the loop's numbers names and passes them on to the sinks."""

    def __init__(self, sinks: list[Sink], *, every: int, distance: Distance) -> None:
        self._sinks, self._every, self._distance = sinks, every, distance

    def step(
        self,
        step: int,
        *,
        rule: str,
        loss: float,
        valid: int,
        active: int,
        learning_rate: float,
        photos_per_second: float,
    ) -> None:
        """A training step; every so many become a point."""
        if step % self._every:
            return
        self._scalars(
            step,
            {
                f"loss/{rule}": loss,
                "quintuplets/active_share": active / max(1, valid),
                "quintuplets/active": active,
                "rate/learning_rate": learning_rate,
                "rate/photos_per_second": photos_per_second,
            },
        )

    def distances(self, step: int, embeddings: Tensor, identities: Tensor, masked: Tensor) -> None:
        """Histograms of the distances that the loss compares; arguments as for `distances_by_kind`."""
        kinds = distances_by_kind(embeddings, identities, masked, self._distance)
        for sink in list(self._sinks):
            with self._dropped_if_broken(sink):
                sink.histograms(step, {f"distance/{name}": values for name, values in kinds.items() if len(values)})

    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """An epoch's figures."""
        names = {
            "val_bare": "validation/rank1_bare",
            "val_masked": "validation/rank1_masked",
            "loss": "epoch/loss",
            "unvisited": "epoch/photos_not_visited",
            "empty_steps": "epoch/steps_without_active_quintuplet",
        }
        self._scalars(step, {name: metrics[key] for key, name in names.items() if key in metrics})

    def close(self) -> None:
        """Write what is left."""
        for sink in list(self._sinks):
            with self._dropped_if_broken(sink):
                sink.close()

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        for sink in list(self._sinks):
            with self._dropped_if_broken(sink):
                sink.scalars(step, values)

    @contextlib.contextmanager
    def _dropped_if_broken(self, sink: Sink) -> Iterator[None]:
        """A full disk or a server that went away costs the curves, not the training."""
        try:
            yield
        except (OSError, DataError, _mlflow_error()) as error:
            self._sinks.remove(sink)
            print(f"watch: {type(sink).__name__} is off from here on ({error})", flush=True)


def _mlflow_error() -> type[Exception]:
    """The exception of MLflow, if it is installed and in use."""
    import sys

    module = sys.modules.get("mlflow.exceptions")
    return module.MlflowException if module else OSError


@contextlib.contextmanager
def open_watch(
    watch: WatchConfig | None, run: Folder, *, config: LoopConfig, resume: State | None
) -> Iterator[Watch | None]:
    """The watch of a run, closed at the end; None for ranks that have none.

    Args:
        watch: what is on.
        run: the run's folder.
        config: kept beside the curves.
        resume: where the run goes on from; points after it, of steps that are lost, disappear.

    Raises:
        ConfigError: MLflow is not installed, or does not answer.
    """
    if watch is None:
        yield None
        return
    sinks: list[Sink] = []
    if watch.tensorboard:
        sinks.append(TensorBoard(run, resumed=resume is not None))
    if watch.mlflow:
        sinks.append(MLflow(watch.mlflow, run, config))
    opened = Watch(sinks, every=watch.every, distance=config.loss.distance)
    try:
        yield opened
    finally:
        opened.close()


class TensorBoard:
    """Event files in RUN/tensorboard; for remote storage they are copied there when the run ends or pauses."""

    def __init__(self, run: Folder, *, resumed: bool) -> None:
        self._run = run
        self._resumed = resumed
        self._temporary = None if run.is_local else tempfile.TemporaryDirectory()
        self._folder = Path(self._temporary.name if self._temporary else run / TENSORBOARD)
        self._writer: Any = None

    def _open(self, step: int) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            purge = step if self._resumed else None
            self._writer = SummaryWriter(str(self._folder), purge_step=purge, flush_secs=_FLUSH_SECONDS)
        return self._writer

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._open(step).add_scalar(name, value, step)

    def histograms(self, step: int, values: Mapping[str, Tensor]) -> None:
        for name, distances in values.items():
            self._open(step).add_histogram(name, distances.float().cpu().numpy(), step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._temporary is not None:
            for file in self._folder.iterdir():
                self._run.write(f"{TENSORBOARD}/{file.name}", file.read_bytes())
            self._temporary.cleanup()


class MLflow:
    """A run on an MLflow server or in its database; curves only, for it has no histograms."""

    def __init__(self, address: str, run: Folder, config: LoopConfig) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault(
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"
        )  # else a server that is gone holds up the training
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError:
            raise ConfigError("watch.mlflow needs MLflow; install it with: pip install 'raymask[mlflow]'") from None
        try:
            self._client = MlflowClient(tracking_uri=address)
            if run.exists(MLFLOW_RUN):
                self._id = run.read(MLFLOW_RUN).decode()
                self._client.update_run(self._id, status="RUNNING")
                return
            experiment = self._client.get_experiment_by_name("raymask")
            number = experiment.experiment_id if experiment else self._client.create_experiment("raymask")
            self._id = self._client.create_run(number, run_name=run.uri.rsplit("/", 1)[-1]).info.run_id
            for key, value in _flat(asdict(config)).items():
                self._client.log_param(self._id, key, str(value)[:500])
        except (MlflowException, OSError) as error:
            raise ConfigError(f"watch.mlflow: {address} cannot be used ({str(error).splitlines()[0]})") from None
        run.write(MLFLOW_RUN, self._id.encode())

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._id, name, float(value), step=step)

    def histograms(self, step: int, values: Mapping[str, Tensor]) -> None:
        pass

    def close(self) -> None:
        self._client.set_terminated(self._id)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def distances_by_kind(embeddings: Tensor, identities: Tensor, masked: Tensor, distance: Distance) -> dict[str, Tensor]:
    """The distances of a batch by what the compared photo is to the anchor.

    Args:
        embeddings: (B, D); identities: (B,); masked: (B,) bool.

    Returns:
        1-d tensors named same_person_bare, same_person_masked, other_person_bare and other_person_masked; a photo is
        not compared with itself.
    """
    rows = F.normalize(embeddings.float(), dim=1)
    cosine = rows @ rows.T
    between = 1 - cosine if distance == "cosine" else 2 - 2 * cosine
    same = identities[:, None] == identities[None, :]
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    return {
        f"{person}_person_{dress}": between[kind & of_dress[None, :]]
        for person, kind in (("same", same & ~itself), ("other", ~same))
        for dress, of_dress in (("bare", ~masked), ("masked", masked))
    }
