"""False negatives at a rate of false positives, by size of the gallery, and whether a fusion keeps what it promises.

The false-negative identification rate (FNIR) is the share of probes of enrolled people whose own score stays below the
threshold, or in which no face was found. The false-positive identification rate (FPIR) is the share of strangers'
searches in which anybody reaches it (ISO/IEC 19795-1). Their curve is the detection error trade-off (DET).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from raymask.calibration.searches import EDGES, Searches, edge_at
from raymask.calibration.table import SearchTable, State
from raymask.evaluate.bootstrap import Figure, Ratio, Sampled, sums_by_person
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.measures import Line
from raymask.evaluate.protocols.gallery import GalleryTrial
from raymask.evaluate.report.table import percent
from raymask.evaluate.strangers.groups import Group

RATES = (1e-1, 1e-2)
"""FPIR that are reported for."""
RARE = 1e-3
"""Another, of which is said on how many strangers it rests."""
SIZES = (100, 1000, 5000)
"""Of galleries, and the largest that those enrolled allow."""
SHOWN = 1000
"""The size that curves are drawn for, or the largest below it."""
SEARCHED: dict[str, State] = {"bare": "bare", "masked": "masked", "worn": "masked"}
"""Which thresholds decide about strangers' bare faces, faces in drawn masks and faces in real ones."""


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What a fusion's own threshold does."""

    threshold: float
    extrapolated: bool
    fpir: float
    fnir: Figure | None


@dataclass(frozen=True, kw_only=True)
class SearchRow:
    """One state, size of the gallery and FPIR."""

    searched: str
    """Strangers: bare, masked (drawn), or worn (real masks)."""
    probes: str | None
    """The state of enrolled people's probes beside them, as `GalleryTrial.states` has them; None: there are none."""
    strangers: int
    enrolled: int
    rate: float
    """FPIR, found on these strangers."""
    threshold: float
    fnir: Figure | None
    """With its 95% interval over people, the threshold staying as it is."""
    promise: Promise | None
    """None: the recogniser is not a fusion, or one without thresholds for searches."""


