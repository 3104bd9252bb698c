"""The inpainter: EdgeConnect's two generators as one model that takes the mask off a crop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from raymask.errors import ImageError
from raymask.faces.crop import resize_crop
from raymask.faces.edges import draw_edges, grey
from raymask.models.config import InpainterConfig
from raymask.models.networks.edgeconnect import EdgeGenerator, ImageGenerator


class Filled(NamedTuple):
    """A crop whose hole was filled."""

    crop: np.ndarray
    """(H, W, 3) uint8 RGB; outside the map the pixels of before, bit for bit."""
    edges: np.ndarray
    """(S, S) uint8, 0 to 255: the edges that led the painting, at the generators' size."""


class Inpainter(nn.Module):
    """Draws the edges behind the mask, then paints the face by them."""

    def __init__(self, config: InpainterConfig) -> None:
        super().__init__()
        self.config = config
        self.edge_generator = EdgeGenerator(config.channels)
        self.image_generator = ImageGenerator(config.channels)

    def forward(self, image: Tensor, grey_image: Tensor, edges: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Paint the whole face.

        Args:
            image: (B, 3, S, S) RGB, 0 to 1; what lies in the hole is not looked at, here and below.
            grey_image, edges: (B, 1, S, S), 0 to 1.
            hole: (B, 1, S, S), 1 in the hole, 0 elsewhere.

        Returns:
            The painted face (B, 3, S, S), and the edges it was painted by, known ones outside the hole, (B, 1, S, S).
        """
        drawn = self.edge_generator(grey_image, edges, hole)
        drawn = drawn * hole + edges * (1 - hole)  # as in the last two stages of its training
        return self.image_generator(image, drawn, hole), drawn

    def fill(self, crop: np.ndarray, mask_map: np.ndarray) -> Filled:
        """Fill what the map covers.

        Args:
            crop: (H, W, 3) uint8 RGB, a square around a face.
            mask_map: (H, W) uint8, over 127 where to fill. Where nothing is to be filled the crop comes back as it is.

        Raises:
            ImageError: crop and map are of different sizes or other types, or the map leaves nothing to paint from.
        """
        return self.fill_all([crop], [mask_map])[0]

    @torch.inference_mode()
    def fill_all(self, crops: Sequence[np.ndarray], mask_maps: Sequence[np.ndarray]) -> list[Filled]:
        """Fill one crop or more in one pass, as `fill`."""
        holes = [check_map(crop, mask_map) for crop, mask_map in zip(crops, mask_maps, strict=True)]
        small = [prepare_hole(crop, hole, side=self.config.side) for crop, hole in zip(crops, holes, strict=True)]
        if any(small_hole.all() for _, small_hole, _ in small):
            raise ImageError("the mask map covers the whole crop; nothing of the face is left to fill it from")
        parameter = next(self.parameters())

        def batch(planes: list[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.stack(planes)).to(parameter.device, parameter.dtype)

        painted, drawn = self(
            batch([face.transpose(2, 0, 1) for face, _, _ in small]) / 255,
            batch([grey(face)[None] for face, _, _ in small]),
            batch([edges[None] for _, _, edges in small]),
            batch([small_hole[None] for _, small_hole, _ in small]),
        )
        faces = (painted * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        edges = (drawn[:, 0] * 255).to(torch.uint8).cpu().numpy()
        return [Filled(_onto(*one), drawn) for *one, drawn in zip(crops, holes, faces, edges, strict=True)]


def _onto(crop: np.ndarray, hole: np.ndarray, face: np.ndarray) -> np.ndarray:
    """The crop with a painted face of another size in its hole."""
    return np.where(hole[..., None], cv2.resize(face, crop.shape[1::-1], interpolation=cv2.INTER_CUBIC), crop)


def check_map(crop: np.ndarray, mask_map: np.ndarray) -> np.ndarray:
    """The hole as (H, W) bool. Raises ImageError if crop and map do not fit together."""
    if crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8:
        raise ImageError(f"a crop is an array (H, W, 3) of uint8 RGB, not {crop.dtype} {crop.shape}")
    if mask_map.shape != crop.shape[:2] or mask_map.dtype != np.uint8:
        raise ImageError(
            f"the mask map is {mask_map.dtype} {mask_map.shape}, the crop {crop.shape}; a map is uint8 of the crop's "
            f"height and width"
        )
    return mask_map > 127


def shrink_hole(hole: np.ndarray, side: int) -> np.ndarray:
    """(H, W) bool to the generators' (S, S) bool: true wherever a pixel holds some of the hole."""
    shrinks = hole.shape[0] > side
    spread = cv2.resize(
        hole.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return spread > 0


def prepare_hole(crop: np.ndarray, hole: np.ndarray, *, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A crop and its hole at the generators' size.

    Args:
        crop: (H, W, 3) uint8 RGB.
        hole: (H, W) bool.

    Returns:
        The face (S, S, 3) uint8; the hole (S, S) float32, 1 wherever a pixel holds some of it; the known edges
        (S, S) float32, none in the hole or along its border.
    """
    small = resize_crop(crop, side)
    small_hole = shrink_hole(hole, side)
    return small, small_hole.astype(np.float32), draw_edges(small, known=~small_hole)
