"""Named parameters with a range: how people and shots are described, drawn and checked."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from raymask.errors import ConfigError

_NOTHING: Mapping[str, float] = {}


@dataclasses.dataclass(frozen=True)
class Trait:
    """What one number of a `Person` or a `Shot` means: its closed range, its unit and a sentence."""

    low: float
    high: float
    unit: str
    meaning: str


def traits_of(cls: type) -> dict[str, Trait]:
    """The trait of every field of `cls` annotated with one, in the order of the fields."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found = {name: getattr(hint, "__metadata__", (None,))[0] for name, hint in hints.items()}
    return {name: trait for name, trait in found.items() if isinstance(trait, Trait)}


def draw(
    cls: type,
    rng: np.random.Generator,
    *,
    skew: Mapping[str, float] = _NOTHING,
    gather: Mapping[str, float] = _NOTHING,
    shift: Mapping[str, float] = _NOTHING,
) -> dict[str, float]:
    """One value per trait of `cls`, drawn uniformly from its range unless it is named in one of the mappings.

    The power in `skew` makes low values common and high ones rare: few people have many freckles. The power in
    `gather` makes values in the middle common and both ends rare, or the other way round if it is below 1. The number
    in `shift` moves the value by that share of its range, as far as the range goes.
    """
    values = {}
    for name, trait in traits_of(cls).items():
        share = rng.random() ** skew.get(name, 1.0)
        aside = 2.0 * share - 1.0
        share = 0.5 + 0.5 * np.sign(aside) * np.abs(aside) ** gather.get(name, 1.0)
        share = np.clip(share + shift.get(name, 0.0), 0.0, 1.0)
        values[name] = float(trait.low + (trait.high - trait.low) * share)
    return values


def check(instance: Any) -> None:
    """Raise `ConfigError` naming the first trait of `instance` that lies outside its range."""
    for name, trait in traits_of(type(instance)).items():
        value = getattr(instance, name)
        if not trait.low <= value <= trait.high:
            kind = type(instance).__name__
            raise ConfigError(f"{kind}.{name} is {value}, but must be {trait.low} to {trait.high} {trait.unit}")
