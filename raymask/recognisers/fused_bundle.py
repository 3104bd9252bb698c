"""The bundle of a fusion on disk: scales, thresholds, and a copy of each part that is not raymask's own, to move on."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raymask import __version__
from raymask.errors import DataError, ModelError
from raymask.models.bundle import bundle_config, put_in_place, save_bundle
from raymask.models.fusion import Fusion, FusionConfig
from raymask.models.spec import SHIPPED_NAMES, ModelSpec, MriiParts, RoutedParts, resolved
from raymask.plugins import check_allowed
from raymask.recognisers.remote_bundles import fetched


def check_target(target: Path) -> None:
    """Raise DataError if a fusion cannot be written there, or would replace something else."""
    if target.exists() and not _is_fusion(target) and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target} is there and is not a fusion; choose another --out")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}."):
            pass
    except OSError as error:
        raise _unwritable(target, error) from None


def _is_fusion(folder: Path) -> bool:
    try:
        return json.loads((folder / "config.json").read_text())["model"] == "Fusion"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _unwritable(target: Path, error: OSError) -> DataError:
    return DataError(f"{target} cannot be written ({error.strerror or error}); choose another --out")


def write_fused(
    target: Path,
    fusion: Fusion,
    *,
    thresholds: Mapping[str, float],
    searches: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any],
    training: Mapping[str, Any],
) -> None:
    """Write the bundle, whole or not at all.

    Args:
        target: its folder.
        fusion: the model.
        thresholds: of two photos, by name.
        searches: of searches, a `SearchTable` as JSON; None: the service then wants thresholds from its configuration.
        metrics: figures measured on it.
        training: what it was calibrated on.

    Raises:
        DataError: it cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            made = Path(folder) / "made"
            parts = tuple(collect(spec, made, f"parts/{place}") for place, spec in enumerate(fusion.config.parts))
            movable = Fusion(FusionConfig(parts=parts))
            movable.load_state_dict(fusion.state_dict())
            bundle = save_bundle(
                Path(folder) / "bundle",
                movable,
                preprocessing={},
                thresholds=thresholds,
                searches=searches,
                metrics=metrics,
                training={"raymask": __version__, **training},
            )
            if (made / "parts").exists():
                shutil.move(made / "parts", bundle / "parts")
            put_in_place(bundle, target)
    except OSError as error:
        raise _unwritable(target, error) from None


def collect(spec: str, folder: Path, name: str) -> str:
    """Copy a recogniser's files into FOLDER/NAME; returns its spec with paths relative to `folder`.

    What comes with raymask is named and not copied: it is wherever the fusion can be used.
    """
    if spec in SHIPPED_NAMES:
        return spec
    named = ModelSpec.of(spec)
    if named.kind == "mrii":
        parts = MriiParts.of(spec)
        segmenter = collect(f"bundle:{parts.segmenter}", folder, f"{name}/segmenter").removeprefix("bundle:")
        inpainter = collect(f"bundle:{parts.inpainter}", folder, f"{name}/inpainter").removeprefix("bundle:")
        return str(MriiParts(segmenter, inpainter, collect(parts.embedder, folder, f"{name}/embedder")))
    if named.kind == "routed":
        masked, bare = RoutedParts.of(spec)
        return str(RoutedParts(collect(masked, folder, f"{name}/masked"), collect(bare, folder, f"{name}/bare")))
    if named.kind == "bundle":
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(fetched(named.rest, Path(copy)), folder / name, dirs_exist_ok=True)
        return str(named.at(name))
    if named.file is not None and Path(named.file).is_file():
        (folder / name).mkdir(parents=True)
        shutil.copy(named.file, folder / name)
        return str(named.at(f"{name}/{Path(named.file).name}"))
    return spec


def moved(spec: str, folder: Path) -> str:
    """A part's spec with its files where `collect` has put them in the folder, or where raymask has its own.

    A fusion in a copy of another raymask's bundles uses those: that is how people go on with the previous models.

    Raises:
        ModelError: it is, or has in it, code of others that the operator has not named. A part is loaded only by what
            this returns.
    """
    named = ModelSpec.of(resolved(spec, _bundles_around(folder)))
    for own in named.own:
        check_allowed(own, folder)
    if named.kind == "mrii":
        parts = MriiParts.of(str(named))
        segmenter, inpainter = folder / parts.segmenter, folder / parts.inpainter
        return str(MriiParts(str(segmenter), str(inpainter), moved(parts.embedder, folder)))
    if named.kind == "routed":
        return str(RoutedParts(*(moved(network, folder) for network in RoutedParts.of(str(named)))))
    return str(named.at(folder / named.rest) if named.rest.startswith("parts/") else named)


def is_named(spec: str) -> bool:
    """Whether a fusion only names a part, for `collect` has nothing to copy, and uses what comes with raymask or is
    installed."""
    if ModelSpec.of(spec).kind == "routed":
        return all(network in SHIPPED_NAMES or ModelSpec.of(network).file is None for network in RoutedParts.of(spec))
    return spec in (*SHIPPED_NAMES, "sface") or ModelSpec.of(spec).own == (spec,)


def _bundles_around(folder: Path) -> Path | None:
    """The folder of bundles that a fusion lies in, one of raymask's own or a copy; None if it lies elsewhere."""
    names = ("aligner", "inpainter", "maskfacenet", "segmenter")
    return folder.parent if all((folder.parent / name / "config.json").is_file() for name in names) else None


def thresholds_of(fusion: str | os.PathLike[str], bundle: str | os.PathLike[str]) -> dict[str, float]:
    """What a fusion has found for a network that is one of its parts.

    Raises:
        ModelError: it is none, or the fusion was made before they were kept.
    """
    config, folder = bundle_config(fusion, "Fusion"), Path(fusion)
    found = config["metrics"].get("thresholds_of_parts", [])
    wanted = _as_used(bundle)
    for part, thresholds in zip(config["arguments"]["parts"], found, strict=False):
        kind, place = ModelSpec.of(moved(part, folder))
        if kind == "bundle" and _as_used(place) == wanted:
            return dict(thresholds)
    raise ModelError(
        f"{fusion} holds no thresholds for {bundle}; make it with jobs/fuse.py, this bundle among its parts"
    )


def _as_used(bundle: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """A network's weights by their digest, and what is done with them."""
    config = bundle_config(bundle)
    return config["sha256"], config["arguments"]
