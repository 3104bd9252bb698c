"""What kinds are drawn with: curves, straps, lines and stitches over the flat pattern."""

from collections.abc import Sequence

import numpy as np

from raymask.faces.masks.kinds.mask_kind import Array, Floats, Limb, Strap

Point = tuple[float, float]


def closed_curve(half: Sequence[Point]) -> Floats:
    """(n, 2): a smooth closed curve through control points of one half and their mirror image.

    half: from the bridge of the nose over the cheek to under the chin.
    """
    side = np.array(half)
    whole = np.concatenate([side, (side * [-1, 1])[-2:0:-1]])
    # Catmull-Rom spline with eight points a piece
    t = np.arange(8)[:, None] / 8
    pieces = []
    for k in range(len(whole)):
        a, b, c, d = (whole[(k + j) % len(whole)] for j in (-1, 0, 1, 2))
        pieces.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate(pieces)


def strap(width: float, *points: Point) -> Strap:
    """A band along a smooth path through pattern points, on the right side of the head."""
    knots = np.array(points)
    t, fine = np.linspace(0, 1, len(knots)), np.linspace(0, 1, 17)
    curve = np.stack([np.interp(fine, t, knots[:, k]) for k in (0, 1)], axis=1)
    curve[1:-1] = (curve[:-2] + 2 * curve[1:-1] + curve[2:]) / 4
    return Strap(curve, width)


def both_sides(*right: Strap) -> tuple[Strap, ...]:
    """These and their mirror images."""
    return tuple(Strap(band.path * [sign, 1], band.width) for sign in (1, -1) for band in right)


def ear_loops(high: float, low: float, width: float) -> tuple[Strap, ...]:
    """Straps that begin at two heights and end at the ears."""
    return both_sides(
        strap(width, (1.00, high), (1.20, high - 0.16), (1.40, high - 0.32), (1.54, 0.10)),
        strap(width, (1.00, low), (1.20, low - 0.08), (1.38, low - 0.24), (1.52, 0.52)),
    )


def line(distance: Array, width: float, pixel: float) -> Array:
    """1 on a line, falling off over about `width` units, never thinner than the pixels can show."""
    return np.exp(-((distance / max(width, 0.8 * pixel)) ** 2))


def stitches(distance: Array, along: Array, pixel: float) -> Array:
    """A dashed thread line at `distance` 0."""
    dashes = np.clip(np.sin(along * 130.0) * 2.5 + 1.2, 0, 1)
    return line(distance, 0.008, pixel) * dashes


def rows(outline: Floats, x: Array, y: Array) -> tuple[Array, Array]:
    """For each pixel its relative height 0 (top edge) to 1 (bottom edge), and the mask's height there in units."""
    half = len(outline) // 2  # the curve runs nose -> right -> chin -> left
    corner = int(np.argmax(outline[: half + 1, 0]))
    upper, lower = outline[: corner + 1], outline[corner : half + 1][::-1]
    across = np.abs(x[0])
    top = np.interp(across, np.maximum.accumulate(upper[:, 0]), upper[:, 1])
    bottom = np.interp(across, np.maximum.accumulate(lower[:, 0]), lower[:, 1])
    tall = np.maximum(bottom - top, 0.05).astype(np.float32)
    return (y - top.astype(np.float32)) / tall, np.broadcast_to(tall, x.shape)


def limb_distances(limbs: Sequence[Limb], x: Array, y: Array) -> list[tuple[Array, Array, float]]:
    """Of each limb the distances to its line, how far along it they lie, 0 to 1, and half its width."""
    found: list[tuple[Array, Array, float]] = []
    for x0, y0, x1, y1, half in limbs:
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
        found.append((np.hypot(x - x0 - along * dx, y - y0 - along * dy), along, half))
    return found
