"""Recognisers that others add: an embedder of aligned faces, which serves everywhere, or one of whole photos.

`docs/own_models.md` shows how to write one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, get_args, runtime_checkable

import numpy as np

from raymask.errors import ConfigError, ModelError
from raymask.faces import Face
from raymask.faces.alignment import align
from raymask.faces.crop import Square, resize_crop
from raymask.models.config import Alignment
from raymask.models.spec import KINDS, RECOGNISERS
from raymask.plugins import find
from raymask.recognisers.base import Recogniser, SubjectRecogniser


@runtime_checkable
class FaceEmbedder(Protocol):
    """What others write: it embeds faces that raymask has found and aligned. It may be asked from several threads.

    A method `to_device(device: str)` is called, where there is one, with the device of the stage that serves it.
    """

    alignment: Alignment
    """box: the square around the detector's box; dlib or arcface: the face turned and scaled by its five points, to
    where those networks expect them."""
    input_size: int
    """S, pixels on each side of a face."""
    embedding_size: int
    """D, values of an embedding."""
    version: str
    """Another one for other weights: galleries hold embeddings of one version, and fusions are calibrated for one."""

    def embed_aligned(self, faces: np.ndarray) -> np.ndarray:
        """Embed faces.

        Args:
            faces: (N, S, S, 3) uint8 RGB, N at least 1.

        Returns:
            (N, D) float32, of any length; raymask scales each row to length 1.
        """
        ...


class OwnRecogniser(SubjectRecogniser):
    """A recogniser of the subject of photos, by an embedder that others wrote."""

    def __init__(self, name: str, embedder: FaceEmbedder) -> None:
        """`name`: as the operator gave it. Raises ConfigError for what does not say how faces are to be aligned."""
        self._name, self._embedder = name, embedder
        self._check()
        self.size = embedder.embedding_size

    @property
    def identity(self) -> tuple[str, ...]:
        """By what its embeddings are known to be comparable with others, wherever the embedder was found."""
        kind, one = type(self._embedder), self._embedder
        return (
            f"{kind.__module__}.{kind.__qualname__}",
            *(str(value) for value in (one.version, one.alignment, one.input_size, one.embedding_size)),
        )

    def to_device(self, device: str) -> None:
        """Compute on this device, if the embedder has a method for it."""
        move: Callable[[str], object] | None = getattr(self._embedder, "to_device", None)
        if move is not None:
            move(device)

    def cut(self, photo: np.ndarray, face: Face) -> np.ndarray:
        """The face as the embedder takes it, (S, S, 3) uint8."""
        side, alignment = self._embedder.input_size, self._embedder.alignment
        if alignment == "box":
            return resize_crop(Square.around(face.box).cut(photo), side)
        return align(photo, face.points, alignment, side)

    def embed_cut(self, faces: np.ndarray) -> np.ndarray:
        """(N, S, S, 3) uint8 to (N, D). Raises ModelError if the embedder gives something else."""
        made = np.asarray(self._embedder.embed_aligned(faces), dtype=np.float32)
        if made.shape != (len(faces), self.size) or not np.isfinite(made).all():
            raise ModelError(
                f"recogniser {self._name}: embed_aligned must give {len(faces)} rows of {self.size} finite values, not "
                f"shape {made.shape}"
            )
        return made

    def _check(self) -> None:
        said = {name: getattr(self._embedder, name, None) for name in ("alignment", "version")}
        sizes = {name: getattr(self._embedder, name, None) for name in ("input_size", "embedding_size")}
        if said["alignment"] not in get_args(Alignment):
            wanted = f"alignment must be one of {', '.join(get_args(Alignment))}, not {said['alignment']!r}"
        elif not isinstance(said["version"], str) or not said["version"]:
            wanted = f"version must be a text that tells its weights from others, not {said['version']!r}"
        else:
            wrong = [name for name, size in sizes.items() if not isinstance(size, int) or size < 1]
            wanted = f"{wrong[0]} must be a whole number of 1 or more, not {sizes[wrong[0]]!r}" if wrong else ""
        if wanted:
            raise ConfigError(f"recogniser {self._name}: its {wanted}")


def load_own(name: str) -> Recogniser:
    """A recogniser that an entry point or python:MODULE:ATTRIBUTE names, or what makes one without an argument.

    Raises:
        ConfigError: it cannot be imported, or cannot embed.
    """
    made = _made(name)
    if hasattr(made, "embed_aligned"):
        return aligned(name)
    if not isinstance(made, Recogniser):
        raise ConfigError(
            f"recogniser {name!r}: {type(made).__name__} has no method embed_aligned(faces), nor embed(photos)"
        )
    return made


@cache
def aligned(name: str) -> OwnRecogniser:
    """The process's one embedder of aligned faces of that name: it is asked for its size and digest before it is used.

    Raises:
        ConfigError: as `load_own`, or it embeds whole photos, where no face is aligned for it.
    """
    made = _made(name)
    if not hasattr(made, "embed_aligned"):
        raise ConfigError(
            f"recogniser {name!r} embeds whole photos, which can be evaluated only; to be fused, enrolled or served it "
            "needs a method embed_aligned(faces)"
        )
    return OwnRecogniser(name, made)


def _made(name: str) -> Any:
    found = find(RECOGNISERS, name, KINDS, "recogniser")
    is_maker = isinstance(found, type) or not (hasattr(found, "embed") or hasattr(found, "embed_aligned"))
    return found() if is_maker and callable(found) else found
