"""Strangers by sex, origin or whatever else is known of them: for whom a threshold lets most in."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raymask.calibration.searches import Searches
from raymask.errors import DataError
from raymask.evaluate.bootstrap import Figure, Ratio, Sampled, draw_weights
from raymask.storage import folder_and_name

RATE = 1e-1
"""FPIR of all, beside which groups are shown: at a lower one too few of a group are left to count."""
LEAST = 50
"""Strangers of a group; smaller ones are left out."""
_LONGEST = 20
"""Characters of an age; Python makes no number of thousands of digits."""
AGES = (0, 10, 20, 40, 60)
"""Where age groups begin."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Strangers who have something in common."""

    name: str
    """Such as `origin 2` or `age 20 to 39`."""
    strangers: int
    fpir: Figure
    """At the threshold of all, with its 95% interval over strangers."""


def read_labels(address: str) -> dict[str, list[str]]:
    """A CSV file's people, whom its first column names, with the groups that its others put them in.

    A number under `age` becomes an age group; an empty field says nothing.

    Raises:
        DataError: the file cannot be read, or has no such columns.
    """
    folder, name = folder_and_name(address)
    try:
        rows = list(csv.reader(io.StringIO(folder.read(name).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{address} cannot be read as CSV ({error})") from None
    if not rows or len(rows[0]) < 2:
        raise DataError(f"{address} has no labels; its first line names a column of people, and one or more of labels")
    return {
        row[0]: [_group(column, value) for column, value in zip(rows[0][1:], row[1:], strict=False) if value.strip()]
        for row in rows[1:]
        if row
    }


def _group(column: str, value: str) -> str:
    if column != "age" or not value.strip().isdecimal() or len(value) > _LONGEST:
        return f"{column} {value.strip()}"
    place = int(np.searchsorted(AGES, int(value), side="right"))
    return f"age {AGES[place - 1]} to {AGES[place] - 1}" if place < len(AGES) else f"age {AGES[-1]} and over"


def fpir_by_group(
    searches: Searches, names: Sequence[str], labels: Mapping[str, Sequence[str]], *, resamples: int, seed: int
) -> list[Group]:
    """Groups of LEAST strangers or more, those let in most often first, in a gallery of all others.

    Args:
        searches: of strangers.
        names: of the people whom `searches.strangers` numbers.
        labels: groups by person.
        resamples: of strangers, behind the intervals.
        seed: of these.
    """
    threshold = searches.threshold(RATE, searches.most)
    returned = np.nanmax(searches.cosines, axis=1) >= threshold
    members: dict[str, list[int]] = {}
    for row, stranger in enumerate(searches.strangers):
        for group in labels.get(names[stranger], ()):
            members.setdefault(group, []).append(row)
    groups = []
    for group, rows in members.items():
        if len(rows) >= LEAST:
            share = Ratio(returned[rows], np.ones(len(rows)))
            figure = Sampled.of(share, draw_weights(len(rows), resamples, seed)).figure()
            groups.append(Group(name=group, strangers=len(rows), fpir=figure))
    return sorted(groups, key=lambda group: -group.fpir.value)
