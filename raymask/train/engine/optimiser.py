"""What moves a network's weights, and at which share of the learning rate each of them moves."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from raymask.errors import ConfigError
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.train.engine.config import OptimiserConfig


def make_optimiser(
    network: MaskFaceNet, config: OptimiserConfig, others: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """The optimiser, with a `share` of the rate in each group of weights; whoever steps it sets `lr` before.

    Args:
        others: weights beside the network's, which move at the whole rate.
    """
    freeze(network, config.frozen)
    inner = [weight for weight in network.backbone.parameters() if weight.requires_grad]
    groups = [
        _group([weight for weight in inner if weight.ndim > 1], config.convolutions),
        _group([weight for weight in inner if weight.ndim <= 1], config.affine),
        _group([*network.head.parameters(), *(others if config.last == 1 else ())], config.last),
    ]
    if config.last != 1:
        groups.append(_group(list(others), 1.0))
    if config.kind == "adam":
        return torch.optim.AdamW(groups, lr=1.0, weight_decay=config.weight_decay, fused=True)
    return torch.optim.SGD(groups, lr=1.0, momentum=config.momentum, weight_decay=config.weight_decay, fused=True)


def freeze(network: MaskFaceNet, layers: int) -> None:
    """Let the first so many layers of the backbone stay as they are.

    Raises:
        ConfigError: it has no more layers than that.
    """
    parts = list(network.backbone.children())
    if layers >= len(parts):
        raise ConfigError(f"optimiser.frozen must be under {len(parts)} for {network.config.backbone}, not {layers}")
    for part in parts[:layers]:
        part.requires_grad_(False)


class Hold:
    """Pulls weights back to where a training began, a little at each step (L2-SP, Li et al. 2018, arXiv 1802.01483).

    As AdamW's decay it is no part of the gradient.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, strength: float, begun: list[list[Tensor]] | None) -> None:
        """
        Args:
            optimiser: of the weights to pull.
            strength: share of the way back at a rate of 1, 0 or more; 0: off.
            begun: a checkpoint's `begun`; None: the weights are as the training begins.
        """
        self._groups, self._strength = optimiser.param_groups, strength
        now = [group["params"] for group in self._groups] if strength else []
        self.begun = [
            [weight.detach().clone().to(place.device) for weight, place in zip(*pair, strict=True)]
            for pair in zip(now if begun is None else begun, now, strict=True)
        ]
        """Weights that it pulls to, by group of the optimiser; none where it is off."""

    @torch.no_grad()
    def pull(self) -> None:
        """To be called after each step of the optimiser."""
        for begun, group in zip(self.begun, self._groups, strict=bool(self._strength)):
            back = min(1.0, group["lr"] * self._strength)
            for weight, start in zip(group["params"], begun, strict=True):
                weight.lerp_(start, back)


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, keep: float, *, step: int) -> None:
    """Move a running mean of a network's weights and statistics towards what they are now.

    Args:
        average: a copy of the network, changed in place.
        keep: the share of itself that it keeps; less until about step 9 / (1 - keep), so that a short training does
            not end in the weights that it began with.
        step: of the whole training, counted from 0.
    """
    kept = min(keep, (1 + step) / (10 + step))
    now: dict[str, Tensor] = network.state_dict()
    for name, mean in average.state_dict().items():
        if mean.is_floating_point():
            mean.lerp_(now[name], 1 - kept)
        else:
            mean.copy_(now[name])


def _group(weights: list[nn.Parameter], share: float) -> dict[str, object]:
    return {"params": weights, "share": share}
