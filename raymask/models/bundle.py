"""Bundles: trained models on disk as `model.safetensors` and `config.json`; no pickle."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymask.errors import ConfigError, ModelError
from raymask.models.bundle_kinds import BUNDLED
from raymask.models.config import BACKBONES, is_backbone
from raymask.plugins import check_allowed

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A model with what one needs to know to use it."""

    model: nn.Module
    """In evaluation mode, on the CPU."""
    config: dict[str, Any]
    """Keys: format, model, arguments, sha256, preprocessing, thresholds, metrics, training; of a fusion, searches."""


def save_bundle(
    path: str | os.PathLike[str],
    model: nn.Module,
    *,
    preprocessing: Mapping[str, Any],
    thresholds: Mapping[str, float] | None = None,
    metrics: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    searches: Mapping[str, Any] | None = None,
) -> Path:
    """Write a bundle folder, whole or not at all, replacing one of that name.

    Args:
        path: folder to make.
        model: one that has a frozen dataclass `config` of its constructor arguments.
        preprocessing: how crops are made for it.
        thresholds: calibrated decision thresholds by name, cosine similarity.
        metrics: figures measured on it, by name.
        training: how it was trained: data, command, seed.
        searches: of a fusion, its `SearchTable` as JSON.

    Raises:
        ModelError: `model` is of no kind that `load_bundle` can make.
    """
    from safetensors.torch import save

    kind = type(model).__name__
    if kind not in BUNDLED:
        raise ModelError(f"{kind} cannot be bundled; models that can are {', '.join(BUNDLED)}")
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    config = {
        "format": FORMAT,
        "model": kind,
        "arguments": asdict(model.config),  # type: ignore[call-overload]  # every kind has one
        "sha256": hashlib.sha256(weights).hexdigest(),
        "preprocessing": dict(preprocessing),
        "thresholds": dict(thresholds or {}),
        "metrics": dict(metrics or {}),
        "training": dict(training or {}),
        **({} if searches is None else {"searches": dict(searches)}),
    }
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as made:
        folder = Path(made) / target.name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n")
        put_in_place(folder, target)
    return target


def put_in_place(made: Path, target: Path) -> None:
    """Give a whole folder its name. One that had it before is put beside `made`, and comes back if that fails; where
    the process is killed in between, it is found there. Raises OSError."""
    earlier = made.with_name(f"{made.name}.earlier")
    try:
        if target.exists():
            os.replace(target, earlier)
        os.replace(made, target)
    except BaseException:
        if earlier.exists() and not target.exists():
            os.replace(earlier, target)
        raise


def check_replaceable(target: str | os.PathLike[str]) -> None:
    """Raise ModelError if something is there that is no bundle, which a bundle must not take the place of."""
    folder = Path(target)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        bundle_config(folder)


def load_bundle(path: str | os.PathLike[str], kind: str | None = None) -> Bundle:
    """Read a bundle and check its weights against their checksum.

    Args:
        path: its folder.
        kind: the class that its model must be of, by name; None: any.

    Raises:
        ModelError: missing, damaged, made for another version, of another kind, or with a backbone that is code of
            others and that the operator has not named (`raymask.plugins.allow`).
    """
    from safetensors.torch import load

    folder = Path(path)
    config = bundle_config(folder, kind)
    try:
        weights = (folder / "model.safetensors").read_bytes()
    except OSError as error:
        raise _no_bundle(folder, "model.safetensors", kind, error) from None
    if config.get("format") != FORMAT or config.get("model") not in BUNDLED:
        made_for = f"format {config.get('format')}, model {config.get('model')!r}"
        raise ModelError(f"{folder}: {made_for} is not known here; update raymask")
    if hashlib.sha256(weights).hexdigest() != config["sha256"]:
        raise ModelError(
            f"{folder}/model.safetensors is damaged: its checksum does not match config.json; copy it again"
        )
    backbone = _own_backbone(config)
    if backbone:
        check_allowed(backbone, folder)
    try:
        model = BUNDLED[config["model"]].make(config["arguments"])
        model.load_state_dict(load(weights))
    except (TypeError, KeyError, ConfigError) as error:
        if backbone:
            raise ModelError(f"{folder}: {error}") from None
        raise ModelError(
            f"{folder} holds another architecture than the {config['model']} known here; update raymask, or make it "
            f"again with {_made_by(config['model'])}"
        ) from None
    except RuntimeError:  # a page of names
        raise ModelError(f"{folder}: the weights do not fit the arguments in config.json; make it again") from None
    return Bundle(model=model.eval(), config=config)


def _own_backbone(config: Mapping[str, Any]) -> str:
    """The backbone of a bundle if it is code of others, installed or to be imported; empty if it is not."""
    arguments = config["arguments"]
    name = arguments.get("backbone", "") if isinstance(arguments, dict) else ""
    return name if isinstance(name, str) and name not in BACKBONES and name and is_backbone(name) else ""


def bundle_config(path: str | os.PathLike[str], kind: str | None = None) -> dict[str, Any]:
    """What `config.json` of a bundle says. Raises ModelError if it is missing, not JSON, not all there, or if the model
    is of another kind than the one asked for."""
    folder = Path(path)
    try:
        config = dict(json.loads((folder / "config.json").read_text()))
    except OSError as error:
        raise _no_bundle(folder, "config.json", kind, error) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{folder}/config.json cannot be read ({error})") from None
    missing = [key for key in ("arguments", "sha256", "training") if key not in config]
    if missing:
        raise ModelError(f"{folder}/config.json is not whole: {', '.join(missing)} is missing; copy the bundle again")
    if kind is not None and config.get("model") != kind:
        raise ModelError(f"{folder} holds {config.get('model')}, not {kind}; make one with {_made_by(kind)}")
    return config


def _no_bundle(folder: Path, name: str, kind: str | None, error: OSError) -> ModelError:
    if isinstance(error, FileNotFoundError):
        return ModelError(f"{folder} is no bundle: {name} is missing; make one with {_made_by(kind)}")
    return ModelError(f"{folder}/{name} cannot be read ({error.strerror})")


def _made_by(kind: str | None) -> str:
    return BUNDLED[kind or "MaskFaceNet"].made_by
