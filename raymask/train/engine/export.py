"""The bundle that a run leaves, where its storage is."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymask import __version__
from raymask.storage import Folder

if TYPE_CHECKING:
    from torch import nn

BUNDLE = "bundle"
"""Folder of a run with its model."""


def leave_bundle(
    run: Folder,
    model: nn.Module,
    *,
    preprocessing: Mapping[str, Any],
    metrics: Mapping[str, Any],
    training: Mapping[str, Any],
) -> str:
    """Write RUN/bundle and return its address. Raises DataError if it cannot be written."""
    from raymask.models.bundle import save_bundle

    target = Folder(run / BUNDLE)
    with tempfile.TemporaryDirectory() as folder:
        made = save_bundle(
            Path(folder) / BUNDLE,
            model,
            preprocessing=preprocessing,
            metrics=metrics,
            training={"raymask": __version__, **training},
        )
        if target.exists("config.json") and target.read("config.json") != (made / "config.json").read_bytes():
            target.delete("config.json")  # which would not fit the new weights
        for name in ("model.safetensors", "config.json"):  # config.json last: without it there is no bundle
            target.write(name, (made / name).read_bytes())
    return target.uri
