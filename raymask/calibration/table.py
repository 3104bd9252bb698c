"""Which score to ask for, so that strangers are rarely taken for people: by rate and size of the gallery.

A fusion's bundle keeps of its calibration a table: scores by FPIR and by how many are enrolled, for bare and for masked
faces. It holds no face, and nobody can be found by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from raymask.errors import ConfigError

State = Literal["bare", "masked"]
STATES: tuple[State, ...] = get_args(State)
LOWEST_RATE, HIGHEST_RATE = 1e-5, 0.5
"""Of the rates that one can ask for."""
_MOST = 1000
"""Rates, and sizes, of a table: each decision looks at all of them."""


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
    def of(cls, values: Mapping[str, Any], shape: tuple[int, int]) -> StateTable:
        """Of a bundle's JSON. Raises ValueError, TypeError or KeyError if it is not a table of (K, N) thresholds."""
        scores, extrapolated = values["scores"], values["extrapolated"]
        if {np.shape(scores), np.shape(extrapolated)} != {shape}:
            raise ValueError(f"shapes {np.shape(scores)} and {np.shape(extrapolated)}, not {shape}")
        rows = tuple(tuple(map(_number, row)) for row in scores)
        within = np.abs(rows).max() <= 1
        if not within or np.diff(rows, axis=0).min(initial=0) < 0 or np.diff(rows, axis=1).min(initial=0) < 0:
            raise ValueError("scores are -1 to 1, and rise with the size and as the rate falls")
        if not all(isinstance(cell, bool) for row in extrapolated for cell in row):
            raise TypeError("extrapolated is true or false")
        return cls(scores=rows, extrapolated=tuple(map(tuple, extrapolated)))


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
        """Of the JSON of anybody's bundle. Raises ConfigError if it is not a table, or contradicts itself."""
        try:
            rates = tuple(map(_number, values["rates"]))
            enrolled = tuple(int(_number(size)) for size in values["enrolled"])
            if not (0 < len(rates) <= _MOST and 0 < len(enrolled) <= _MOST):
                raise ValueError(f"{len(rates)} rates and {len(enrolled)} sizes, not 1 to {_MOST}")
            if not (rates[0] < 1 and rates[-1] > 0 and np.diff(rates).max(initial=-1) < 0):
                raise ValueError("rates fall, between 1 and 0")
            if enrolled[0] != 1 or np.diff(enrolled).min(initial=1) <= 0:
                raise ValueError("sizes of the gallery rise from 1")
            shape = len(rates), len(enrolled)
            return cls(
                rates=rates,
                enrolled=enrolled,
                strangers=int(_number(values["strangers"])),
                measured=int(_number(values["measured"])),
                bare=StateTable.of(values["bare"], shape),
                masked=StateTable.of(values["masked"], shape),
            )
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            said = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
            raise ConfigError(f"{name}: its thresholds cannot be read ({said}); make them again") from None

    @classmethod
    def of_bundle(cls, config: Mapping[str, Any], name: str) -> SearchTable | None:
        """Of what a fusion's bundle says; None if it has no table. Raises ConfigError as `of`."""
        values = config.get("searches")
        return None if values is None else cls.of(values, name)

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

        Returns:
            The threshold, with the share that it has: beyond the table's rates that of its first or last one.
        """
        scores, guessed = self._at(state, enrolled)
        rate = min(max(rate, self.rates[-1]), self.rates[0])
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


def _number(value: Any) -> float:
    """A finite number of JSON. Raises TypeError, ValueError or OverflowError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} is not a number")
    if not math.isfinite(number := float(value)):
        raise ValueError(f"{number} is not a finite number")
    return number


def check_rate(name: str, rate: float) -> None:
    """Raise ConfigError for a rate that no table has."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ConfigError(f"{name} must be {LOWEST_RATE:g} to {HIGHEST_RATE:g}, not {rate:g}")
