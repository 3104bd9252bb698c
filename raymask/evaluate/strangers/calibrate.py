"""Thresholds of a fusion that hold for a search, found on strangers."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raymask import __version__
from raymask.calibration.fit import Checked, check_fit, search_table
from raymask.calibration.searches import Searches
from raymask.calibration.table import STATES, SearchTable, State
from raymask.calibration.tail import FOLDS
from raymask.data.prepare.textures import load_textures
from raymask.errors import DataError
from raymask.evaluate.report.table import blocks
from raymask.evaluate.strangers.calibrate_config import CalibrateConfig
from raymask.evaluate.strangers.faces import Look, embed_strangers
from raymask.evaluate.strangers.photos import choose_strangers, repeated_people
from raymask.models.bundle import bundle_config, put_in_place
from raymask.plugins import allow
from raymask.recognisers.face_finder import share_finder
from raymask.recognisers.fused_bundle import check_target
from raymask.recognisers.kinds import load_recogniser

CHECKED = (1e-1, 1e-2)
"""FPIR whose thresholds are printed."""
LEAST_SHOWN = 10
"""Enrolled in the smallest gallery whose thresholds are printed."""


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What a calibration has found."""

    table: SearchTable
    checked: list[Checked]
    """What fits to galleries FOLDS times smaller say of the largest ones, beside the truth."""

    def text(self) -> str:
        """Thresholds by size of the gallery; those from a fit have a star."""
        shown = [size for size in self.table.enrolled if size >= LEAST_SHOWN]
        columns = [
            (f"{state}, FPIR {100 * rate:g}%", [self._cell(state, rate, size) for size in shown])
            for state in STATES
            for rate in CHECKED
        ]
        lines = []
        for one in self.checked:
            fitted, measured = (f"{100 * rate:.2g}%" for rate in (one.fpir, one.fpir_of_upper))
            lines.append(
                f"{one.searched}, FPIR {100 * one.rate:g}% of {one.enrolled:,} enrolled by a fit to "
                f"{one.enrolled // FOLDS:,}: measured {fitted}, and {measured} at the upper end of its interval"
            )
        table = blocks("enrolled", [f"{size:,}" for size in shown], columns)
        return "\n".join([table, "", *lines, f"* by a fit; measured up to {self.table.measured:,} enrolled"])

    def _cell(self, state: State, rate: float, size: int) -> str:
        threshold = self.table.threshold(state, rate, size)
        return f"{threshold.score:.3f}{'*' * threshold.extrapolated}"


def calibrate(config: CalibrateConfig) -> Calibrated:
    """Find thresholds and write them into a copy of the fusion.

    Raises:
        DataError: photos are missing or show too few people or no face, or the bundle cannot be written.
        ModelError: a model file is missing or does not fit.
    """
    allow(config.own)
    found = bundle_config(config.fused, "Fusion")
    check_target(Path(config.out))
    share_finder(config.detector)
    textures = load_textures(config.textures)
    strangers = choose_strangers(config, config.seed)
    recogniser = load_recogniser(f"fused:{config.fused}")
    look = Look(config.masks, config.seed, textures)
    faces = embed_strangers(strangers, {"": recogniser}, look)[""]
    searches = faces.searches(repeated_people(config.strangers_repeats))
    _check_faces(searches, config)
    masked = [found for name, found in searches.items() if name != "bare"]
    done = Calibrated(
        table=search_table({"bare": [searches["bare"]], "masked": masked}, seed=config.seed),
        checked=check_fit(searches, CHECKED, seed=config.seed),
    )
    training = {
        "raymask": __version__,
        "strangers": {name: found.people for name, found in searches.items()},
        "masks": list(config.masks),
        **({} if textures is None else {"textures_sha256": textures.digest}),
        "seed": config.seed,
    }
    changed = {
        "searches": done.table.as_json(),
        "metrics": found.get("metrics", {}) | {"fit_checked": [one._asdict() for one in done.checked]},
        "training": found["training"] | {"searches": training},
    }
    _write(config, found | changed)
    return done


def _check_faces(searches: Mapping[str, Searches], config: CalibrateConfig) -> None:
    """Raise DataError for strangers without any face: their threshold would be 1, by which nobody is recognised."""
    for name, found in searches.items():
        if not found.people:
            root = config.strangers_masked if name == "worn" else ", ".join(config.strangers)
            drawn = ", once masks are drawn on them" if name == "masked" else ""
            raise DataError(f"no face is found in the photos under {root}{drawn}; name a folder of others")


def _write(config: CalibrateConfig, found: Mapping[str, Any]) -> None:
    """Put a copy of the fusion in place that says what was found. Raises DataError if it cannot be written."""
    target = Path(config.out)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            copy = Path(folder) / target.name
            shutil.copytree(config.fused, copy)
            (copy / "config.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
            put_in_place(copy, target)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror or error}); choose another --out") from None
