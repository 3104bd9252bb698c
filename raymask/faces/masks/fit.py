"""Laying the flat pattern onto a face: head pose from the landmarks, then a smooth warp to meet each of them."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from raymask.errors import ConfigError
from raymask.faces.masks import surface

Floats = NDArray[np.float64]

# Landmarks the mask has to meet: jaw, nose, lower eyelids with the corners, outer lips.
_ANCHORS = np.r_[0:17, 27:36, 36, 39:42, 42, 45:48, 48:60]
# The jaw's landmarks slide along the head as it turns, so they say little about the pose.
_POSE_WEIGHTS = np.where(np.arange(68) < 17, 0.25, 1.0)
_STIFFNESS = 0.02  # of the warp: it smooths what it must not follow to the pixel, such as single noisy landmarks
_REACH = 0.45  # the longest way the warp moves a point, in half face widths: beyond it a landmark is a slip


@dataclass(frozen=True)
class Fit:
    """Where the mean head lies in a photo. `scale` is the number of pixels of half a face's width."""

    scale: float
    rotation: Floats  # (3, 3): rows are the photo's right, down and towards the camera in the head's coordinates
    shift: Floats  # (2,) pixels: where the top of the nose lies
    residuals: Floats  # (len(anchors), 2) pixels: what the pose alone leaves to the warp

    def place(self, points: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """Photo pixels (n, 2) and depths (n,) of head points (n, 3); weights: their pattern points' `warp_weights`."""
        turned = points @ self.rotation.T
        return self.scale * turned[:, :2] + self.shift + weights @ self.residuals, turned[:, 2]

    def facing(self, angles: Floats) -> Floats:
        """How far the head's surface at `angles` around its upright axis looks to the camera, -1..1."""
        return np.sin(angles) * self.rotation[2, 0] + np.cos(angles) * self.rotation[2, 2]


def fit_head(landmarks: Floats) -> Fit:
    """Fits the mean head to landmarks (68, 2) in pixels.

    Raises ConfigError if the landmarks have no extent, so that no face can be placed.
    """
    if not np.ptp(landmarks, axis=0).max() > 1.0:
        raise ConfigError("The 68 landmarks lie within one pixel of each other; a mask needs a face with an extent.")
    scale, rotation, shift = _pose(landmarks)
    posed = scale * (surface.MEAN_FACE @ rotation.T)[:, :2] + shift
    residuals = (landmarks - posed)[_ANCHORS]
    length = np.linalg.norm(residuals, axis=1, keepdims=True)
    limit = _REACH * scale
    return Fit(scale, rotation, shift, residuals * (limit / np.maximum(length, limit)))


def _pose(landmarks: Floats) -> tuple[float, Floats, Floats]:
    """Scale, rotation and shift of the mean face under scaled orthographic projection."""
    weights = _POSE_WEIGHTS / _POSE_WEIGHTS.sum()
    model_centre, centre = weights @ surface.MEAN_FACE, weights @ landmarks
    model, seen = surface.MEAN_FACE - model_centre, landmarks - centre
    root = np.sqrt(weights)[:, None]
    affine = np.linalg.lstsq(root * model, root * seen, rcond=None)[0].T
    u, _, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    scale = _scale(rotation, model, seen, weights)
    for _ in range(6):  # fill in the depths the photo does not show, and align again
        filled = np.column_stack([seen / scale, model @ rotation[2]])
        u, _, vt = np.linalg.svd((filled * weights[:, None]).T @ model)
        rotation = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
        scale = _scale(rotation, model, seen, weights)
    shift: Floats = centre - scale * (rotation @ model_centre)[:2]
    return scale, rotation, shift


def _scale(rotation: Floats, model: Floats, seen: Floats, weights: Floats) -> float:
    flat = (model @ rotation.T)[:, :2]
    scale = float((weights[:, None] * flat * seen).sum() / (weights[:, None] * flat**2).sum())
    spread = math.sqrt(float((weights[:, None] * seen**2).sum() / (weights[:, None] * flat**2).sum()))
    return max(scale, 0.3 * spread)  # landmarks unlike any face still give a size


def _kernel(points: Floats, anchors: Floats) -> Floats:
    """The thin plate's r^2 log r between pattern points (n, 2) and anchors (m, 2)."""
    squared = ((points[:, None] - anchors[None]) ** 2).sum(-1)
    return 0.5 * squared * np.log(np.maximum(squared, 1e-12))


@lru_cache(maxsize=1)
def _anchors() -> tuple[Floats, Floats]:
    """The anchors' pattern points (m, 2), and the matrix (m + 3, m) from their residuals to the plate's terms."""
    anchors = surface.pattern_point(surface.MEAN_FACE[_ANCHORS])
    m = len(anchors)
    affine = np.column_stack([np.ones(m), anchors])
    system = np.zeros((m + 3, m + 3))
    system[:m, :m] = _kernel(anchors, anchors) + _STIFFNESS * np.eye(m)
    system[:m, m:], system[m:, :m] = affine, affine.T
    return anchors, np.linalg.inv(system)[:, :m].astype(np.float64)


def warp_weights(pattern: Floats) -> Floats:
    """(n, m) weights: how much each anchor's residual moves each pattern point (n, 2)."""
    pattern = np.clip(pattern, [-1.4, -0.4], [1.4, 2.1])  # what lies farther back moves with the ears
    anchors, solved = _anchors()
    terms = np.column_stack([_kernel(pattern, anchors), np.ones(len(pattern)), pattern])
    return terms @ solved


@dataclass(frozen=True)
class Mesh:
    """A grid over the pattern's rectangle that carries it onto the face."""

    points: Floats  # (n, 2) pattern points
    triangles: NDArray[np.int64]  # (t, 3) indices into them
    weights: Floats  # (n, m) of the warp


@lru_cache(maxsize=1)
def mesh(left: float, right: float, top: float, bottom: float, columns: int, rows: int) -> Mesh:
    """The grid of columns x rows cells over the rectangle, each cell cut into two triangles, clockwise in the photo."""
    x, y = np.meshgrid(np.linspace(left, right, columns + 1), np.linspace(top, bottom, rows + 1))
    points = np.column_stack([x.ravel(), y.ravel()])
    first = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    below = first + columns + 1
    triangles = np.concatenate(
        [np.column_stack([first, first + 1, below]), np.column_stack([first + 1, below + 1, below])]
    )
    return Mesh(points, triangles, warp_weights(points))