@dataclass(frozen=True, kw_only=True)
class StrangerFigures:
    """What strangers say of a recogniser."""

    rows: list[SearchRow]
    groups: dict[str, list[Group]]
    """By what of strangers is searched; those let in most often first."""
    curves: list[Line]
    """DET for SHOWN enrolled, or the largest gallery below it: FNIR over FPIR, by state of the probes."""
    notes: list[str]

    def as_table(self) -> dict[str, Any]:
        """For `table.json`."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "groups": {name: [asdict(group) for group in groups] for name, groups in self.groups.items()},
            "det": {line.label: {"fpir": line.x.tolist(), "fnir": line.y.tolist()} for line in self.curves},
        }


class OwnScores:
    """Of the probes of enrolled people with their own photo, over all draws."""

    def __init__(self, trial: GalleryTrial, answer: Embedded, weights: np.ndarray) -> None:
        """`weights`: (R, P) of resampled people."""
        self._trial, self._weights = trial, weights
        own, is_probe = trial.own_scores(answer)
        self._scores = {name: np.where(is_probe & state.rows, own, np.nan) for name, state in trial.states.items()}

    def fnir(self, state: str, threshold: float) -> Figure:
        """Share of probes below a threshold; people count as often as they have probes."""
        draws = self._scores[state]
        missed, asked = (draws < threshold).sum(axis=0), (~np.isnan(draws)).sum(axis=0)
        people = len(self._trial.people)
        sums = [sums_by_person(part, self._trial.identities, people)[:people] for part in (missed, asked)]
        return Sampled.of(Ratio(*sums), self._weights).figure()

    def all_of(self, state: str) -> np.ndarray:
        """All scores of probes in a state, sorted; -inf where no face was found."""
        draws = self._scores[state]
        return np.sort(draws[~np.isnan(draws)])


def measure(
    own: OwnScores, searches: Mapping[str, Searches], states: Mapping[str, str], table: SearchTable | None
) -> StrangerFigures:
    """All figures of a recogniser.

    Args:
        own: scores of enrolled people.
        searches: strangers', by what of them is searched.
        states: of the probes that go with each, where there are any.
        table: the fusion's thresholds.
    """
    rows, curves, notes = [], [], []
    for searched, found in searches.items():
        if not found.people:
            notes.append(f"{searched} strangers: no face is found in any of their photos")
            continue
        sizes = sizes_of(found)
        for size, fpir in zip(sizes, found.fpir(sizes), strict=True):
            rows += [_row(own, searched, states.get(searched), found, size, fpir, rate, table) for rate in RATES]
            if size == max(kept for kept in sizes if kept <= SHOWN or kept == sizes[0]) and searched in states:
                curves.append(det(own.all_of(states[searched]), fpir, states[searched], found.people))
        notes.append(_rare(searched, found))
    return StrangerFigures(rows=rows, groups={}, curves=curves, notes=notes)


def sizes_of(searches: Searches) -> list[int]:
    """Galleries that are reported on."""
    return sorted({*(size for size in SIZES if size < searches.most), searches.most})


def _row(
    own: OwnScores,
    searched: str,
    state: str | None,
    found: Searches,
    size: int,
    fpir: np.ndarray,
    rate: float,
    table: SearchTable | None,
) -> SearchRow:
    threshold = float(EDGES[edge_at(fpir, rate)])
    promise = None
    if table is not None:
        promised = table.threshold(SEARCHED[searched], rate, size)
        promise = Promise(
            threshold=round(promised.score, 4),
            extrapolated=promised.extrapolated,
            fpir=float(fpir[np.searchsorted(EDGES, promised.score)]),
            fnir=None if state is None else own.fnir(state, promised.score),
        )
    return SearchRow(
        searched=searched,
        probes=state,
        strangers=found.people,
        enrolled=size,
        rate=rate,
        threshold=round(threshold, 4),
        fnir=None if state is None else own.fnir(state, threshold),
        promise=promise,
    )


def det(own: np.ndarray, fpir: np.ndarray, label: str, strangers: int) -> Line:
    """FNIR over FPIR, down to one stranger's share; `own` as `OwnScores.all_of` gives them."""
    fnir = np.searchsorted(own, EDGES) / len(own)
    shown = fpir >= 1 / strangers
    return Line(label=label, x=fpir[shown], y=fnir[shown])


def _rare(searched: str, found: Searches) -> str:
    """What can be said of RARE, in a sentence."""
    size = found.most
    threshold = found.threshold(RARE, size)
    reach = int(found.strangers_reaching()[np.searchsorted(EDGES, threshold)])
    bound = binomtest(reach, found.people, alternative="less").proportion_ci(0.95).high
    return (
        f"{searched} strangers at FPIR {RARE:g} of {size:,} enrolled: threshold {threshold:.3f}, which {reach} of "
        f"{found.people:,} strangers reach; their share is below {bound:.2g} (one-sided 95%)"
    )


_SEARCHED = {"bare": "bare", "masked": "masks drawn", "worn": "real masks"}


def stranger_table(rows: Sequence[SearchRow]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Heads of the lines, and columns with their titles; a threshold from a fit has a star."""
    heads = [f"{_SEARCHED[row.searched]}, {row.enrolled:,} enrolled, FPIR {100 * row.rate:g}%" for row in rows]
    columns = [
        ("threshold", [f"{row.threshold:.3f}" for row in rows]),
        ("FNIR, %", ["-" if row.fnir is None else percent(row.fnir) for row in rows]),
    ]
    promises = [row.promise for row in rows]
    if any(promises):
        columns += [(title, [_cell(one, show) for one in promises]) for title, show in _PROMISED.items()]
    return heads, columns


_PROMISED: dict[str, Callable[[Promise], str]] = {
    "calibrated": lambda kept: f"{kept.threshold:.3f}{'*' * kept.extrapolated}",
    "its FPIR, %": lambda kept: f"{100 * kept.fpir:.2g}",
    "its FNIR, %": lambda kept: "-" if kept.fnir is None else percent(kept.fnir),
}


def _cell(promise: Promise | None, show: Callable[[Promise], str]) -> str:
    return "-" if promise is None else show(promise)
