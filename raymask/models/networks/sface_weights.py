"""SFace's weights, read from the ONNX file of OpenCV Zoo, which is read as data.

Its normalisations, which have fixed statistics, are folded into the convolutions and the last layer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from raymask.errors import ModelError
from raymask.faces.zoo_models import zoo_model
from raymask.models.config import SFACE
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.sface import PAIRS, SfaceConvolutions, SfaceLayer

if TYPE_CHECKING:
    from onnx import ModelProto


def load_sface(file: str = "") -> MaskFaceNet:
    """SFace as a MaskFaceNet of the configuration `SFACE`, in evaluation mode.

    Args:
        file: an ONNX file of SFace, block-quantised or not; empty: the one of the package, checked by its SHA-256.

    Raises:
        ModelError: the file is missing, damaged, or holds another network.
    """
    network = MaskFaceNet(SFACE)
    give_sface(network, file)
    return network.eval()


@torch.no_grad()
def give_sface(network: MaskFaceNet, file: str = "") -> None:
    """Give a network of the backbone `sface` SFace's convolutions, and its last layer where the shapes agree.

    Args:
        network: changed in place.
        file: as `load_sface` takes it, and raises.
    """
    path = zoo_model("sface", file)
    graph = _Graph.read(path)
    convolutions = network.backbone
    assert isinstance(convolutions, SfaceConvolutions)
    try:
        names = ["conv_1", *(f"conv_{n}{part}" for n in range(2, PAIRS + 2) for part in ("_dw", ""))]
        for name, layer in zip(names, convolutions, strict=True):
            assert isinstance(layer, SfaceLayer)
            convolution, slope = layer.convolution, layer.slope
            weight = graph.value(f"{name}_conv2d_weight").view_as(convolution.weight)
            factor, term = graph.affine(f"{name}_batchnorm")
            convolution.weight.copy_(weight * factor.view(-1, 1, 1, 1))
            _bias(convolution).copy_(term)
            slope.weight.copy_(graph.value(f"{name}_relu_gamma").flatten())
        last = network.last
        if network.config.head == "map" and last.weight.shape == (128, 50176):
            weight, bias = _last_layer(graph)
            last.weight.copy_(weight)
            _bias(last).copy_(bias)
    except (KeyError, RuntimeError):
        raise ModelError(f"sface:{path} is not SFace's network; name the ONNX file of OpenCV Zoo") from None


def _bias(layer: nn.Conv2d | nn.Linear) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _last_layer(graph: _Graph) -> tuple[Tensor, Tensor]:
    """Weights (128, 50176) and biases (128,) of the linear layer and of the normalisations before and after it."""
    weight, bias = graph.value("pre_fc1_weight"), graph.value("pre_fc1_bias")
    before, shift = (part.repeat_interleave(49) for part in graph.affine("bn1"))
    after, term = graph.affine("fc1")
    return weight * before * after[:, None], (weight @ shift + bias) * after + term


class _Graph(NamedTuple):
    """An ONNX graph's constants."""

    values: dict[str, np.ndarray]
    """By name."""
    epsilons: dict[str, float]
    """Of each normalisation, by the name of its factors."""
    blocks: dict[str, tuple[int, int]]
    """Axis and block size of what is quantised, by the name of the quantised values."""

    @classmethod
    def read(cls, path: Path) -> _Graph:
        """Raises ModelError for what is no ONNX file."""
        import onnx
        from onnx.numpy_helper import to_array

        try:
            model: ModelProto = onnx.load(path)
            values = {tensor.name: to_array(tensor) for tensor in model.graph.initializer}
        except Exception as error:  # protobuf's errors share no public base
            raise ModelError(f"sface:{path} cannot be read as ONNX ({str(error).splitlines()[0][:200]})") from None
        epsilons, blocks = {}, {}
        for node in model.graph.node:
            attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            if node.op_type == "BatchNormalization":
                epsilons[node.input[1]] = float(attributes.get("epsilon", 1e-5))
            elif node.op_type == "DequantizeLinear":
                blocks[node.input[0]] = (int(attributes.get("axis", 1)), int(attributes.get("block_size", 0)))
        return cls(values, epsilons, blocks)

    def value(self, name: str) -> Tensor:
        """A constant, dequantised. Raises KeyError if there is none of that name."""
        if name in self.values:
            return torch.from_numpy(self.values[name].astype(np.float32))
        whole = self.values[f"{name}_quantized"].astype(np.float32)
        axis, block = self.blocks[f"{name}_quantized"]
        scales, zeros = (
            np.repeat(self.values[f"{name}_{part}"].astype(np.float32), block, axis).take(
                np.arange(whole.shape[axis]), axis
            )
            for part in ("scales", "zero_point")
        )
        return torch.from_numpy((whole - zeros) * scales)

    def affine(self, name: str) -> tuple[Tensor, Tensor]:
        """A normalisation with fixed statistics as a factor and a term by channel."""
        gamma, beta, mean, variance = (
            self.value(f"{name}_{part}") for part in ("gamma", "beta", "moving_mean", "moving_var")
        )
        factor = gamma / (variance + self.epsilons[f"{name}_gamma"]).sqrt()
        return factor, beta - factor * mean
