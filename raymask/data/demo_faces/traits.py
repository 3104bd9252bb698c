"""Named parameters with a range: how people and shots are described, drawn and checked."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from raymask.errors import ConfigError


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
    cls: type, rng: np.random.Generator, skew: Mapping[str, float], shift: Mapping[str, float]
) -> dict[str, float]:
    """One value per trait of `cls`, uniform in its range.

    A trait named in `skew` has its uniform draw in [0, 1] raised to that power first, so that low values are common
    and high ones rare: few people have many freckles. One named in `shift` is moved by that share of its range, as far
    as the range goes.
    """
    values = {}
    for name, trait in traits_of(cls).items():
        share = np.clip(rng.random() ** skew.get(name, 1.0) + shift.get(name, 0.0), 0.0, 1.0)
        values[name] = float(trait.low + (trait.high - trait.low) * share)
    return values


def check(instance: Any) -> None:
    """Raise `ConfigError` naming the first trait of `instance` that lies outside its range."""
    for name, trait in traits_of(type(instance)).items():
        value = getattr(instance, name)
        if not trait.low <= value <= trait.high:
            kind = type(instance).__name__
            raise ConfigError(f"{kind}.{name} is {value}, but must be {trait.low} to {trait.high} {trait.unit}")
