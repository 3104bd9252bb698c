"""A run's curves in TensorBoard's event files."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymask.errors import DataError
from raymask.storage import Folder

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

TENSORBOARD = "tensorboard"
"""Folder of a run with its event files."""

_FLUSH_SECONDS = 10
_BINS = 80
"""Of a histogram over all distances that are possible: 0.05 wide when squared Euclidean."""


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
