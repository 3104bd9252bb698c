"""Options that are spelled in two ways: British, as fields are named, and American."""

from __future__ import annotations

from typing import Any

from raymask.errors import ConfigError

_BRITISH = {"optimizer": "optimiser"}


def british(name: str) -> str:
    """A field's dotted name, such as `optimizer.momentum`, as the field is named."""
    return ".".join(_BRITISH.get(part, part) for part in name.split("."))


def british_keys(value: Any) -> Any:
    """What a configuration file says, with the keys of its mappings as fields are named.

    Raises:
        ConfigError: a mapping has a key in both spellings.
    """
    if isinstance(value, list):
        return [british_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    for american, spelled in _BRITISH.items():
        if american in value and spelled in value:
            raise ConfigError(f"{american} and {spelled} are one setting; write it once")
    return {_BRITISH.get(key, key) if isinstance(key, str) else key: british_keys(item) for key, item in value.items()}


def british_options(words: list[str]) -> list[str]:
    """Words of a command line, with its options as fields are named.

    Raises:
        ConfigError: an option is given in both spellings.
    """
    first: dict[str, str] = {}
    done = []
    for word in words:
        option, equals, value = word.partition("=")
        if not option.startswith("--"):
            done.append(word)
            continue
        name = option[2:]
        spelled = british(name)
        if first.setdefault(spelled, name) != name:
            raise ConfigError(f"--{first[spelled]} and --{name} are one option; give it once")
        done.append(f"--{spelled}{equals}{value}")
    return done
