"""Command lines made from configuration dataclasses, and the one place where a user's mistake becomes a sentence.

A job's options are the fields of one frozen dataclass; nested dataclasses give dotted options, so that
`--loss.margin 0.2` and `loss: {margin: 0.2}` in a file given by `--config` are one thing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NoReturn, TypeVar, get_type_hints

from raymask.errors import ConfigError, RaymaskError, StoppedError

C = TypeVar("C")

_BRITISH = {"optimizer": "optimiser"}
"""Options that are spelled in two ways: fields are named in the British one."""


def parse(
    config_class: type[C],
    description: str,
    argv: Sequence[str] | None = None,
    *,
    positional: tuple[str, str] | None = None,
) -> C:
    """Build `config_class` from the command line (`argv`, by default the program's own) and `--config FILE`.

    Options are written with dashes or underscores, and some in two spellings. `positional` is the name and the help of
    a field, a tuple of strings, that is given without an option. Unknown options, unknown keys of the file and values
    of the wrong type end the program with a sentence that names them.
    """
    from jsonargparse import set_parsing_settings

    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    _take_spellings_in_files()
    parser = _parser_class()(description=description)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below.")
    if positional:
        parser.add_argument(positional[0], nargs="+", type=str, help=positional[1])
    parser.add_class_arguments(config_class, sub_configs=False, skip={positional[0]} if positional else None)
    words = british_options([_underscored(word) for word in (sys.argv[1:] if argv is None else argv)])
    values = parser.parse_args(_bracketed(_switched(words, config_class), config_class))
    made = parser.instantiate(values).as_dict()
    del made["config"]
    if positional:
        made[positional[0]] = tuple(made[positional[0]])
    return config_class(**made)


@cache
def _take_spellings_in_files() -> None:
    """Have the parser rename keys of what it loads."""
    from jsonargparse import get_loader, set_loader
    from yaml import YAMLError

    load = get_loader("yaml")
    set_loader("yaml", lambda text: british_keys(load(text)), exceptions=(YAMLError,))


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


def _underscored(word: str) -> str:
    """`--min-photos=4` as `--min_photos=4`: fields of dataclasses cannot have dashes."""
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value if word.startswith("--") else word


def _switched(words: list[str], config_class: type) -> list[str]:
    """`--smoke` as `--smoke=true`: an option that is on or off may stand alone, as people write it."""
    options = {f"--{name}" for name, kind in get_type_hints(config_class).items() if kind is bool}
    values = {"true", "false", "yes", "no"}
    following = [*words[1:], ""]
    return [
        f"{word}=true" if word in options and after.lower() not in values else word
        for word, after in zip(words, following, strict=False)  # one more follows nothing, where there are no words
    ]


_NAMES = (tuple[str, ...], tuple[str, ...] | None)
"""Types of fields that take names with commas between them."""


def _bracketed(words: list[str], config_class: type) -> list[str]:
    """`--masks a,b` as `--masks [a,b]`, the form the parser knows for fields that are tuples of strings."""
    options = {f"--{name}" for name, kind in get_type_hints(config_class).items() if kind in _NAMES}
    done = list(words)
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in options and equals and not value.startswith("["):
            done[place] = f"{name}=[{value}]"
        elif word in options and place + 1 < len(words) and not words[place + 1].startswith("["):
            done[place + 1] = f"[{words[place + 1]}]"
    return done


def _parser_class() -> type:
    """A parser whose help and messages write options with dashes, as people type them."""
    from jsonargparse import ArgumentParser

    def dashed(text: str) -> str:
        return re.sub(r"--[\w.]+", lambda option: option.group().replace("_", "-"), text)

    class DashedParser(ArgumentParser):
        def format_help(self, *arguments: Any) -> str:
            return dashed(super().format_help(*arguments))

        def format_usage(self, *arguments: Any) -> str:
            return dashed(super().format_usage(*arguments))

        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            """The sentence first and alone; the long usage is what `--help` is for."""
            print(f"error: {dashed(message)}\nsee {self.prog} --help", file=sys.stderr)
            sys.exit(2)

    return DashedParser


def run(main: Callable[[], None]) -> None:
    """Run a job; end with status 2 and the sentence alone on a user's mistake, 130 on Ctrl-C, 143 if stopped."""
    try:
        main()
    except StoppedError as error:
        print(error, flush=True)
        sys.exit(143)  # as if SIGTERM had ended it
    except RaymaskError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the same command continues where it can", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `job | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # as if SIGPIPE had ended it: the work is not done
