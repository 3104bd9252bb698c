"""A run's curves while it goes on: TensorBoard by default, MLflow by option.

Numbers and settings; no embedding, nobody's name, and of photos only some validation faces by which segmenter and
inpainter are judged, which can be switched off. What cannot be written costs the curves, never the
training: the place is given up with one line, and the training goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from raymask.errors import ConfigError, DataError
from raymask.storage import Folder
from raymask.train.engine.checkpoints import State
from raymask.train.engine.config import Distance, WatchConfig

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

TENSORBOARD = "tensorboard"
"""Folder of a run with its event files."""

MLFLOW_RUN = "mlflow_run"
"""File of a run: MLflow's id for it, so that a run that continues stays one."""

EXPERIMENT = "raymask"
"""MLflow's experiment that the runs are in."""

_FLUSH_SECONDS = 10
_BINS = 80
"""Of a histogram over all distances that are possible: 0.05 wide when squared Euclidean."""
_LONGEST_VALUE = 500
"""Characters of a setting that every MLflow store takes."""
_MOST_PARAMS = 100
"""Settings that MLflow takes at once."""

_EPOCH_NAMES = {
    "val_bare": "validation/rank1_bare",
    "val_masked": "validation/rank1_masked",
    "loss": "epoch/loss",
    "pull": "epoch/pull",
    "contrast": "epoch/contrast",
    "softmax": "epoch/softmax",
    "unvisited": "epoch/photos_not_visited",
    "empty_steps": "epoch/steps_without_active_quintuplet",
}


class Sink(Protocol):
    """A place that curves go to."""

    errors: tuple[type[Exception], ...]
    """What it raises when it is out of reach, as opposed to mistakes of ours."""

    def start(self, step: int) -> None:
        """Called before anything else with the first step of this session."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point of each curve."""

    def distances(self, step: int, kinds: Mapping[str, Tensor], top: float) -> None:
        """One histogram of each kind; `top` is the largest distance possible."""

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB."""

    def publish(self) -> None:
        """Make visible all that was given so far."""

    def close(self, *, failed: bool) -> None:
        """Publish and end."""

    def abandon(self) -> None:
        """Let go of threads and files of a place that has failed."""


class RunLog:
    """Gives the loop's numbers names and passes them on to the sinks; steps count from 0 over all epochs."""

    def __init__(self, sinks: list[Sink], *, every: int, wants_pictures: bool = True) -> None:
        """`every`: steps between two points; `wants_pictures`: whether pictures of faces may be shown."""
        self._sinks, self._every = sinks, every
        self.wants_pictures = wants_pictures and bool(sinks)
        self._started = False

    def step(
        self,
        step: int,
        *,
        rule: str,
        losses: Mapping[str, float],
        valid: int,
        active: int,
        learning_rate: float,
        photos_per_second: float,
    ) -> None:
        """A training step; call it at every one, those at multiples of `every` become points.

        Args:
            rule: which quintuplets count; their loss has its name.
            losses: those that are on.
            valid, active: quintuplets.
        """
        self._start(step)
        if step % self._every:
            return
        values = {f"loss/{rule if name == 'quintuplets' else name}": value for name, value in losses.items()}
        if "quintuplets" in losses:
            values |= {"quintuplets/active_share": active / max(1, valid), "quintuplets/active": active}
        values |= {"rate/learning_rate": learning_rate, "rate/photos_per_second": photos_per_second}
        self._each(lambda sink: sink.scalars(step, values))

    def losses(self, step: int, stage: str, losses: Mapping[str, float], *, photos_per_second: float) -> None:
        """A step of a training in stages; call it at every one, those at multiples of `every` become points."""
        self._start(step)
        if step % self._every:
            return
        values = {f"{stage}/{name}": value for name, value in losses.items()}
        values["rate/photos_per_second"] = photos_per_second
        self._each(lambda sink: sink.scalars(step, values))

    def measured(self, step: int, figures: Mapping[str, float]) -> None:
        """A measurement after `step` steps in all, shown at the last of these (see `epoch`)."""
        self._start(step - 1)
        values = {f"validation/{name}": value for name, value in figures.items()}
        self._each(lambda sink: sink.scalars(step - 1, values))

    def pictures(self, step: int, name: str, picture: np.ndarray) -> None:
        """(H, W, 3) uint8 after `step` steps in all, in TensorBoard only."""
        self._start(step - 1)
        self._each(lambda sink: sink.picture(step - 1, f"faces/{name}", picture))

    def distances(self, step: int, embeddings: Tensor, identities: Tensor, masked: Tensor, distance: Distance) -> None:
        """Histograms of the distances that the loss compares, in TensorBoard only: MLflow has none.

        Args:
            step: as in `step`.
            embeddings, identities, masked, distance: as in `distances_by_kind`.
        """
        if not self._sinks:
            return
        self._start(step)
        kinds = distances_by_kind(embeddings, identities, masked, distance)
        filled = {f"distance/{name}": values for name, values in kinds.items() if len(values)}
        top = 2.0 if distance == "cosine" else 4.0
        self._each(lambda sink: sink.distances(step, filled, top))

    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """An epoch's figures, after `step` steps in all. They are shown at the last of these.

        So they stay when the run goes on from the checkpoint that this epoch left, which takes back all from `step` on.
        """
        self._start(step - 1)
        values = {name: metrics[key] for key, name in _EPOCH_NAMES.items() if key in metrics}
        self._each(lambda sink: sink.scalars(step - 1, values))
        self.publish()

    def publish(self) -> None:
        """Make all so far visible where the run's storage is; worth a call at each checkpoint."""
        self._each(lambda sink: sink.publish())

    def close(self, *, failed: bool = False) -> None:
        """Publish and end; `failed` says whether the training broke off."""
        self._each(lambda sink: sink.close(failed=failed))

    def _start(self, step: int) -> None:
        if not self._started:
            self._started = True
            self._each(lambda sink: sink.start(step))

    def _each(self, act: Callable[[Sink], None]) -> None:
        for sink in list(self._sinks):
            try:
                act(sink)
            except sink.errors as error:
                self._sinks.remove(sink)
                name = type(sink).__name__
                print(f"watch: {name} is off from here on, the training goes on ({_sentence(error)})", flush=True)
                with contextlib.suppress(*sink.errors):
                    sink.abandon()


