"""Making a table of thresholds from the searches of strangers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from raymask.calibration.searches import EDGES, Searches, edge_at
from raymask.calibration.table import STATES, SearchTable, State, StateTable
from raymask.calibration.tail import FOLDS, Gev, block_maxima

RATES = (0.99, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 5e-3, 3e-3, 2e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
LEAST_STRANGERS = 10
"""Who reach a threshold, for it to count as measured."""
RESAMPLES = 200
"""Of strangers and of enrolled people, behind a fit's upper bound."""
_STEPS = (1, 2, 5)


def sizes(measured: int) -> tuple[int, ...]:
    """Of galleries that a table speaks of: 1, 2, 5, 10 ... to what was measured, and in octaves beyond it."""
    below = [step * 10**power for power in range(9) for step in _STEPS if step * 10**power < measured]
    return (*below, measured, *(measured * 2**octave for octave in range(1, FOLDS.bit_length())))


class Fit(NamedTuple):
    """Scores by a generalised extreme value."""

    likely: np.ndarray
    """(K, N)."""
    upper: np.ndarray
    """(K, N) upper ends of one-sided 95% intervals, over strangers and over enrolled people apart."""


def fitted(searches: Searches, enrolled: Sequence[int], *, largest: int, seed: int, resamples: int = RESAMPLES) -> Fit:
    """Scores at all RATES for galleries of any size, by blocks of `largest` people, a half and a quarter of them."""
    random = np.random.default_rng(seed)
    rates, galleries = np.asarray(RATES)[:, None], np.asarray(enrolled, float)[None]
    fit = Gev.fit(block_maxima(searches, random, largest=largest))
    again = []
    for _ in range(resamples):
        maxima = block_maxima(searches, random, largest=largest, resampled=True)
        refit = Gev.fit(maxima, begin=fit) if len(maxima.values) else fit  # of two people nobody may be left to compare
        again.append(refit.threshold(rates, galleries))
    likely = fit.threshold(rates, galleries)
    # from the middle of the resamples: a gallery drawn with replacement has fewer people, and so lower scores
    return Fit(likely, likely + np.quantile(again, 0.95, axis=0) - np.median(again, axis=0))


def state_table(searches: Searches, *, seed: int, measured: int) -> StateTable:
    """Measured as far as enough strangers reach a threshold, and by the upper end of a fit elsewhere."""
    enrolled = sizes(measured)
    if not searches.people:  # nothing can be said: nobody is ever returned
        nobody = np.ones((len(RATES), len(enrolled)))
        return _table(nobody, nobody > 0)
    guess = fitted(searches, enrolled, largest=measured, seed=seed)
    reaching = searches.strangers_reaching()
    scores, extrapolated = np.array(guess.upper), np.ones(guess.upper.shape, bool)
    within = [size for size in enrolled if size <= measured]
    for column, fpir in enumerate(searches.fpir(within)):
        for row, rate in enumerate(RATES):
            edge = edge_at(fpir, rate)
            if reaching[edge] >= LEAST_STRANGERS:
                scores[row, column], extrapolated[row, column] = EDGES[edge], False
    scores = np.clip(np.maximum.accumulate(np.maximum.accumulate(scores, axis=0), axis=1), -1, 1)
    return _table(scores, extrapolated)


def _table(scores: np.ndarray, extrapolated: np.ndarray) -> StateTable:
    return StateTable(
        scores=tuple(tuple(round(float(score), 4) for score in row) for row in scores),
        extrapolated=tuple(map(tuple, extrapolated.tolist())),
    )


class Checked(NamedTuple):
    """What a fit to small galleries says of the largest one, beside what was measured there."""

    searched: str
    enrolled: int
    rate: float
    """FPIR that the threshold is for."""
    fpir: float
    """Of the fit's most likely threshold, as measured."""
    fpir_of_upper: float
    """Of its upper bound."""


def check_fit(searches: Mapping[str, Searches], rates: Sequence[float], *, seed: int = 0) -> list[Checked]:
    """Thresholds for the largest gallery of each state, from blocks FOLDS times smaller, beside the truth."""
    checked = []
    for name, found in searches.items():
        if not found.people or found.most < 4 * FOLDS:
            continue
        fit = fitted(found, [found.most], largest=found.most // FOLDS, seed=seed)
        (fpir,) = found.fpir([found.most])
        for rate in rates:
            row = RATES.index(rate)
            reached = [float(fpir[np.searchsorted(EDGES, score[row, 0])]) for score in fit]
            checked.append(Checked(name, found.most, rate, *reached))
    return checked


def search_table(searches: Mapping[State, Sequence[Searches]], *, seed: int = 0) -> SearchTable:
    """The table of bare and masked strangers.

    Args:
        searches: of each state one group of strangers or several, such as faces in drawn and in real masks; of these
            the highest thresholds hold, so that each group keeps the rate.
        seed: of blocks and resamples.
    """
    groups = [found for state in STATES for found in searches[state]]
    measured = max(1, min(found.most for found in groups))
    tables = {
        state: _highest([state_table(found, seed=seed, measured=measured) for found in searches[state]])
        for state in STATES
    }
    return SearchTable(
        rates=RATES,
        enrolled=sizes(measured),
        strangers=min(found.people for found in groups),
        measured=measured,
        bare=tables["bare"],
        masked=tables["masked"],
    )


def _highest(tables: Sequence[StateTable]) -> StateTable:
    scores = np.stack([table.scores for table in tables])
    extrapolated = np.stack([table.extrapolated for table in tables])
    which = scores.argmax(axis=0)[None]
    return _table(*(np.take_along_axis(cells, which, axis=0)[0] for cells in (scores, extrapolated)))
