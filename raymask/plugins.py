"""What others add to raymask: objects that an installed package offers by an entry point, or that lie in any module.

Nothing is imported before its name is asked for. What a bundle names is not asked for unless the operator has named
it too: files that one was given must not run code.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from raymask.errors import ConfigError, ModelError

PYTHON = "python"
"""The word before the colon of python:MODULE:ATTRIBUTE."""

_allowed: set[str] = set()
"""Names that the operator of this process has given for what bundles name."""


def allow(names: Iterable[str]) -> None:
    """Let this process load these names from now on where a bundle names them.

    Args:
        names: of entry points or python:MODULE:ATTRIBUTE, as the operator gives them: by --own, in a configuration or
            in code. Never those that a bundle gives.
    """
    _allowed.update(names)


def check_allowed(name: str, bundle: object) -> None:
    """Raise ModelError if a bundle names code that the operator has not named. Nothing is imported."""
    if name not in _allowed:
        raise ModelError(
            f"{bundle} names {name}, which is not raymask's and would run as code; if you trust it, name it yourself: "
            f"--own {name}, or own: [{name}] among a service's models"
        )


def installed(group: str) -> tuple[str, ...]:
    """Names of the entry points of a group that are installed, sorted; none of them is imported."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def find(group: str, name: str, known: Iterable[str], what: str) -> Any:
    """The object of the entry point `name` in `group`, or the one that `python:MODULE:ATTRIBUTE` names.

    Args:
        group: of entry points, such as raymask.recognisers.
        name: as the user gave it.
        known: names that raymask has itself, of which the error tells the nearest.
        what: the field's word for it in an error, such as recogniser.

    Raises:
        ConfigError: no such name, or its module or package cannot be imported.
    """
    if name.partition(":")[0] == PYTHON:
        return _attribute(name, what)
    points = [point for point in entry_points(group=group) if point.name == name]
    if not points:
        raise unknown(group, name, known, what)
    return _loaded(points[0], what)


def unknown(group: str, name: str, known: Iterable[str], what: str) -> ConfigError:
    """The error for a name that nothing has: it tells the nearest names, or all where none is near."""
    names = sorted({*known, *installed(group)})
    near = get_close_matches(name, names)
    advice = f"the nearest are {', '.join(near)}" if near else f"choose one of {', '.join(names)}"
    return ConfigError(f"{what} {name!r} is unknown; {advice}")


def _loaded(point: EntryPoint, what: str) -> Any:
    """An installed package's object. Its import may raise anything, which must not take others along."""
    try:
        return point.load()
    except Exception as error:
        raise ConfigError(f"{what} {point.name}: its package cannot be imported: {_said(error)}") from None


def _attribute(name: str, what: str) -> Any:
    module_name, _, attribute = name.removeprefix(f"{PYTHON}:").partition(":")
    if not (module_name and attribute):
        raise ConfigError(f"{what} {name!r}: it takes python:MODULE:ATTRIBUTE")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{what} {name!r}: {error}; is its folder on PYTHONPATH?") from None
    except Exception as error:  # whatever the module does
        raise ConfigError(f"{what} {name!r}: its module cannot be imported: {_said(error)}") from None
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ConfigError(f"{what} {name!r}: {error}") from None


def _said(error: Exception) -> str:
    """An error's first line, with its type: KeyError alone would say nothing."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
