"""Blending a network with the weights that its training began with (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).

A mean of both weights costs no training, and often keeps most of what was learned and of what was known before.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from raymask.errors import ModelError
from raymask.models.bundle import check_replaceable, load_bundle, save_bundle
from raymask.models.digest import weights_digest
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.plugins import allow
from raymask.train.embedder.blend_config import BlendConfig
from raymask.train.embedder.init_weights import begin_with


def blend(config: BlendConfig) -> Path:
    """Make the bundle; returns its folder.

    Raises:
        ConfigError: the start is of another backbone.
        ModelError: the bundle or the start cannot be had, or `out` is something else or cannot be written.
    """
    allow(config.own)
    bundle = load_bundle(config.bundle, "MaskFaceNet")
    network = bundle.model
    assert isinstance(network, MaskFaceNet)
    check_replaceable(config.out)
    begun = begin_with(copy.deepcopy(network), config.init)
    mix(network, begun, config.share)
    blended = {"init": config.init, "init_sha256": weights_digest(config.init), "share": config.share}
    try:
        return save_bundle(
            config.out,
            network,
            preprocessing=bundle.config["preprocessing"],
            training=bundle.config["training"] | {"blended": blended},
        )
    except OSError as error:
        raise ModelError(f"{config.out} cannot be written ({error.strerror})") from None


@torch.no_grad()
def mix(network: MaskFaceNet, begun: MaskFaceNet, share: float) -> None:
    """Give the network the mean of its weights, which count by `share` (0 to 1), and those of `begun`."""
    known = begun.state_dict()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(known[name].float().lerp(value.float(), share))
