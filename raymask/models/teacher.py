"""Networks that the inpainter learns from: what a filled face looks like to someone who knows faces.

A teacher gives inner maps, for perceptual and style losses, and an embedding, for the identity term; both with a
gradient to the face's pixels. Its own weights stay as they are.

Shapes: B faces, S pixels a side, T pixels a side of what the teacher sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, normalize

from raymask.errors import ConfigError, ModelError
from raymask.faces.alignment import (
    ARCFACE_POINTS,
    ARCFACE_SIZE,
    DLIB_POINTS,
    DLIB_SIZE,
    places,
    similarity,
)
from raymask.models.bundle import load_bundle
from raymask.models.networks.backbones import IMAGE_MEAN, IMAGE_STD
from raymask.models.networks.dlib_network import DlibNetwork
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.sface_weights import load_sface
from raymask.models.spec import ModelSpec

_SMALLEST_MAP = 7
"""Pixels of a map that still says where something is."""


class Impression(NamedTuple):
    """What a teacher makes of faces."""

    maps: list[Tensor]
    """(B, C, h, w), the last of each resolution, finest first; each pixel's channels have a mean square of 1."""
    embedding: Tensor
    """(B, D), rows of length 1."""


class Teacher(nn.Module):
    """A network that embeds faces, seen through its inner maps too."""

    def __init__(
        self,
        network: nn.Module,
        *,
        prepare: Callable[[Tensor], Tensor],
        side: int,
        points: np.ndarray | None,
    ) -> None:
        """
        Args:
            network: takes (B, 3, T, T) and gives (B, D), or as many values in another shape.
            prepare: from RGB in 0 to 1 to what the network takes.
            side: T.
            points: (5, 2), where the five points of an aligned face lie; None: it takes crops as they are.
        """
        super().__init__()
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._prepare, self.side, self._points = prepare, side, points

    def train(self, mode: bool = True) -> Teacher:
        """A teacher does not learn: its layers stay in evaluation mode."""
        return super().train(False)

    def forward(self, face: Tensor, points: Tensor) -> Impression:
        """
        Args:
            face: (B, 3, S, S) RGB, 0 to 1.
            points: (B, 5, 2) pixels of the face, as the detector finds them on the bare face.
        """
        seen: dict[int, Tensor] = {}
        keep = partial(_keep, seen)
        hooks = [layer.register_forward_hook(keep) for layer in self.network.modules()]
        try:
            embedding = self.embed(face, points)
        finally:
            for hook in hooks:
                hook.remove()
        finest_first = [seen[side] for side in sorted(seen, reverse=True)]
        maps = [normalize(one, dim=1) * math.sqrt(one.shape[1]) for one in finest_first]
        return Impression(maps, embedding)

    def embed(self, face: Tensor, points: Tensor) -> Tensor:
        """The embedding alone, (B, D)."""
        given = self.network(self._prepare(self.aligned(face, points)))
        return normalize(given.reshape(len(face), -1), dim=1)

    def aligned(self, face: Tensor, points: Tensor) -> Tensor:
        """(B, C, S, S) to (B, C, T, T): as the network is used to see faces."""
        if self._points is None:
            return interpolate(face, size=(self.side, self.side), mode="area")
        if face.shape[-1] >= 2 * self.side and face.shape[-1] % 2 == 0:  # bilinear sampling alone would skip pixels
            return self.aligned(avg_pool2d(face, 2), (points + 0.5) / 2 - 0.5)
        matrices = self._to_teacher(points.cpu().numpy(), face.shape[-1])
        return _warped(face, np.linalg.inv(matrices), self.side)

    def unaligned(self, seen: Tensor, points: Tensor, size: int) -> Tensor:
        """(B, C, T, T) laid back over faces of `size` pixels, (B, C, size, size); 0 where the network saw nothing."""
        return _warped(seen, self._to_teacher(points.cpu().numpy(), size), size)

    def _to_teacher(self, points: np.ndarray, size: int) -> np.ndarray:
        """(B, 3, 3): from pixels of a face of `size` pixels to those of what the network sees."""
        matrices = np.tile(np.eye(3), (len(points), 1, 1))
        if self._points is None:
            scale = self.side / size
            matrices[:, :2] = [[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]]
        else:
            matrices[:, :2] = [similarity(found, self._points) for found in points]
        return matrices


