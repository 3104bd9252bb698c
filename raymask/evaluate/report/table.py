"""Results as data (`table.json`) and as a table for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from raymask.evaluate.bootstrap import Figure, Sampled
from raymask.evaluate.measures import Measure, Scored
from raymask.models.spec import SHIPPED_NAMES, ModelSpec, MriiParts, RoutedParts
from raymask.progress import Progress

WIDTH = 110
"""Characters of a terminal line that tables keep within, if one column does."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What one recogniser has over another, on the same resampled people."""

    of: str
    minus: str
    figures: dict[str, Figure]
    """By measure: the difference of the values."""
    error_cuts: dict[str, Figure]
    """By measure that is a share: the share of the earlier one's errors that the later does not make; negative: it
    makes more."""


Samples = Mapping[str, Mapping[str, Sampled]]
"""By recogniser and by measure."""


def sample(scored: Mapping[str, Scored], weights: np.ndarray) -> Samples:
    """Every measure of every recogniser on the same resampled people."""
    samples: dict[str, dict[str, Sampled]] = {name: {} for name in scored}
    total = sum(len(part.measures) for part in scored.values())
    with Progress("resample people", total=total, unit="figures") as progress:
        for name, part in scored.items():
            for measure in part.measures:
                samples[name][measure.key] = Sampled.of(measure.statistic, weights)
                progress.add(1)
    return samples


def differences(samples: Samples, measures: Sequence[Measure]) -> list[Difference]:
    """Every recogniser against each one named before it."""
    return [_difference(samples, measures, earlier, later) for earlier, later in combinations(samples, 2)]


def _difference(samples: Samples, measures: Sequence[Measure], earlier: str, later: str) -> Difference:
    figures, cuts = {}, {}
    for measure in measures:
        before, after = samples[earlier][measure.key], samples[later][measure.key]
        figures[measure.key] = after.minus(before).figure()
        if not measure.is_share:
            continue
        if measure.higher_is_better:
            before, after = before.inverted(), after.inverted()
        cuts[measure.key] = after.cut_from(before).figure()
    return Difference(of=later, minus=earlier, figures=figures, error_cuts=cuts)


def short_names(specs: Sequence[str]) -> dict[str, str]:
    """Specs without the folders of their paths, where that leaves them different; bundles by their run's name."""
    short = {spec: _short_name(spec) for spec in specs}
    alike = list(short.values())
    return {spec: name if alike.count(name) == 1 else spec for spec, name in short.items()}


def _short_name(spec: str) -> str:
    if spec.startswith("mrii:"):
        parts = MriiParts.of(spec)
        return str(MriiParts(_last(parts.segmenter), _last(parts.inpainter), _short_name(parts.embedder)))
    if spec.startswith("routed:"):
        return f"routed:{','.join(_short_name(network) for network in RoutedParts.of(spec))}"
    if spec in SHIPPED_NAMES:
        return spec
    named = ModelSpec.of(spec)
    return str(named.at(_last(named.rest)))


def _last(path: str) -> str:
    """A path's last part, or the run's name where jobs/train.py and its like leave STORAGE/NAME/bundle."""
    return path.rstrip("/").removesuffix("/bundle").rpartition("/")[2]


def percent(shown: Figure, *, signed: bool = False) -> str:
    """98.6 (97.1 to 99.5), in percent; a dash where nothing was counted."""
    if math.isnan(shown.value):
        return "-"
    sign = "+" if signed else ""
    return f"{100 * shown.value:{sign}.1f} ({100 * shown.low:{sign}.1f} to {100 * shown.high:{sign}.1f})"


def figure_text(shown: Figure, measure: Measure, *, signed: bool = False) -> str:
    """A measure's figure, as `percent`; 1.62 (1.48 to 1.77) if it is no share; a dash where nothing was counted."""
    if math.isnan(shown.value):
        return "-"
    value, low, high = (number(part, measure, signed=signed) for part in (shown.value, shown.low, shown.high))
    return f"{value} ({low} to {high})"


def number(value: float, measure: Measure, *, signed: bool = False) -> str:
    """A value of a measure: in percent with one decimal, or as it is with two if it is no share."""
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f}" if measure.is_share else f"{value:{sign}.2f}"


def text_table(scored: Mapping[str, Scored], figures: Mapping[str, Mapping[str, Figure]]) -> str:
    """Measures down, recognisers across, in as many blocks as the width asks for."""
    names = short_names(list(scored))
    measures = next(iter(scored.values())).measures
    columns = [
        (names[spec], [figure_text(figures[spec][measure.key], measure) for measure in measures]) for spec in scored
    ]
    return blocks("%, with 95% interval", [measure.title for measure in measures], columns)


def text_differences(scored: Mapping[str, Scored], rows: Sequence[Difference]) -> str:
    """What each recogniser has over the first; empty if there is only one."""
    first, *others = scored
    if not others:
        return ""
    names = short_names(list(scored))
    measures = scored[first].measures
    columns = [
        (names[row.of], [figure_text(row.figures[measure.key], measure, signed=True) for measure in measures])
        for row in rows
        if row.minus == first
    ]
    return blocks(f"points over {names[first]}", [measure.title for measure in measures], columns)


def blocks(corner: str, heads: list[str], columns: list[tuple[str, list[str]]]) -> str:
    """An aligned table; columns that do not fit in WIDTH go on in another block below."""
    left = [corner, *heads]
    indent = max(map(len, left))
    blocks: list[list[list[str]]] = [[]]
    used = indent
    for title, cells in columns:
        width = max(len(text) for text in (title, *cells))
        if blocks[-1] and used + 2 + width > WIDTH:
            blocks.append([])
            used = indent
        used += 2 + width
        blocks[-1].append([text.rjust(width) for text in (title, *cells)])
    return "\n\n".join(
        "\n".join("  ".join(line) for line in zip([text.ljust(indent) for text in left], *block, strict=True))
        for block in blocks
    )


def as_json(table: dict[str, Any]) -> bytes:
    """`table.json`: NaN, which JSON lacks, becomes null."""
    return (json.dumps(_plain(table), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Figure):
        return _plain(asdict(value))
    return None if isinstance(value, float) and math.isnan(value) else value
