"""Names and shapes of EdgeConnect's published checkpoints, listed without looking at our networks."""

from __future__ import annotations

import torch


def edge_generator(width: int = 64, *, with_v: bool = True) -> dict[str, torch.Tensor]:
    """Spectrally normalised but for the last layer: `weight_orig`, `weight_u` and `weight_v`; blocks without bias."""
    c, weights = width, {}

    def normed(name, shape, bias, transposed=False):
        out = shape[1] if transposed else shape[0]
        rest = torch.tensor(shape).prod().item() // out
        weights[f"{name}.weight_orig"] = torch.randn(shape) * 0.02
        weights[f"{name}.weight_u"] = torch.nn.functional.normalize(torch.randn(out), dim=0)
        if with_v:
            weights[f"{name}.weight_v"] = torch.nn.functional.normalize(torch.randn(rest), dim=0)
        if bias:
            weights[f"{name}.bias"] = torch.zeros(out)

    normed("encoder.1", (c, 3, 7, 7), True)
    normed("encoder.4", (2 * c, c, 4, 4), True)
    normed("encoder.7", (4 * c, 2 * c, 4, 4), True)
    for block in range(8):
        for layer in (1, 5):
            normed(f"middle.{block}.conv_block.{layer}", (4 * c, 4 * c, 3, 3), False)
    normed("decoder.0", (4 * c, 2 * c, 4, 4), True, transposed=True)
    normed("decoder.3", (2 * c, c, 4, 4), True, transposed=True)
    weights["decoder.7.weight"], weights["decoder.7.bias"] = torch.randn(1, c, 7, 7) * 0.02, torch.zeros(1)
    return weights


def image_generator(width: int = 64) -> dict[str, torch.Tensor]:
    """Plain convolutions, all with bias."""
    c, weights = width, {}

    def plain(name, shape, out):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.randn(shape) * 0.02, torch.zeros(out)

    plain("encoder.1", (c, 4, 7, 7), c)
    plain("encoder.4", (2 * c, c, 4, 4), 2 * c)
    plain("encoder.7", (4 * c, 2 * c, 4, 4), 4 * c)
    for block in range(8):
        for layer in (1, 5):
            plain(f"middle.{block}.conv_block.{layer}", (4 * c, 4 * c, 3, 3), 4 * c)
    plain("decoder.0", (4 * c, 2 * c, 4, 4), 2 * c)
    plain("decoder.3", (2 * c, c, 4, 4), c)
    plain("decoder.7", (3, c, 7, 7), 3)
    return weights
