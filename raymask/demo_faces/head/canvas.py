"""A flat picture of the face seen from the front, in linear light, on which features are painted in millimetres."""

from dataclasses import dataclass

import cv2
import numpy as np

from raymask.demo_faces.arrays import Array, Image
from raymask.demo_faces.head.form import smooth_curve

HALF_WIDTH, ABOVE, BELOW = 90.0, 126.0, 146.0
"""What a canvas covers, in millimetres beside, above and below the point between the eyes."""

_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Canvas:
    """`image` (H, W, 3) float32 reflectance in linear light, 0 to 1; `density` in pixels a millimetre."""

    image: Array
    density: float

    @classmethod
    def blank(cls, density: float, colour: tuple[float, float, float] | Array) -> "Canvas":
        """A canvas of one colour."""
        shape = (round((ABOVE + BELOW) * density), round(2 * HALF_WIDTH * density), 3)
        return cls(image=np.broadcast_to(np.asarray(colour, np.float32), shape).copy(), density=density)

    def copy(self) -> "Canvas":
        """A canvas that can be painted on without changing this one."""
        return Canvas(image=self.image.copy(), density=self.density)

    def pixels(self, points: Array) -> Array:
        """(..., 2) places in mm to (..., 2) pixels of the canvas."""
        return (np.asarray(points, np.float64) + np.array([HALF_WIDTH, ABOVE])) * self.density - 0.5

    def region(self, points: Array, margin: float) -> tuple[slice, slice]:
        """Rows and columns of the canvas around `points` (N, 2) in mm, with `margin` mm on every side."""
        low = np.floor(self.pixels(points.min(0) - margin)).astype(int)
        high = np.ceil(self.pixels(points.max(0) + margin)).astype(int) + 1
        height, width = self.image.shape[:2]
        low = np.clip(low, 0, (width - 1, height - 1))
        high = np.clip(high, low + 1, (width, height))
        return slice(low[1], high[1]), slice(low[0], high[0])

    def coverage(self, outline: Array, region: tuple[slice, slice], soft: float) -> Array:
        """(h, w) share of each pixel of `region` inside the polygon `outline` (N, 2) mm, blurred by `soft` mm."""
        mask = np.zeros((region[0].stop - region[0].start, region[1].stop - region[1].start), np.uint8)
        corner = (region[1].start, region[0].start)
        fixed = np.round((self.pixels(outline) - corner) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
        return self._softened(mask, soft)

    def line_coverage(self, path: Array, width: float, region: tuple[slice, slice], soft: float) -> Array:
        """(h, w) share of each pixel of `region` on the line `path` (N, 2) mm that is `width` mm wide."""
        mask = np.zeros((region[0].stop - region[0].start, region[1].stop - region[1].start), np.uint8)
        corner = (region[1].start, region[0].start)
        fixed = np.round((self.pixels(path) - corner) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        thickness = max(1, round(width * self.density))
        cv2.polylines(mask, [fixed], False, 255, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
        return self._softened(mask, soft)

    def blend(self, region: tuple[slice, slice], colour: Array, alpha: Array) -> None:
        """Lay `colour`, (3,) or (h, w, 3), over `region` with opacity `alpha` (h, w)."""
        patch = self.image[region]
        patch += (np.asarray(colour, np.float32) - patch) * alpha[..., None]

    def shade(self, region: tuple[slice, slice], factor: Array, alpha: Array) -> None:
        """Multiply `region` by `factor` (3,), as far as `alpha` (h, w) goes."""
        self.image[region] *= 1.0 + (np.asarray(factor, np.float32) - 1.0) * alpha[..., None]

    def fill(self, outline: Array, colour: Array, *, opacity: float = 1.0, soft: float = 0.0) -> None:
        """Paint the inside of `outline` (N, 2) mm."""
        region = self.region(outline, 3 * soft + 1)
        self.blend(region, colour, opacity * self.coverage(outline, region, soft))

    def darken(self, outline: Array, factor: Array, *, opacity: float = 1.0, soft: float = 0.0) -> None:
        """Multiply the inside of `outline` (N, 2) mm by `factor` (3,)."""
        region = self.region(outline, 3 * soft + 1)
        self.shade(region, factor, opacity * self.coverage(outline, region, soft))

    def crease(self, path: Array, width: float, factor: Array, *, opacity: float = 1.0, soft: float = 0.0) -> None:
        """Multiply a line along `path` (N, 2) mm by `factor` (3,)."""
        region = self.region(path, 3 * soft + width + 1)
        self.shade(region, factor, opacity * self.line_coverage(path, width, region, soft))

    def _softened(self, mask: Image, soft: float) -> Array:
        if soft * self.density > 0.3:
            mask = cv2.GaussianBlur(mask, (0, 0), soft * self.density)
        return mask.astype(np.float32) / 255.0


def spline(points: Array, steps: int = 8) -> Array:
    """A smooth open path through `points` (N, 2), with `steps` places to each stretch."""
    knots = np.arange(len(points), dtype=np.float64)
    at = np.linspace(0, len(points) - 1, (len(points) - 1) * steps + 1)
    return np.stack([smooth_curve(at, knots, points[:, 0]), smooth_curve(at, knots, points[:, 1])], 1)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0.0) -> Array:
    """(32, 2) outline of an ellipse, turned clockwise."""
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    across, down = radius_x * np.cos(t), radius_y * np.sin(t)
    turn = np.radians(degrees)
    turned_x, turned_y = across * np.cos(turn) - down * np.sin(turn), across * np.sin(turn) + down * np.cos(turn)
    return np.stack([x + turned_x, y + turned_y], 1)
