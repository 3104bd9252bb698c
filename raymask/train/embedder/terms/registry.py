"""Which losses there are, by name, and those of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raymask.errors import ConfigError
from raymask.plugins import find
from raymask.settings import from_mapping
from raymask.train.embedder.terms.base import Lesson, Term
from raymask.train.embedder.terms.distillation import Contrast, Pull
from raymask.train.embedder.terms.quintuplets import Quintuplets
from raymask.train.embedder.terms.softmax import Softmax
from raymask.train.engine.config import OWN_OPTIONS, LoopConfig, loss_label

GROUP = "raymask.losses"
"""Of entry points, by which installed packages offer losses."""

BUILT_IN: dict[str, type[Term]] = {
    "quintuplets": Quintuplets,
    "pull": Pull,
    "contrast": Contrast,
    "softmax": Softmax,
}
"""By name. One that has no options of its own (`OWN_OPTIONS`) is set by `losses`."""


def term_class(name: str) -> type[Term]:
    """The loss of a name: one of ours, an installed package's, or python:MODULE:ATTRIBUTE.

    Raises:
        ConfigError: there is none, it cannot be imported, or it is something else.
    """
    found = BUILT_IN.get(name) or find(GROUP, name, BUILT_IN, "loss")
    if not (isinstance(found, type) and issubclass(found, Term)):
        raise ConfigError(f"loss {name!r} is {found!r}; it must be a subclass of {Term.__module__}.Term")
    return found


def terms_of(config: LoopConfig, lesson: Lesson) -> dict[str, Term]:
    """The losses that are on, made for a training, in the order in which they are added.

    Raises:
        ConfigError: as `term_class`, or settings that a loss does not take.
    """
    own = {name: (BUILT_IN[name], getattr(config, part)) for name, (part, _) in OWN_OPTIONS.items()}
    named = {loss_label(name): _chosen(name, settings, config) for name, settings in config.losses.items()}
    chosen = own | named
    return {name: chosen[name][0](chosen[name][1], lesson) for name in config.weights}


def check_losses(config: LoopConfig) -> None:
    """Raise ConfigError, as `terms_of`, before any worker starts."""
    for name, settings in config.losses.items():
        _chosen(name, settings, config)


def _chosen(name: str, settings: Mapping[str, Any], config: LoopConfig) -> tuple[type[Term], Any]:
    """A loss that `losses` names, and its settings."""
    term = term_class(name)
    if term.needs_teachers and not config.teachers:
        raise ConfigError(f"losses.{name} is learned from teachers; name them by --teachers")
    own = {key: value for key, value in settings.items() if key != "weight"}
    try:
        return term, from_mapping(term.Settings, own)
    except TypeError as error:
        said = str(error).partition("() ")[2]  # behind the name of the constructor
        raise ConfigError(f"losses.{name} {said}") from None
