"""Which score to ask for, so that strangers are rarely taken for people: by rate and size of the gallery.

A fusion's bundle keeps of its calibration a table: scores by FPIR and by how many are enrolled, for bare and for masked
faces. It holds no face, and nobody can be found by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from raymask.errors import ConfigError

State = Literal["bare", "masked"]
STATES: tuple[State, ...] = get_args(State)
LOWEST_RATE, HIGHEST_RATE = 1e-5, 0.5
"""Of the rates that one can ask for."""


class Threshold(NamedTuple):
    """From which score a search returns somebody."""

    score: float
    """Cosine similarity."""
    fpir: float | None
    """Share of strangers' searches that reach it; None where the gallery is larger than anything is known of."""
    extrapolated: bool
    """Whether it was not measured, but comes from a fit to what was."""


@dataclass(frozen=True, kw_only=True)
class StateTable:
    """Of bare or of masked faces; K rates, N sizes."""

    scores: tuple[tuple[float, ...], ...]
    """(K, N) thresholds, rising with the size and as the rate falls."""
    extrapolated: tuple[tuple[bool, ...], ...]
    """(K, N) whether each comes from a fit."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> StateTable:
        """Of a bundle's JSON."""
        return cls(**{key: tuple(map(tuple, rows)) for key, rows in values.items()})


@dataclass(frozen=True, kw_only=True)
class SearchTable:
    """Thresholds by FPIR and size of the gallery."""

    rates: tuple[float, ...]
    """(K,) FPIR, falling."""
    enrolled: tuple[int, ...]
    """(N,) embeddings in the gallery, rising from 1; at 1 FPIR is the false-match rate of two photos."""
    strangers: int
    """People behind it."""
    measured: int
    """The largest gallery that was measured."""
    bare: StateTable
    masked: StateTable

    @classmethod
    def of(cls, values: Mapping[str, Any], name: str) -> SearchTable:
        """Of a bundle's JSON. Raises ConfigError if it is no table."""
        try:
            table = cls(
                rates=tuple(values["rates"]),
                enrolled=tuple(values["enrolled"]),
                strangers=values["strangers"],
                measured=values["measured"],
                bare=StateTable.of(values["bare"]),
                masked=StateTable.of(values["masked"]),
            )
            shapes = {np.shape(cells) for state in STATES for cells in asdict(table.state(state)).values()}
            if shapes != {(len(table.rates), len(table.enrolled))}:
                raise ValueError(f"shapes {shapes}")
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ConfigError(f"{name}: its thresholds cannot be read ({error!r}); make them again") from None
        return table

    def as_json(self) -> dict[str, Any]:
        """For a bundle."""
        return asdict(self)

    @property
    def known(self) -> int:
        """The largest gallery of which a threshold says anything."""
        return self.enrolled[-1]

    def state(self, state: State) -> StateTable:
        """Of bare or masked faces."""
        return self.masked if state == "masked" else self.bare

    def threshold(self, state: State, rate: float, enrolled: int) -> Threshold:
        """The score that a share `rate` of strangers' searches reach.

        Args:
            state: of the face that is searched.
            rate: FPIR, LOWEST_RATE to HIGHEST_RATE.
            enrolled: embeddings in the gallery.
        """
        scores, guessed = self._at(state, enrolled)
        score = float(np.interp(-np.log(rate), -np.log(self.rates), scores))
        near = np.interp(-np.log(rate), -np.log(self.rates), guessed) > 0
        return Threshold(score, rate if enrolled <= self.known else None, bool(near) or enrolled > self.known)

    def fpir(self, state: State, score: float, enrolled: int) -> Threshold:
        """What a score lets in: as `threshold`, the other way round. Beyond the table's rates: its last one."""
        scores, guessed = self._at(state, enrolled)
        rate = float(np.exp(-np.interp(score, scores, -np.log(self.rates))))
        near = bool(np.interp(score, scores, guessed) > 0)
        return Threshold(score, rate if enrolled <= self.known else None, near or enrolled > self.known)

    def _at(self, state: State, enrolled: int) -> tuple[np.ndarray, np.ndarray]:
        """(K,) thresholds for that many, and (K,) more than 0 where they come from a fit; straight in the logarithm."""
        table, sizes = self.state(state), np.log(self.enrolled)
        size = np.log(min(max(enrolled, 1), self.known))
        scores = [float(np.interp(size, sizes, row)) for row in table.scores]
        guessed = [float(np.interp(size, sizes, np.asarray(row, float))) for row in table.extrapolated]
        return np.asarray(scores), np.asarray(guessed)


def check_rate(name: str, rate: float) -> None:
    """Raise ConfigError for a rate that no table has."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ConfigError(f"{name} must be {LOWEST_RATE:g} to {HIGHEST_RATE:g}, not {rate:g}")
