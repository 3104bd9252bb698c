"""The weights that a training begins with, where it does not begin with random ones."""

from __future__ import annotations

import torch
from torch import nn

from raymask.errors import ConfigError, ModelError
from raymask.models.bundle import load_bundle
from raymask.models.embedder import MaskFaceNet


def begin_with(network: MaskFaceNet, start: str | None) -> MaskFaceNet:
    """Give the network the weights that `start` names: those of its backbone, and of its last layer as far as they fit.

    Args:
        network: changed in place.
        start: dlib, or bundle:DIR; None: it stays as it is.

    Raises:
        ConfigError: the network has another backbone.
        ModelError: they cannot be had.
    """
    if start == "dlib":
        _from_dlib(network)
    elif start is not None:
        _from_bundle(network, start.partition(":")[2])
    return network


def _from_dlib(network: MaskFaceNet) -> None:
    from raymask.models.dlib_network import DlibNetwork

    if network.config.backbone != "dlib":
        raise ConfigError(f"init dlib is for model.backbone dlib, not {network.config.backbone}")
    known = DlibNetwork.shipped()
    network.backbone.load_state_dict(known.convolutions.state_dict())
    _give_rows(network, known.last)


def _from_bundle(network: MaskFaceNet, folder: str) -> None:
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
    """The first values of the embedding, as many as both have, are those that they were."""
    last = network.last
    rows = min(len(last.weight), len(known.weight))
    last.weight[:rows] = known.weight[:rows]
