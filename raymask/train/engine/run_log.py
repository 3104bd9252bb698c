"""A run's curves while it goes on: TensorBoard by default, MLflow by option.

Numbers and settings; no embedding, nobody's name, and of photos only some validation faces by which segmenter and
inpainter are judged, which can be switched off. What cannot be written costs the curves, never the
training: the place is given up with one line, and the training goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from raymask.storage import Folder
from raymask.train.engine.checkpoints import State
from raymask.train.engine.config import Distance, WatchConfig
from raymask.train.engine.distances import distances_by_kind
from raymask.train.engine.mlflow import MLflow, sentence
from raymask.train.engine.tensorboard import TensorBoard

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_EPOCH_NAMES = {
    "val_bare": "validation/rank1_bare",
    "val_masked": "validation/rank1_masked",
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
        losses: Mapping[str, float],
        figures: Mapping[str, float],
        learning_rate: float,
        photos_per_second: float,
    ) -> None:
        """A training step; call it at every one, those at multiples of `every` become points.

        Args:
            losses: those that are on, by the names of their curves.
            figures: more of theirs, as LOSS/FIGURE.
        """
        self._start(step)
        if step % self._every:
            return
        values = {f"loss/{name}": value for name, value in losses.items()} | dict(figures)
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

    def epoch(self, step: int, metrics: Mapping[str, float], *, losses: Iterable[str] = ()) -> None:
        """An epoch's figures, after `step` steps in all, `losses` naming those of losses. They are shown at the last of
        these steps.

        So they stay when the run goes on from the checkpoint that this epoch left, which takes back all from `step` on.
        """
        self._start(step - 1)
        names = _EPOCH_NAMES | {loss: f"epoch/{loss}" for loss in losses}
        values = {name: metrics[key] for key, name in names.items() if key in metrics}
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
                print(f"watch: {name} is off from here on, the training goes on ({sentence(error)})", flush=True)
                with contextlib.suppress(*sink.errors):
                    sink.abandon()


@contextlib.contextmanager
def open_run_log(
    watch: WatchConfig | None, run: Folder, *, settings: Mapping[str, Any], resume: State | None
) -> Iterator[RunLog | None]:
    """The log of a run, closed at the end; None for ranks that have none.

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


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
