"""The weights that a training begins with, where it does not begin with random ones."""

from __future__ import annotations

import torch
from torch import nn

from raymask.errors import ConfigError, ModelError
from raymask.models.bundle import load_bundle
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.sface_weights import give_sface
from raymask.models.spec import ModelSpec
from raymask.plugins import allow


def begin_with(network: MaskFaceNet, start: str | None) -> MaskFaceNet:
    """Give the network the weights that `start` names: those of its backbone, and of its last layer as far as they fit;
    what does not fit stays at random.

    Args:
        network: changed in place.
        start: a name for the use `init` of `raymask.models.spec`; None: it stays as it is.

    Raises:
        ConfigError: the network has another backbone.
        ModelError: they cannot be had.
    """
    if start is None:
        return network
    kind, rest = ModelSpec.checked(start, "init")
    if kind in ("sface", "dlib", "facenet") and network.config.backbone != kind:
        raise ConfigError(f"init {kind} is for model.backbone {kind}, not {network.config.backbone}")
    if kind == "sface":
        give_sface(network, rest)
    elif kind == "dlib":
        _from_dlib(network)
    elif kind == "facenet":
        _from_facenet(network, rest or "vggface2")
    else:
        _from_bundle(network, rest)
    return network


def _from_dlib(network: MaskFaceNet) -> None:
    from raymask.models.networks.dlib_network import DlibNetwork

    known = DlibNetwork.shipped()
    network.backbone.load_state_dict(known.convolutions.state_dict())
    _give_rows(network, known.last)


@torch.no_grad()
def _from_facenet(network: MaskFaceNet, weights: str) -> None:
    from raymask.models.networks.facenet import load_facenet

    known = load_facenet(weights)
    parts = {name: value for name, value in known.state_dict().items() if not name.startswith("last_")}
    network.backbone.load_state_dict(parts)
    norm = network.head[4]
    if isinstance(norm, nn.BatchNorm1d) and network.config.embedding_size == len(known.last_bn.weight):
        network.last.weight.copy_(known.last_linear.weight)
        network.last.bias.zero_()
        norm.load_state_dict(known.last_bn.state_dict())
        norm.running_var += known.last_bn.eps - norm.eps  # what keeps the root from 0 differs
    else:
        _give_rows(network, known.last_linear)


def _from_bundle(network: MaskFaceNet, folder: str) -> None:
    allow((network.config.backbone,))  # it is the operator's, who trains with it
    known = load_bundle(folder, "MaskFaceNet").model
    assert isinstance(known, MaskFaceNet)
    if known.config.backbone != network.config.backbone:
        raise ModelError(
            f"init bundle:{folder} has backbone {known.config.backbone}, model.backbone is {network.config.backbone}"
        )
    heads = {(model.config.head, model.config.embedding_size) for model in (known, network)}
    if len(heads) == 1:
        network.load_state_dict(known.state_dict())
    else:
        network.backbone.load_state_dict(known.backbone.state_dict())
        _give_rows(network, known.last)


@torch.no_grad()
def _give_rows(network: MaskFaceNet, known: nn.Linear) -> None:
    """The first values of the embedding, as many as both have, are those that they were, until a normalisation behind
    them learns other statistics than 0 and 1."""
    last = network.last
    rows = min(len(last.weight), len(known.weight))
    last.weight[:rows] = known.weight[:rows]
    if last.bias is not None:
        last.bias[:rows] = 0 if known.bias is None else known.bias[:rows]
