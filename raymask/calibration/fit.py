"""Making a table of thresholds from the searches of strangers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from raymask.calibration.searches import EDGES, Searches
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
        again.append(Gev.fit(maxima, begin=fit).threshold(rates, galleries))
    likely = fit.threshold(rates, galleries)
    # from the middle of the resamples: a gallery drawn with replacement has fewer people, and so lower scores
    return Fit(likely, likely + np.quantile(again, 0.95, axis=0) - np.median(again, axis=0))


def state_table(searches: Searches, *, seed: int, measured: int) -> StateTable:
    """Measured as far as enough strangers reach a threshold, and by the upper end of a fit elsewhere."""
    enrolled = sizes(measured)
    guess = fitted(searches, enrolled, largest=measured, seed=seed)
    reaching = searches.strangers_reaching()
    scores, extrapolated = np.array(guess.upper), np.ones(guess.upper.shape, bool)
    for column, size in enumerate(enrolled):
        if size > measured:
            continue
        fpir = searches.fpir(size)
        for row, rate in enumerate(RATES):
            edge = int(np.argmax(fpir <= rate))
            if reaching[edge] >= LEAST_STRANGERS:
                scores[row, column], extrapolated[row, column] = EDGES[edge], False
    scores = np.clip(np.maximum.accumulate(np.maximum.accumulate(scores, axis=0), axis=1), -1, 1)
    return StateTable(
        scores=tuple(tuple(round(float(score), 4) for score in row) for row in scores),
        extrapolated=tuple(map(tuple, extrapolated.tolist())),
    )


def search_table(searches: Mapping[State, Searches], *, seed: int = 0) -> SearchTable:
    """The table of bare and masked strangers."""
    measured = min(searches[state].most for state in STATES)
    return SearchTable(
        rates=RATES,
        enrolled=sizes(measured),
        strangers=min(searches[state].people for state in STATES),
        measured=measured,
        **{state: state_table(searches[state], seed=seed, measured=measured) for state in STATES},
    )
