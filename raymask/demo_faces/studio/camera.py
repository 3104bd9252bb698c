"""Projecting points of the head into the image, and drawing dense point grids with hidden points removed."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from raymask.demo_faces.arrays import Array, Image
from raymask.demo_faces.shot import Shot

SUPERSAMPLING = 2
"""Samples along each axis of an output pixel."""

_DISTANCE = 1100.0  # mm from the camera to the middle of the head
_PIVOT = np.array([0.0, 18.0, 20.0])  # mm, the point that stays at the photo's chosen place when the head turns
_REFERENCE_SIZE = 250  # pixels, the image size that Shot.scale is given for


@dataclass(frozen=True)
class Camera:
    """A pinhole camera before a head: `facing` (3, 3) turns the head, `centre` (2,) and `scale` are in pixels."""

    facing: Array
    centre: Array
    scale: float

    def project(self, points: Array) -> Array:
        """(..., 3) head points in mm to (..., 3) float32: pixels x and y of the image, and depth in mm."""
        turned = (points - _PIVOT) @ self.facing.T
        near = self.scale * _DISTANCE / (_DISTANCE - turned[..., 2:])
        return np.concatenate([turned[..., :2] * near + self.centre, turned[..., 2:]], -1).astype(np.float32)


def camera_for(shot: Shot, size: int) -> Camera:
    """The camera that takes `shot` at `size` x `size` pixels."""
    yaw, pitch, roll = np.radians([shot.yaw_degrees, shot.pitch_degrees, shot.roll_degrees])
    cos, sin = np.cos, np.sin
    turn = np.array([[cos(yaw), 0, sin(yaw)], [0, 1, 0], [-sin(yaw), 0, cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, cos(pitch), -sin(pitch)], [0, sin(pitch), cos(pitch)]])
    tilt = np.array([[cos(roll), -sin(roll), 0], [sin(roll), cos(roll), 0], [0, 0, 1]])
    centre = size * (0.5 + np.array([shot.shift_x, shot.shift_y]))
    return Camera(facing=tilt @ nod @ turn, centre=centre, scale=shot.scale * size / _REFERENCE_SIZE)


def splat(layer: Image, projected: Array, colour: Image, visible: NDArray[np.bool_]) -> None:
    """Draw points into `layer` (H, W, 4), nearest last; the fourth channel becomes 255 where one fell.

    `projected` is (N, 3) pixels of the layer and depth in mm, `colour` (N, 3), `visible` (N,) the points to draw.
    """
    height, width = layer.shape[:2]
    x = projected[:, 0].astype(np.int32)
    y = projected[:, 1].astype(np.int32)
    keep = np.flatnonzero(visible & (x >= 0) & (x < width) & (y >= 0) & (y < height))
    # Sixteen bits of depth over +-400 mm let the sort be a radix sort.
    depth = np.clip((projected[keep, 2] + 400.0) * 80.0, 0, 65535).astype(np.uint16)
    keep = keep[np.argsort(depth, kind="stable")]
    packed = cv2.cvtColor(colour[:, None], cv2.COLOR_RGB2RGBA).view(np.uint32).ravel()
    layer.view(np.uint32).reshape(-1)[(y * width + x)[keep]] = packed[keep]


def fill_pinholes(layer: Image) -> Image:
    """`layer` with the pixels that no point hit, but whose surroundings were, coloured like those."""
    closed = cv2.morphologyEx(layer, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    return np.where(layer[..., 3:] > 0, layer, closed)
