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
    scale, rotation, shift = pose(_landmarks(), landmarks)
    posed = scale * (surface.MEAN_FACE @ rotation.T)[:, :2] + shift
    residuals = (landmarks - posed)[_ANCHORS]
    length = np.linalg.norm(residuals, axis=1, keepdims=True)
    limit = _REACH * scale
    return Fit(scale, rotation, shift, residuals * (limit / np.maximum(length, limit)))


@dataclass(frozen=True)
class WeightedPoints:
    """Points of the mean head, by which its pose in a photo is found."""

    weights: Floats  # (n,), in sum 1
    centre: Floats  # (3,)
    points: Floats  # (n, 3), about the centre
    moments: Floats  # (3, 3)

    @classmethod
    def of(cls, points: Floats, weights: Floats) -> "WeightedPoints":
        """Of head points (n, 3), not all in a plane, and weights (n,)."""
        weights = weights / weights.sum()
        centre = weights @ points
        about = points - centre
        return cls(weights, centre, about, about.T @ (weights[:, None] * about))


@lru_cache(maxsize=1)
def _landmarks() -> WeightedPoints:
    return WeightedPoints.of(surface.MEAN_FACE, _POSE_WEIGHTS)


def pose(model: WeightedPoints, points: Floats) -> tuple[float, Floats, Floats]:
    """Scale, rotation (3, 3) and shift (2,) of the mean head under scaled orthographic projection, by where the model's
    points are seen, (n, 2)."""
    weights, moments = model.weights, model.moments
    centre = weights @ points
    seen = points - centre
    common = seen.T @ (weights[:, None] * model.points)  # (2, 3)
    extent = float(weights @ (seen**2).sum(axis=1))
    u, _, vt = np.linalg.svd(np.linalg.solve(moments, common.T).T, full_matrices=False)
    rows = u @ vt
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    scale = _scale(rotation, common, moments, extent)
    for _ in range(6):  # fill in the depths the photo does not show, and align again
        u, _, vt = np.linalg.svd(np.vstack([common / scale, rotation[2] @ moments]))
        rotation = u @ vt
        if np.linalg.det(rotation) < 0:  # a mirror image
            u[:, 2] = -u[:, 2]
            rotation = u @ vt
        scale = _scale(rotation, common, moments, extent)
    shift: Floats = centre - scale * (rotation @ model.centre)[:2]
    return scale, rotation, shift


def _scale(rotation: Floats, common: Floats, moments: Floats, extent: float) -> float:
    """Of the best fit; `common` (2, 3) and `extent`: moments of what is seen with the model, and of itself."""
    flat = float((rotation[:2] @ moments * rotation[:2]).sum())
    scale = float((rotation[:2] * common).sum()) / flat
    return max(scale, 0.3 * math.sqrt(extent / flat))  # landmarks unlike any face still give a size


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