def _keep(seen: dict[int, Tensor], _layer: nn.Module, _taken: object, given: object) -> None:
    """Keep the last map of each resolution, whichever layer or block gives it."""
    if isinstance(given, Tensor) and given.ndim == 4 and given.shape[-1] >= _SMALLEST_MAP:
        seen[given.shape[-1]] = given


def _warped(picture: Tensor, matrices: np.ndarray, size: int) -> Tensor:
    """(B, C, S, S) resampled to (B, C, size, size); `matrices` (B, 3, 3) lead from new pixels to old ones."""
    pixels = torch.arange(size, device=picture.device, dtype=picture.dtype)
    ones = torch.ones(size, size, device=picture.device, dtype=picture.dtype)
    places = torch.stack([pixels.expand_as(ones), pixels[:, None].expand_as(ones), ones], dim=-1)
    source = torch.einsum("hwk,bck->bhwc", places, torch.from_numpy(matrices[:, :2]).to(picture))
    return grid_sample(picture, (2 * source + 1) / picture.shape[-1] - 1, align_corners=False)


def load_teacher(spec: str) -> Teacher:
    """The teacher that `spec` names; see `raymask.models.spec.FORMS`.

    Raises:
        ConfigError: `spec` is of no known form, or names a file that needs a package which is not installed.
        ModelError: a file is missing, damaged, or of something else.
    """
    kind, rest = ModelSpec.checked(spec, "teacher")
    makers: Mapping[str, Callable[[str], Teacher]] = {"sface": _sface, "dlib": _dlib, "onnx": _onnx, "bundle": _bundle}
    return makers[kind](rest)


def _sface(file: str) -> Teacher:
    return _network(load_sface(file))


def _dlib(_: str) -> Teacher:
    return Teacher(DlibNetwork.shipped(), prepare=lambda face: face * 255, side=DLIB_SIZE, points=DLIB_POINTS)


def _onnx(file: str) -> Teacher:
    """The same files as recognisers; onnx2torch makes them differentiable."""
    if not Path(file).is_file():
        raise ModelError(f"onnx:{file}: there is no such file")
    try:
        from onnx2torch import convert
    except ImportError:
        raise ConfigError(
            "a teacher in ONNX needs onnx2torch; install it with: pip install 'raymask[teacher]'"
        ) from None
    try:
        network = convert(file).eval()
        with torch.no_grad():
            network(torch.zeros(2, 3, ARCFACE_SIZE, ARCFACE_SIZE)).reshape(2, -1)
    except Exception as error:  # its errors share no public base
        raise ModelError(f"onnx:{file} cannot be learned from ({str(error).splitlines()[0][:200]})") from None
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
    return Teacher(
        network,
        prepare=lambda face: (face - mean.to(face)) / deviation.to(face),
        side=ARCFACE_SIZE,
        points=ARCFACE_POINTS,
    )


def _bundle(folder: str) -> Teacher:
    network = load_bundle(folder).model
    if not isinstance(network, MaskFaceNet):
        raise ModelError(f"{folder} is a {type(network).__name__}; a teacher is a MaskFaceNet")
    return _network(network)


def _network(network: MaskFaceNet) -> Teacher:
    once = MaskFaceNet(replace(network.config, mirrored=False, tilted=0.0))  # who asks decides what it is shown
    once.load_state_dict(network.state_dict())
    alignment, side = network.config.alignment, network.config.input_size
    points = None if alignment == "box" else places(alignment, side)
    return Teacher(once, prepare=lambda face: face * 255, side=side, points=points)
