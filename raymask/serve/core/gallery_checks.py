"""Whether a gallery keeps what the thresholds promise: when that is looked at, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from raymask.calibration.table import SearchTable
from raymask.gallery.reader import GalleryReader
from raymask.serve.core.self_check import SelfCheck, self_check

_RATES = (1e-1, 1e-2)
"""FPIR that are checked."""
_CHANGED = 0.1
"""Share by which people or embeddings have grown or shrunk when a gallery is checked again."""


class GalleryState(NamedTuple):
    """A gallery now, and what its last check has found."""

    people: int
    embeddings: int
    check: SelfCheck | None
    """None where none was possible: too few people, or thresholds that promise nothing. Names nobody who is erased."""


class GalleryChecks:
    """Checks of a gallery, each some while after it has changed."""

    def __init__(self, reader: GalleryReader, table: SearchTable | None) -> None:
        """`table`: what is promised; None: nothing is, and nothing is checked."""
        self._reader, self._table = reader, table
        self._last: SelfCheck | None = None

    def update(self) -> bool:
        """Check the gallery, if it has changed since the last time; returns whether it was checked. Raises DataError.

        Takes as long as `self_check`. A gallery that has become too small for a check has none from then on.
        """
        if self._table is None or not self._due():
            return False
        self._last = self_check(self._reader, self._promised, seed=self._reader.version)
        return self._last is not None

    @property
    def last(self) -> SelfCheck | None:
        """What was found last, also of people who have been erased since."""
        return self._last

    def state(self) -> GalleryState:
        """The gallery as it is, and its last check. Raises DataError."""
        check = self._last
        if check is not None:
            pairs = check.nearest
            enrolled = self._reader.enrolled_of({name for pair in pairs for name in pair[:2]})
            check = replace(check, nearest=tuple(pair for pair in pairs if {*pair[:2]} <= enrolled))
        return GalleryState(self._reader.people, self._reader.rows, check)

    def _due(self) -> bool:
        last = self._last
        return (
            last is None
            or abs(self._reader.rows - last.embeddings) >= _CHANGED * last.embeddings
            or abs(self._reader.people - last.people) >= _CHANGED * last.people
        )

    def _promised(self, embeddings: int) -> dict[float, float]:
        """The score of each FPIR that the table has; a photo that is enrolled is a bare one."""
        assert self._table is not None
        thresholds = [self._table.threshold("bare", rate, embeddings) for rate in _RATES]
        return {one.fpir: one.score for one in thresholds if one.fpir is not None}


def warning_of(check: SelfCheck | None) -> str | None:
    """What to say where a gallery does not keep the promise; names nobody."""
    exceeding = [share for share in check.shares if share.exceeds] if check else []
    if check is None or not exceeding:
        return None
    shares = " and ".join(f"{share.observed:.1%} instead of {100 * share.expected:.3g}%" for share in exceeding)
    return (
        f"Of {check.searched:,} people enrolled, each searched among all others, too many are taken for somebody else: "
        f"{shares}. They resemble each other more than the strangers that the thresholds were calibrated on. "
        "Calibrate on your own people with `jobs/calibrate.py --fused DIR --strangers FOLDER --out DIR`, or look for "
        "people who are enrolled twice (`GET /v1/gallery`)."
    )
