"""Configurations made of plain values, as bundles, checkpoints and option files hold them."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

C = TypeVar("C")


def from_mapping(kind: type[C], settings: Mapping[str, Any]) -> C:
    """A dataclass from its `asdict`, which may have been JSON or YAML since: mappings become the dataclasses that the
    fields name, lists become tuples.

    Raises:
        TypeError: no mapping, a field that is unknown, or one without a default that is missing.
        ConfigError: a value that its field cannot take.
    """
    if not isinstance(settings, Mapping):
        raise TypeError(f"{kind.__name__} is made of a mapping, not of {settings!r}")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints.get(name), value) for name, value in settings.items()})


def _value(hint: Any, value: Any) -> Any:
    """A plain value as a field of this type holds it."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if isinstance(value, Mapping):
        made_of = next((kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)), None)
        return value if made_of is None else from_mapping(made_of, value)
    is_tuple = any(get_origin(kind) is tuple for kind in kinds)
    return tuple(value) if is_tuple and isinstance(value, list) else value
