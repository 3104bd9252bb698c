"""MTCNN (Zhang et al. 2016): three networks, each of which looks closer at what the one before has let through.

The weights are those of facenet-pytorch, read without importing the package, which takes seconds. It finds what that
package finds, nearly three times as fast (benchmarks/detection.py): parts of a photo are resized all together, from
sums, and what is kept of overlapping boxes is chosen in compiled code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raymask.errors import ModelError
from raymask.faces.crop import Square

Thresholds = tuple[float, float, float]

THRESHOLDS: Thresholds = (0.6, 0.7, 0.7)
"""Confidence from which each network lets a box through."""
_SHRINK = 0.709
"""From one size of the photo to the next: half the area."""
_WINDOW, _STRIDE = 12, 2
"""Pixels that the first network sees at a time, and from one window to the next."""
_LARGE = 45
"""Pixels of a window from which a face in it is large."""
_GROWN = 1.5
"""Sides of a face over those of the window in which it is first seen, at most."""
_CLOSER = (24, 48)
"""Sides of what the second and the third network see."""
_OFFSET, _SCALE = 127.5, 0.0078125
"""The networks were trained on (pixel - _OFFSET) * _SCALE."""
_LAYERS: dict[str, tuple[tuple[tuple[str, int], ...], tuple[str, ...]]] = {
    "pnet": ((("conv1", 2), ("conv2", 0), ("conv3", 0)), ("conv4_1", "conv4_2")),
    "rnet": ((("conv1", 3), ("conv2", 3), ("conv3", 0), ("dense4", 0)), ("dense5_1", "dense5_2")),
    "onet": (
        (("conv1", 3), ("conv2", 3), ("conv3", 2), ("conv4", 0), ("dense5", 0)),
        ("dense6_1", "dense6_2", "dense6_3"),
    ),
}
"""Of each network the layers, each with the side of the pool after it (0: none), and the heads."""


class Detections(NamedTuple):
    """Faces of a photo, surest first."""

    boxes: np.ndarray
    """(N, 4) float32: left, top, right, bottom, pixels of the photo."""
    scores: np.ndarray
    """(N,) float32, 0 to 1."""
    points: np.ndarray
    """(N, 5, 2) float32: the eyes, nose tip and mouth corners, pixels (x, y)."""


class _Windows(NamedTuple):
    """Squares in which a face may be."""

    boxes: np.ndarray
    """(N, 4)."""
    scores: np.ndarray
    """(N,)."""
    moves: np.ndarray
    """(N, 4): how the boxes should move, as shares of their sides."""


class Mtcnn:
    """Finds faces."""

    def __init__(self, *, device: str = "cpu") -> None:
        """`device`: where the networks run. Raises ModelError if facenet-pytorch, which brings their weights, is not
        installed whole."""
        self._first, self._second, self._third = (_Network(name, torch.device(device)) for name in _LAYERS)

    @torch.inference_mode()
    def __call__(
        self,
        photo: np.ndarray,
        *,
        least: int,
        thresholds: Thresholds = THRESHOLDS,
        enough: Callable[[np.ndarray, float], bool] | None = None,
    ) -> Detections:
        """The faces of a photo.

        Args:
            photo: (H, W, 3) uint8 RGB.
            least: side of the smallest faces that are looked for, pixels.
            thresholds: confidence from which each network lets a box through.
            enough: asked with the (N, 4) boxes of large faces, and the side in pixels that others have at most, whether
                those are needed at all; most of the work is for small ones.
        """
        averages = _Averages(photo)
        scales = _scales(photo.shape, least)
        small = [scale for scale in scales if _WINDOW / scale < _LARGE]
        windows = [self._windows_at(averages, photo.shape, scale, thresholds) for scale in scales[len(small) :]]
        if enough and small and windows:
            found = self._faces_in(windows, averages, photo.shape, thresholds)
            if enough(found.boxes, _GROWN * _WINDOW / small[-1]):
                return found
        windows = [self._windows_at(averages, photo.shape, scale, thresholds) for scale in small] + windows
        return self._faces_in(windows, averages, photo.shape, thresholds)

    @torch.inference_mode()
    def certainty(self, photo: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """How sure the third network is of (N, 4) boxes if it sees each of them in 30 ways, a little larger, smaller,
        beside it and mirrored: (N,) means, 0 to 1. What only looks like a face does so in few of them."""
        if not len(boxes):
            return np.zeros(0, np.float32)
        cuts = np.stack([cut for box in boxes for cut in _seen_anew(photo, box)]).astype(np.float32)
        means: np.ndarray = self._third(cuts)[0].reshape(len(boxes), -1).mean(axis=1)
        return means

    def _faces_in(
        self, windows: Sequence[_Windows], averages: _Averages, shape: Sequence[int], thresholds: Thresholds
    ) -> Detections:
        """What the second and the third network see in the first one's windows."""
        boxes = _proposed(windows)
        boxes, _, _ = self._closer(self._second, averages, shape, boxes, _CLOSER[0], thresholds[1])
        boxes, scores, points = self._closer(self._third, averages, shape, boxes, _CLOSER[1], thresholds[2])
        kept = _without_inner(boxes, scores, 0.7)
        return Detections(boxes[kept], scores[kept], points[kept])

    def _windows_at(self, averages: _Averages, shape: Sequence[int], scale: float, thresholds: Thresholds) -> _Windows:
        """Those of a photo in one size in which the first network sees a face."""
        height, width = (int(side * scale + 1) for side in shape[:2])
        whole = np.array([[0, 0]]), np.array([[shape[1], shape[0]]])
        scores, moves = (one[0] for one in self._first(averages(*whole, height, width)))
        row, column = np.nonzero(scores >= thresholds[0])
        corner = _STRIDE * np.stack([column, row], axis=1).astype(np.float32) + 1
        boxes = np.floor(np.concatenate([corner, corner + _WINDOW - 1], axis=1) / np.float32(scale))
        kept = without_overlaps(boxes, scores[row, column], 0.5)
        return _Windows(boxes[kept], scores[row, column][kept], moves[:, row, column].T[kept])

    def _closer(
        self,
        network: _Network,
        averages: _Averages,
        shape: Sequence[int],
        boxes: np.ndarray,
        side: int,
        threshold: float,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of (N, 4) squares those in which a network sees a face: boxes, scores and points."""
        near, far = _corners(boxes, shape)
        shown = (far > near).all(axis=1)
        boxes = boxes[shown]
        if not len(boxes):
            return boxes, np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
        scores, moves, *more = (one[..., 0, 0] for one in network(averages(near[shown], far[shown], side, side)))
        found = scores > threshold
        boxes, scores, moves = boxes[found], scores[found], moves[found]
        if not more:
            kept = without_overlaps(boxes, scores, 0.7)
            return _squares(_moved(boxes[kept], moves[kept], 1.0)), scores[kept], np.zeros((0, 5, 2), np.float32)
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        five = more[0][found].reshape(-1, 2, 5).transpose(0, 2, 1)
        points = five * sides[:, None] + boxes[:, None, :2] - 1
        return _moved(boxes, moves, 1.0), scores, points


class _Network:
    """Convolutions, each with a bend after it and some with a pool, and linear heads; none of them pads."""

    def __init__(self, name: str, device: torch.device) -> None:
        layers, heads = _LAYERS[name]
        weights = _weights(name)
        self._device = device
        self._layers: list[tuple[Tensor, Tensor, Tensor, int]] = []
        channels = 3
        for number, (layer, pool) in enumerate(layers, start=1):
            weight, bias = _convolution(weights, layer, channels)
            if number == 1:  # the scaling of pixels is a scaling of the first weights
                weight, bias = weight * _SCALE, bias - _OFFSET * _SCALE * weight.sum(dim=(1, 2, 3))
            weight = weight.contiguous(memory_format=torch.channels_last)
            self._layers.append((weight.to(device), bias.to(device), weights[f"prelu{number}.weight"].to(device), pool))
            channels = len(bias)
        found = [_convolution(weights, head, channels) for head in heads]
        self._values = [len(bias) for _, bias in found]
        self._head_weight, self._head_bias = (torch.cat(parts).to(device) for parts in zip(*found, strict=True))

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        """What is seen in (N, H, W, 3) float32, 0 to 255.

        Returns:
            The probability of a face (N, H', W'), and of each other head (N, values, H', W'): how the box should move,
            and points in it, all as shares of its sides.
        """
        x = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2)
        for weight, bias, bend, pool in self._layers:
            x = F.prelu(F.conv2d(x, weight, bias), bend)
            if pool:
                x = F.max_pool2d(x, pool, 2, ceil_mode=True)
        face, *others = F.conv2d(x, self._head_weight, self._head_bias).split(self._values, dim=1)
        return [face.softmax(dim=1)[:, 1].cpu().numpy(), *(other.cpu().numpy() for other in others)]


def _proposed(windows: Sequence[_Windows]) -> np.ndarray:
    """(N, 4) squares around what windows of all sizes show."""
    if not windows:
        return np.zeros((0, 4), np.float32)
    boxes, scores, moves = (np.concatenate(one) for one in zip(*windows, strict=True))
    kept = without_overlaps(boxes, scores, 0.7)
    return _squares(_moved(boxes[kept], moves[kept], 0.0))


def _convolution(weights: Mapping[str, Tensor], layer: str, channels: int) -> tuple[Tensor, Tensor]:
    """Weights and biases of a layer; a dense one becomes a convolution over all of its input, which it takes with
    columns before rows."""
    weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
    if weight.dim() == 2:
        side = math.isqrt(weight.shape[1] // channels)
        weight = weight.reshape(len(weight), side, side, channels).permute(0, 3, 2, 1)
    return weight, bias


def _weights(name: str) -> dict[str, Tensor]:
    package = find_spec("facenet_pytorch")
    try:
        if package is None or package.origin is None:
            raise FileNotFoundError
        file = Path(package.origin).parent / "data" / f"{name}.pt"
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file meets torch with errors of many types
        reason = f"facenet-pytorch's {name}.pt cannot be read ({type(error).__name__})"
        raise ModelError(f"{reason}; install facenet-pytorch again") from None


def _scales(shape: Sequence[int], least: int) -> list[float]:
    """In which the first network's windows show faces of `least` pixels, of more, and so on."""
    scale, scales = _WINDOW / least, []
    while min(shape[:2]) * scale >= _WINDOW:
        scales.append(scale)
        scale *= _SHRINK
    return scales


class _Averages:
    """Parts of a photo in other sizes, each pixel of which is the mean of those that it covers, wholly or in part: how
    the networks' photos were resized. From sums, so that a small part of a photo costs no more than it has pixels."""

    def __init__(self, photo: np.ndarray) -> None:
        """(H, W, 3) uint8 of at most 8 megapixels."""
        sums = cv2.integral(photo)  # (H + 1, W + 1, 3) int32: of all pixels above and to the left
        self._across, self._sums = sums.shape[1], sums.reshape(-1, 3)

    def __call__(self, near: np.ndarray, far: np.ndarray, height: int, width: int) -> np.ndarray:
        """Parts, from corners (N, 2) to corners (N, 2), x and y, as (N, height, width, 3) float32."""
        left, right = _bins(near[:, 0], far[:, 0], width)
        top, bottom = _bins(near[:, 1], far[:, 1], height)
        above, below = self._across * top[:, :, None], self._across * bottom[:, :, None]
        before, behind = left[:, None], right[:, None]
        sums = self._at(below + behind) - self._at(below + before) - self._at(above + behind) + self._at(above + before)
        areas = (bottom - top)[:, :, None] * (right - left)[:, None]
        return sums.astype(np.float32) / areas[..., None].astype(np.float32)

    def _at(self, places: np.ndarray) -> np.ndarray:
        return self._sums.take(places, axis=0)


def _bins(near: np.ndarray, far: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each of `count` pixels begins and ends, both (N, count), of stretches from (N,) to (N,)."""
    length, number = (far - near)[:, None], np.arange(count)
    return near[:, None] + number * length // count, near[:, None] - -(number + 1) * length // count


def _corners(boxes: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """What (N, 4) boxes, which count pixels from 1, have of a photo of that shape: corners (N, 2) and (N, 2)."""
    near = np.maximum(boxes[:, :2].astype(np.int64), 1) - 1
    return near, np.minimum(boxes[:, 2:].astype(np.int64), (shape[1], shape[0]))


def _seen_anew(photo: np.ndarray, box: np.ndarray) -> Iterator[np.ndarray]:
    """The square around a box, shifted, scaled and mirrored, as the third network sees it: (48, 48, 3) uint8 each."""
    side, middle = float((box[2:] - box[:2]).max()), (box[:2] + box[2:]) / 2
    for scale in (0.85, 1.0, 1.2):
        for shift in ((0.0, 0.0), (-0.08, 0.0), (0.08, 0.0), (0.0, -0.08), (0.0, 0.08)):
            left, top = middle + side * (np.array(shift) - scale / 2)
            square = Square(left=round(left), top=round(top), side=max(1, round(side * scale)))
            cut = square.cut(photo, _CLOSER[1])
            yield cut
            yield cut[:, ::-1]


def _moved(boxes: np.ndarray, moves: np.ndarray, more: float) -> np.ndarray:
    """(N, 4) boxes whose edges have moved by shares (N, 4) of their sides; `more`: pixels by which a side counts."""
    sides = boxes[:, 2:] - boxes[:, :2] + more
    return boxes + moves * np.tile(sides, 2)


def _squares(boxes: np.ndarray) -> np.ndarray:
    """Squares around the middles of (N, 4) boxes, as large as their longer sides."""
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middles - halves, middles + halves], axis=1)


def without_overlaps(boxes: np.ndarray, scores: np.ndarray, most: float) -> np.ndarray:
    """Places of (N, 4) boxes of which no two overlap by more than `most` of their union, surest first."""
    if not len(boxes):
        return np.zeros(0, np.intp)
    corner_and_sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return np.asarray(cv2.dnn.NMSBoxes(corner_and_sides.tolist(), scores.tolist(), 0.0, most), np.intp).ravel()


def _without_inner(boxes: np.ndarray, scores: np.ndarray, most: float) -> np.ndarray:
    """Places of (N, 4) boxes of which no two overlap by more than `most` of the smaller one, surest first."""
    kept: list[int] = []
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)
    for place in np.argsort(-scores, kind="stable"):
        near = np.maximum(boxes[place, :2], boxes[kept, :2])
        far = np.minimum(boxes[place, 2:], boxes[kept, 2:])
        common = np.maximum(far - near + 1, 0).prod(axis=1)
        if (common <= most * np.minimum(areas[place], areas[kept])).all():
            kept.append(int(place))
    return np.array(kept, np.intp)
