"""From an evaluation's options to what strangers say of each recogniser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from raymask.calibration.table import SearchTable
from raymask.data.prepare.textures import load_textures
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.protocols.gallery import GalleryTrial
from raymask.evaluate.strangers.faces import Look, StrangerFaces, embed_strangers
from raymask.evaluate.strangers.groups import RATE, fpir_by_group, read_labels
from raymask.evaluate.strangers.measured import OwnScores, StrangerFigures, measure
from raymask.evaluate.strangers.photos import Stranger, repeated_people
from raymask.models.bundle import bundle_config
from raymask.models.shipped import SHIPPED
from raymask.models.spec import ModelSpec
from raymask.recognisers.base import Recogniser


class Strangers:
    """Strangers of an evaluation: read and checked before any work, and then measured by."""

    def __init__(self, config: EvaluateConfig, strangers: Sequence[Stranger]) -> None:
        """Raises DataError if a file that the options name cannot be read, or as `table_of`."""
        self._config, self._strangers = config, strangers
        self._tables = {spec: table_of(spec) for spec in config.recognisers}
        self._repeats = repeated_people(config.strangers_repeats)
        self._labels = None if config.strangers_labels is None else read_labels(config.strangers_labels)

    def embed(self, recognisers: Mapping[str, Recogniser]) -> dict[str, StrangerFaces]:
        """What each recogniser makes of them. Raises as `embed_probes`."""
        config = self._config
        look = Look(config.masks, config.seed, load_textures(config.textures), config.drawing)
        return embed_strangers(self._strangers, recognisers, look)

    def figures(
        self, spec: str, trial: GalleryTrial, answer: Embedded, faces: StrangerFaces, weights: np.ndarray
    ) -> StrangerFigures:
        """A recogniser's; `weights` (R, P) are of the resampled people of the trial."""
        searches = faces.searches(self._repeats)
        masked = "clean" if "clean" in trial.states else "masked"
        in_real_masks = self._config.masked_images is not None and "worn" in searches
        states = {"bare": "bare", "worn" if in_real_masks else "masked": masked}
        found = measure(OwnScores(trial, answer, weights), searches, states, self._tables[spec])
        if self._labels is None:
            return found
        labels, resamples, seed = self._labels, self._config.resamples, self._config.seed
        groups = {
            name: fpir_by_group(searches[name], faces.bare.names, labels, resamples=resamples, seed=seed)
            for name in ("bare", "masked")
            if searches[name].people
        }
        worst = [
            f"of {name} strangers those of {some[0].name} are let in most often: {100 * some[0].fpir.value:.1f}% "
            f"({100 * some[0].fpir.low:.1f} to {100 * some[0].fpir.high:.1f}) where {100 * RATE:g}% of all are"
            for name, some in groups.items()
            if some
        ]
        return replace(found, groups=groups, notes=[*found.notes, *worst])


def table_of(spec: str) -> SearchTable | None:
    """A fusion's thresholds for searches; None if it has none, or if the recogniser is not a fusion.

    Raises:
        ModelError: the bundle cannot be read.
        ConfigError: its thresholds cannot.
    """
    kind, folder = ModelSpec.of(spec)
    if kind != "fused":
        return None
    return SearchTable.of_bundle(bundle_config(folder or SHIPPED / "fused"), spec)
