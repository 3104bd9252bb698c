"""Copies of bundles that can be given away: in half precision, without this machine's folders."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymask.errors import ModelError
from raymask.models.bundle import check_replaceable, load_bundle, save_bundle

if TYPE_CHECKING:
    from torch import nn

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^,?]*[/@])?([^,?/@]+)/?(?:\?[^,]*)?")
"""Of a URI, whose last part is the group: before it stand hosts, folders and maybe a key, behind it options."""

_FOLDERS = re.compile(r"(^|[:,])/(?:[^:,]*/)?(?=[^/:,])")
"""What stands before the last part of an absolute path."""


def ship_bundle(
    path: str | os.PathLike[str], target: str | os.PathLike[str], *, thresholds: Mapping[str, float] | None = None
) -> Path:
    """Copy a bundle in half precision, without this machine's folders, so that it can be given away.

    Args:
        path: its folder.
        target: folder of the copy; may be the same.
        thresholds: others than it has.

    Raises:
        ModelError: as `load_bundle`; a fusion whose parts lie in its folder; or a target that is something else, or
            cannot be written.
    """
    bundle = load_bundle(path)
    if bundle.config["model"] == "Fusion" and any("parts/" in part for part in bundle.config["arguments"]["parts"]):
        raise ModelError(f"{path} is a fusion with its parts' files; copy its folder as it is")
    check_replaceable(target)
    try:
        return save_bundle(
            target,
            _halved(bundle.model),
            preprocessing=bundle.config["preprocessing"],
            thresholds=bundle.config["thresholds"] if thresholds is None else thresholds,
            metrics=bundle.config["metrics"],
            training=_without_folders(bundle.config["training"]),
        )
    except OSError as error:
        raise ModelError(f"{target} cannot be written ({error.strerror})") from None


def _halved(model: nn.Module) -> nn.Module:
    """The weights in half precision, in place; not the few by channel, whose variances may be out of its range."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.half()
    return model


def _without_folders(value: Any) -> Any:
    """Of absolute paths and addresses, alone or in a recogniser's name, the last part."""
    if isinstance(value, dict):
        return {key: _without_folders(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_folders(part) for part in value]
    return _FOLDERS.sub(r"\1", _ADDRESS.sub(r"\1", value)) if isinstance(value, str) else value
