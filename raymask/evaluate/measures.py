"""What a protocol hands on about one recogniser."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from raymask.evaluate.bootstrap import Statistic


@dataclass(frozen=True, kw_only=True, eq=False)
class Measure:
    """One figure of a table."""

    key: str
    """Its name in table.json."""
    title: str
    """What the table's column says."""
    statistic: Statistic
    """Of weights over the trial's people."""
    n: int
    """Probes, anchors or pairs behind it."""
    higher_is_better: bool = True
    is_share: bool = True
    """From 0 to 1, and shown in percent; false: a number of another range, shown as it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A curve: what the legend calls it, and its points."""

    label: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """A recogniser's result under one protocol."""

    measures: list[Measure]
    same: np.ndarray
    """Cosine similarities with the right person, for the histogram."""
    different: np.ndarray
    """Cosine similarities with others."""
    lines: list[Line] = field(default_factory=list)
    """CMC or ROC; none for protocol batch."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the table's foot."""