@contextlib.contextmanager
def open_watch(
    watch: WatchConfig | None, run: Folder, *, settings: Mapping[str, Any], resume: State | None
) -> Iterator[RunLog | None]:
    """The watch of a run, closed at the end; None for ranks that have none.

    Args:
        watch: what is on.
        run: the run's folder.
        settings: shown beside the curves.
        resume: where the run goes on from; points of steps that were lost disappear.

    Raises:
        ConfigError: MLflow is not installed, or cannot be reached.
        DataError: the run's folder cannot be written.
    """
    if watch is None:
        yield None
        return
    settings = _flat(settings)
    sinks: list[Sink] = [TensorBoard(run, settings)] if watch.tensorboard else []
    if watch.mlflow:
        sinks.append(MLflow(watch.mlflow, run, settings, resumed=resume is not None))
    opened = RunLog(sinks, every=watch.every, wants_pictures=watch.pictures)
    try:
        yield opened
    except BaseException:
        opened.close(failed=True)
        raise
    opened.close()


class TensorBoard:
    """Event files in RUN/tensorboard, written in place, or copied there when published if the storage is remote."""

    errors: tuple[type[Exception], ...] = (OSError, DataError)

    def __init__(self, run: Folder, settings: Mapping[str, Any]) -> None:
        self._run, self._settings = run, settings
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._writer: SummaryWriter | None = None
        self._published: dict[str, int] = {}

    def start(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = self._run / TENSORBOARD
        if not self._run.is_local:
            self._temporary = tempfile.TemporaryDirectory(prefix="raymask-tensorboard-")
            folder = self._temporary.name
        _silence_writing_threads()
        # A first start purges too: an earlier try may have ended before its first checkpoint.
        self._writer = SummaryWriter(folder, purge_step=step, flush_secs=_FLUSH_SECONDS)
        self._writer.add_text("settings", _table(self._settings), step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._open_writer.add_scalar(name, value, step)

    def distances(self, step: int, kinds: Mapping[str, Tensor], top: float) -> None:
        for name, values in kinds.items():
            self._open_writer.add_histogram_raw(name, **_histogram(values, top), global_step=step)

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        self._open_writer.add_image(name, picture, step, dataformats="HWC")

    def publish(self) -> None:
        if self._writer is not None:
            self._writer.flush()
            self._copy()

    def close(self, *, failed: bool) -> None:
        if self._writer is not None:
            self._writer.close()
            self._copy()
        self._remove_temporary()

    def abandon(self) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._remove_temporary()

    @property
    def _open_writer(self) -> SummaryWriter:
        assert self._writer is not None, "start comes first"
        return self._writer

    def _copy(self) -> None:
        """Event files only grow, so one whose size is known is there already."""
        for file in Path(self._temporary.name).iterdir() if self._temporary else ():
            data = file.read_bytes()
            if self._published.get(file.name) != len(data):
                self._run.write(f"{TENSORBOARD}/{file.name}", data)
                self._published[file.name] = len(data)

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()


class MLflow:
    """A run on an MLflow server or in its database; points that it has already are not sent again.

    For MLflow cannot take back the points of lost steps, and a step that is trained again comes to the same.
    """

    def __init__(self, address: str, run: Folder, settings: Mapping[str, Any], *, resumed: bool) -> None:
        """`resumed`: whether the run goes on from a checkpoint, and so in the MLflow run of before.

        Raises:
            ConfigError: MLflow is not installed, or the address cannot be used.
            DataError: the run's id cannot be kept in the run's folder.
        """
        # Before MLflow is imported, which starts its telemetry.
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # what matters comes as an exception
        # Its defaults hold a training up for minutes when the server is gone.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it announces each retry
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError:
            raise ConfigError("watch.mlflow needs MLflow; install it with: pip install 'raymask[mlflow]'") from None
        self.errors: tuple[type[Exception], ...] = (MlflowException, OSError)
        self._latest: dict[str, int] = {}
        _check_database(address)
        try:
            self._client = MlflowClient(tracking_uri=address)
            earlier = self._found(run) if resumed else None
            self._id: str = earlier or self._created(run)
            self._send_settings(settings)
        except self.errors as error:
            raise _unusable(address, error) from None
        run.write(MLFLOW_RUN, self._id.encode())

    def start(self, step: int) -> None:
        pass

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        fresh = [
            Metric(name, float(value), now, step) for name, value in values.items() if step > self._latest.get(name, -1)
        ]
        if fresh:
            self._client.log_batch(self._id, metrics=fresh)

    def distances(self, step: int, kinds: Mapping[str, Tensor], top: float) -> None:
        pass

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        pass

    def publish(self) -> None:
        pass

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")

    def abandon(self) -> None:
        pass

    def _found(self, run: Folder) -> str | None:
        """The MLflow run of before, opened again; None if there is none here, or none any more."""
        from mlflow.exceptions import MlflowException

        if not run.exists(MLFLOW_RUN):
            return None
        number = run.read(MLFLOW_RUN).decode()
        try:
            earlier = self._client.get_run(number)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if earlier.info.lifecycle_stage != "active":
            return None
        for name in earlier.data.metrics:
            self._latest[name] = max(point.step for point in self._client.get_metric_history(number, name))
        self._client.update_run(number, status="RUNNING")
        return number

    def _created(self, run: Folder) -> str:
        """A new MLflow run with the name of ours."""
        name = run.uri.rsplit("/", 1)[-1]
        return self._client.create_run(_experiment(self._client), run_name=name).info.run_id

    def _send_settings(self, settings: Mapping[str, Any]) -> None:
        """Those that MLflow does not have yet; it keeps what a setting was at first."""
        from mlflow.entities import Param

        known = self._client.get_run(self._id).data.params
        fresh = [Param(key, str(value)[:_LONGEST_VALUE]) for key, value in settings.items() if key not in known]
        for start in range(0, len(fresh), _MOST_PARAMS):
            self._client.log_batch(self._id, params=fresh[start : start + _MOST_PARAMS])


def _experiment(client: MlflowClient) -> str:
    """The id of the experiment, made if it is not there."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return client.create_experiment(EXPERIMENT)
        except MlflowException:  # another run may have made it in between
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    return found.experiment_id


def _check_database(address: str) -> None:
    """Raise ConfigError if the address is a database that cannot be opened; MLflow would try for two minutes."""
    if not re.match(r"(sqlite|postgresql|mysql|mssql)\b", address):
        return
    if address.startswith("sqlite:///") and not address.startswith("sqlite:////"):
        raise ConfigError(
            f"watch.mlflow: {address} is relative to a folder that each worker has for itself; write it in full, "
            f"as sqlite:////FOLDER/FILE.db"
        )
    try:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        return  # then MLflow itself says what it takes to open one
    try:
        if address.startswith("sqlite:"):
            Path(address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(address)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise _unusable(address, error) from None


def _unusable(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"watch.mlflow: {_without_password(address)} cannot be used ({_sentence(error)}); give the address of an "
        f"MLflow server, http://HOST:PORT, or of a database, sqlite:////FOLDER/FILE.db"
    )


def _sentence(error: Exception) -> str:
    """An error's first line, its middle left out if it is long: the reason stands at the end."""
    line = _without_password(str(error).partition("\n")[0])
    return line if len(line) <= 200 else f"{line[:100].rstrip()} ... {line[-100:].lstrip()}"


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _table(settings: Mapping[str, Any]) -> str:
    """Settings as TensorBoard's Markdown."""
    rows = [f"| {name} | {value} |" for name, value in settings.items()]
    return "\n".join(["| setting | value |", "|---|---|", *rows])


def _silence_writing_threads() -> None:
    """Have the threads of event writers fail without a page of traceback: the next call raises their error anyway."""
    before = threading.excepthook
    if getattr(before, "silences_event_writers", False):
        return

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not type(failure.thread).__module__.startswith("tensorboard."):
            before(failure)

    hook.silences_event_writers = True  # type: ignore[attr-defined]
    threading.excepthook = hook


def _histogram(values: Tensor, top: float) -> dict[str, Any]:
    """Arguments of `add_histogram_raw`; counted where the values are, and without the empty bins of either end.

    Args:
        values: (N,) 0 to `top`, at least one.
    """
    import torch

    counts = torch.histc(values, bins=_BINS, min=0.0, max=top)
    used = counts.nonzero()
    first, last = int(used[0]), int(used[-1]) + 1
    wide = values.double()
    return {
        "min": float(values.min()),
        "max": float(values.max()),
        "num": len(values),
        "sum": float(wide.sum()),
        "sum_squares": float(wide.square().sum()),
        "bucket_limits": [top * (place + 1) / _BINS for place in range(first, last)],
        "bucket_counts": counts[first:last].tolist(),
    }


def distances_by_kind(embeddings: Tensor, identities: Tensor, masked: Tensor, distance: Distance) -> dict[str, Tensor]:
    """The distances of a batch by what the compared photo is to the anchor.

    Args:
        embeddings: (B, D) floating point, normalised here; identities: (B,) integers; masked: (B,) bool.
        distance: "squared_euclidean" (0 to 4) or "cosine" (0 to 2).

    Returns:
        (N,) float32 tensors named same_person_bare, same_person_masked, other_person_bare and other_person_masked,
        possibly empty. Every photo is an anchor once; a photo is not compared with itself.
    """
    import torch
    import torch.nn.functional as F

    with torch.no_grad():
        rows_BD = F.normalize(embeddings.float(), dim=1)
        cosine_BB = (rows_BD @ rows_BD.T).clamp(-1, 1)
        dist_BB = 1 - cosine_BB if distance == "cosine" else 2 - 2 * cosine_BB
        same = identities[:, None] == identities[None, :]
        other_shot = same & ~torch.eye(len(rows_BD), dtype=torch.bool, device=rows_BD.device)
        return {
            f"{person}_person_{dress}": dist_BB[kind & of_dress[None, :]]
            for person, kind in (("same", other_shot), ("other", ~same))
            for dress, of_dress in (("bare", ~masked), ("masked", masked))
        }
