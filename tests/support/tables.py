"""Thresholds of invented strangers."""

import json
from pathlib import Path

from raymask.calibration.table import SearchTable, StateTable

MEASURED, KNOWN = 100, 10_000
"""Embeddings: above the first the small table is a fit, above the second it says nothing."""
RATES = (1e-1, 1e-2, 1e-3, 1e-4)
STEP = 0.01
"""By which a threshold rises with ten times as many enrolled, and with a tenth of the rate."""
LOWEST = {"bare": 0.93, "masked": 0.92}
"""Thresholds of a single one enrolled, at the first of RATES."""


def small_table(lower: float = 0.0) -> SearchTable:
    """Thresholds that rise evenly in the logarithms of the gallery's size and of the rate; `lower` than LOWEST."""
    sizes = tuple(10**power for power in range(5))
    assert sizes[-1] == KNOWN
    states = {
        state: StateTable(
            scores=tuple(
                tuple(round(lowest - lower + STEP * (row + column), 4) for column in range(len(sizes)))
                for row in range(len(RATES))
            ),
            extrapolated=tuple(tuple(size > MEASURED for size in sizes) for _ in RATES),
        )
        for state, lowest in LOWEST.items()
    }
    return SearchTable(rates=RATES, enrolled=sizes, strangers=500, measured=MEASURED, **states)


def with_table(fusion: str | Path) -> Path:
    """The bundle of a fusion, which gets the small table if it has none."""
    file = Path(fusion) / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({"searches": small_table().as_json(), **config}))
    return Path(fusion)
