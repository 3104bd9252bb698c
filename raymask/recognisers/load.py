"""Recognisers by name: whatever turns whole photos into embeddings."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from raymask.errors import ConfigError
from raymask.models.spec import Spec
from raymask.recognisers.base import Recogniser


def load_recogniser(spec: str) -> Recogniser:
    """The recogniser that `spec` names; see `raymask.models.spec.FORMS`.

    Raises:
        ConfigError: `spec` is of no known form, or names no object that can embed.
        ModelError: a model file is missing, damaged or made for something else.
    """
    kind, rest = Spec.checked(spec, "recogniser")
    makers: dict[str, Callable[[str], Recogniser]] = {
        "sface": _sface,
        "dlib": _dlib,
        "facenet": _facenet,
        "onnx": _onnx,
        "bundle": _bundle,
        "mrii": _mrii,
        "routed": _routed,
        "fused": _fused,
        "python": _python,
    }
    return makers[kind](rest)


def _sface(file: str) -> Recogniser:
    from raymask.models.networks.sface_weights import load_sface
    from raymask.recognisers.torch_networks import NetworkRecogniser

    return NetworkRecogniser(load_sface(file))


def _dlib(_: str) -> Recogniser:
    from raymask.recognisers.torch_networks import DlibRecogniser

    return DlibRecogniser()


def _facenet(weights: str) -> Recogniser:
    from raymask.recognisers.torch_networks import FacenetRecogniser

    return FacenetRecogniser(weights or "vggface2")


def _onnx(file: str) -> Recogniser:
    from raymask.recognisers.onnx import OnnxRecogniser

    return OnnxRecogniser(file)


def _bundle(folder: str) -> Recogniser:
    from raymask.recognisers.torch_networks import BundleRecogniser

    return BundleRecogniser(folder)


def _mrii(parts: str) -> Recogniser:
    from raymask.recognisers.mrii import MriiRecogniser

    return MriiRecogniser(parts)


def _routed(parts: str) -> Recogniser:
    from raymask.recognisers.routed import RoutedRecogniser

    return RoutedRecogniser(parts)


def _fused(folder: str) -> Recogniser:
    from raymask.recognisers.fused import FusedRecogniser

    return FusedRecogniser(folder)


def _python(name: str) -> Recogniser:
    """A user's own: `module:attribute`, a recogniser or something that makes one when called without argument."""
    spec = f"python:{name}"
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ConfigError(f"recogniser {spec!r}: it takes python:MODULE:ATTRIBUTE")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        raise ConfigError(f"recogniser {spec!r}: {error}; is its folder on PYTHONPATH?") from None
    except AttributeError as error:
        raise ConfigError(f"recogniser {spec!r}: {error}") from None
    is_maker = isinstance(found, type) or not hasattr(found, "embed")
    made = found() if is_maker and callable(found) else found
    if not isinstance(made, Recogniser):
        raise ConfigError(f"recogniser {spec!r}: {type(made).__name__} has no method embed(photos)")
    return made
