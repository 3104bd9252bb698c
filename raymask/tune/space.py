"""What a search varies: fields of a training run by name, each with a range or a choice of values."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from raymask.cli import british
from raymask.errors import ConfigError
from raymask.train.engine.config import LoopConfig

Value = float | int | str | bool | None
Values = Mapping[str, Value]
"""By dotted name of a field, such as `loss.margin`."""

L = TypeVar("L", bound=LoopConfig)

FIXED = {
    "data": "trials compare settings on the same faces",
    "epochs": "all trials have the same budget",
    "masks": "its values are lists; search with one of them at a time",
    "losses": "its values are mappings; search with one of them at a time",
}
"""Fields that no search may vary, and why."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers of a field, both ends included."""

    name: str
    low: float | int
    high: float | int
    log: bool
    """Whether equal factors, instead of equal differences, are equally likely."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Values of a field that have no order."""

    name: str
    values: tuple[Value, ...]


Dimension = Range | Choice


def parse_space(texts: Sequence[str], base: LoopConfig) -> tuple[Dimension, ...]:
    """The dimensions that `field=low..high`, `field=low..high:log` and `field=a|b|c` name.

    Args:
        texts: one a field; dashes in a field's name count as underscores.
        base: what the fields that are not searched are set to.

    Raises:
        ConfigError: an unknown field, one named twice, an empty range, or a value that the field cannot have.
    """
    if not texts:
        raise ConfigError("search must name at least one field, such as loss.margin=0.05..1")
    space = []
    for text in texts:
        try:
            space.append(_dimension(text.strip(), base))
        except ConfigError as error:
            raise ConfigError(f"search {text.strip()!r}: {error}") from None
    names = [dimension.name for dimension in space]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"search names {twice[0]} twice; give it one range or one choice")
    return tuple(space)


def with_values(config: L, values: Values) -> L:
    """The configuration with some of its fields set. Raises ConfigError if one of them cannot have its value."""
    for name, value in values.items():
        config = _replaced(config, name.split("."), value)
    return config


def _replaced(config: Any, path: list[str], value: Value) -> Any:
    inner = value if len(path) == 1 else _replaced(getattr(config, path[0]), path[1:], value)
    return replace(config, **{path[0]: inner})


def _dimension(text: str, base: LoopConfig) -> Dimension:
    name, equals, rest = text.partition("=")
    name = british(name.strip().replace("-", "_"))
    kinds = _kinds(name)
    if not equals or not rest:
        raise ConfigError("write field=low..high, field=low..high:log or field=a|b|c")
    made = _range(name, rest, kinds) if ".." in rest else _choice(name, rest, kinds)
    for value in (made.low, made.high) if isinstance(made, Range) else made.values:
        with_values(base, {name: value})
    return made


def _kinds(name: str) -> tuple[Any, ...]:
    """The types that a field takes."""
    if name in FIXED:
        raise ConfigError(f"{name} cannot be searched, for {FIXED[name]}")
    kind: Any = LoopConfig
    for part in name.split("."):
        known = get_type_hints(kind) if is_dataclass(kind) else {}
        if part not in known:
            raise ConfigError(f"there is no setting {name!r} of a training; known are {', '.join(_names(LoopConfig))}")
        kind = known[part]
    if is_dataclass(kind):
        raise ConfigError(f"{name} is a group; name one of {', '.join(_names(kind, name + '.'))}")
    return get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _names(kind: Any, prefix: str = "") -> list[str]:
    """Dotted names of all fields that can be searched."""
    names = []
    for entry in fields(kind):
        inner, name = get_type_hints(kind)[entry.name], prefix + entry.name
        names += _names(inner, name + ".") if is_dataclass(inner) else [name]
    return [name for name in names if name not in FIXED]


def _range(name: str, text: str, kinds: tuple[Any, ...]) -> Range:
    whole = int in kinds
    if not whole and float not in kinds:
        raise ConfigError(f"{name} has no order; name its values as {name}=a|b")
    ends, colon, scale = text.partition(":")
    if colon and scale != "log":
        raise ConfigError(f"unknown scale {scale!r}; after the colon stands log, or leave both out")
    low, high = (_number(part, whole) for part in ends.split("..", 1))
    if not low < high:
        raise ConfigError(f"the range is empty; its low end {low} must be under its high end {high}")
    if scale and low <= 0:
        raise ConfigError(f"a logarithmic range must begin over 0, not at {low}")
    return Range(name=name, low=low, high=high, log=bool(scale))


def _number(text: str, whole: bool) -> float | int:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        raise ConfigError(f"{text.strip()!r} is not a {'whole number' if whole else 'number'}") from None
    if not math.isfinite(number):
        raise ConfigError(f"{text.strip()!r} is not a finite number")
    return number


def _choice(name: str, text: str, kinds: tuple[Any, ...]) -> Choice:
    values = tuple(_value(part.strip(), kinds) for part in text.split("|"))
    if len(set(values)) < 2 or len(set(values)) < len(values):
        raise ConfigError("a choice needs two values or more, each named once")
    return Choice(name=name, values=values)


def _value(text: str, kinds: tuple[Any, ...]) -> Value:
    if text == "null" and type(None) in kinds:
        return None
    if bool in kinds:
        if text not in ("true", "false"):
            raise ConfigError(f"{text!r} is neither true nor false")
        return text == "true"
    if int in kinds or float in kinds:
        return _number(text, int in kinds)
    words = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), None)
    if words is not None and text not in words:
        raise ConfigError(f"{text!r} is unknown; choose among {', '.join(words)}")
    return text
