"""Where a worn mask lies in the photo: its mesh, its straps and the window they reach."""

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from raymask.faces.masks import shapes, surface
from raymask.faces.masks.fit import Fit, Mesh, mesh, warp_weights
from raymask.faces.masks.kinds.mask_kind import MaskKind, Worn
from raymask.faces.masks.looks import Wear

Floats = NDArray[np.float64]

COLUMNS, ROWS = 18, 14  # cells of the mesh
_COARSE = 25  # pixels for half a face, enough to tell which cells hold a part of the mask


@dataclass(frozen=True)
class Placed:
    """A mask's mesh and straps in the photo's pixels, and the part of the photo they reach."""

    vertices: Floats  # (n, 2)
    depths: Floats  # (n,), larger is nearer
    normals: Floats  # (n, 3): the photo's right, down, and towards the camera
    triangles: NDArray[np.int64]  # (t, 3): those that carry a part of the mask
    straps: list[tuple[Floats, float]]  # paths (m, 2) and widths
    window: tuple[int, int, int, int]  # x0, y0, x1, y1


def grid() -> Mesh:
    """The mesh over the flat pattern's rectangle."""
    return mesh(shapes.LEFT, shapes.RIGHT, shapes.TOP, shapes.BOTTOM, COLUMNS, ROWS)


def place(fit: Fit, wear: Wear, shape: tuple[int, ...]) -> Placed | None:
    """Puts the mask onto the face in a photo of `shape` (H, W, ...); None where no part of it lies in the photo."""
    flat = grid()
    worn = flat.points * [wear.widen, wear.stretch] + [0.0, wear.raise_by + 0.3 * (1 - wear.stretch)]
    worn[:, 1] += wear.tilt * worn[:, 0]
    weights = flat.weights
    if wear.worn:  # the face that it meets is another part than where the pattern lies
        worn[:, 1] = surface.worn_height(worn[:, 1], wear.worn)
        weights = warp_weights(worn)
    vertices, depths = fit.place(surface.mask(wear.kind.stand_off, wear.worn, worn), weights)
    normals = _normals(wear.kind, wear.worn) @ fit.rotation.T
    straps = _visible_straps(fit, wear)
    triangles, used = _used(wear.kind)
    reach = np.concatenate([vertices[used], *(path for path, _ in straps)])
    margin = 0.05 * fit.scale + 3  # straps, shadow and blur
    limit = [shape[1], shape[0]]
    x0, y0 = (int(v) for v in np.clip(np.floor(reach.min(axis=0) - margin), 0, limit))
    x1, y1 = (int(v) for v in np.clip(np.ceil(reach.max(axis=0) + margin), 0, limit))
    if x1 <= x0 or y1 <= y0:
        return None
    return Placed(vertices, depths, normals, triangles, straps, (x0, y0, x1, y1))


@lru_cache(maxsize=32)
def _normals(kind: MaskKind, worn: Worn) -> Floats:
    """(n, 3) of the mesh's points on a mask that is neither wide nor tilted, which hardly matters to them."""
    flat = grid().points.copy()
    flat[:, 1] = surface.worn_height(flat[:, 1], worn)
    return surface.normals(partial(surface.mask, kind.stand_off, worn), flat)


@lru_cache(maxsize=16)
def _used(kind: MaskKind) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The mesh's triangles (t, 3) that carry a part of the mask's flat drawing, and the vertices they use."""
    flat = grid()
    x, y = shapes.plane(_COARSE)
    inside = shapes.pattern(kind, 0, _COARSE).alpha > 0
    # A triangle is kept where its cell, widened by a pixel of this small drawing, holds a pixel of the mask.
    cell = np.array([(shapes.RIGHT - shapes.LEFT) / COLUMNS, (shapes.BOTTOM - shapes.TOP) / ROWS])
    pixels = np.column_stack([x[inside], y[inside]])
    middles = (flat.points[flat.triangles].max(axis=1) + flat.points[flat.triangles].min(axis=1)) / 2
    near = np.abs(middles[:, None] - pixels[None]) <= cell / 2 + 1 / _COARSE
    triangles = flat.triangles[np.any(np.all(near, axis=-1), axis=1)]
    return triangles, np.unique(triangles)


@lru_cache(maxsize=16)
def _strap_weights(kind: MaskKind) -> tuple[Floats, ...]:
    return tuple(warp_weights(strap.path) for strap in kind.straps)


def _visible_straps(fit: Fit, wear: Wear) -> list[tuple[Floats, float]]:
    """The parts of the straps that face the camera, as paths in pixels with widths in pixels."""
    visible = []
    for strap, weights in zip(wear.kind.straps, _strap_weights(wear.kind), strict=True):
        path = strap.path + np.array([0.0, wear.raise_by])
        if wear.worn:  # from where its corner lies now to the same ear
            path[:, 1] += (surface.worn_height(path[0, 1], wear.worn) - path[0, 1]) * np.linspace(1, 0, len(path))
            weights = warp_weights(path)
        pixels, _ = fit.place(surface.head(path), weights)
        hidden = np.flatnonzero(fit.facing(path[:, 0]) < 0.05)
        end = int(hidden[0]) if len(hidden) else len(path)
        if end > 3:
            visible.append((pixels[:end], strap.width * fit.scale))
    return visible
