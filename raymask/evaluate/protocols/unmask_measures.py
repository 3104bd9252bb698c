"""How near one picture is to another: PSNR, SSIM and an LPIPS-like distance, over a whole crop and within a hole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch.nn.functional import interpolate

from raymask.models.teacher import Teacher

_BEST_PSNR = 60.0
"""dB that pictures without any difference count as, so that means stay finite."""


class PictureMeasure(NamedTuple):
    """What a key of `PictureJudge.compare` means."""

    title: str
    higher_is_better: bool


MEASURES: Mapping[str, PictureMeasure] = {
    "psnr": PictureMeasure("PSNR, dB", True),
    "ssim": PictureMeasure("SSIM", True),
    "lpips": PictureMeasure("LPIPS-like distance", False),
}


class PictureJudge:
    """Compares pictures with the true ones."""

    def __init__(self, network: Teacher) -> None:
        """`network`: whose inner maps the LPIPS-like distance compares."""
        self._network = network

    def compare(self, made: np.ndarray, true: np.ndarray, hole: np.ndarray, points: np.ndarray) -> dict[str, float]:
        """All measures, as `psnr_crop`, `psnr_hole` and so on.

        Args:
            made, true: (C, C, 3) uint8 RGB.
            hole: (C, C) bool, with at least one pixel.
            points: (5, 2) of the true face, pixels of the crop.
        """
        error = np.square(made.astype(np.float64) - true).mean(2)
        _, similar = structural_similarity(
            made, true, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )
        apart = self._distance(made, true, points)
        found = {}
        for where, inside in (("crop", np.ones_like(hole)), ("hole", hole)):
            found[f"psnr_{where}"] = _psnr(float(error[inside].mean()))
            found[f"ssim_{where}"] = float(similar[inside].mean())
            found[f"lpips_{where}"] = float(apart[inside].mean())
        return found

    @torch.inference_mode()
    def _distance(self, made: np.ndarray, true: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(C, C): mean over layers of the squared distance between the channels at a place, each of length 1.

        As LPIPS (Zhang et al. 2018) without its learned weights, in a network that knows faces. Maps are laid over
        the crop as they come, the faces being aligned for the network alike in both pictures.
        """
        faces = torch.from_numpy(np.stack([made, true])).permute(0, 3, 1, 2).float() / 255
        maps = self._network(faces, torch.from_numpy(np.stack([points, points]))).maps
        layers = [(one[:1] - one[1:]).square().mean(1, keepdim=True) for one in maps]
        side = self._network.side
        apart = torch.stack(
            [interpolate(layer, size=(side, side), mode="bilinear", align_corners=False) for layer in layers]
        ).mean(0)
        return self._network.unaligned(apart, torch.from_numpy(points)[None], len(made))[0, 0].numpy()


def _psnr(error: float) -> float:
    return min(_BEST_PSNR, 10 * float(np.log10(255**2 / max(error, 1e-12))))
