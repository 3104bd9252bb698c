"""The mask as a picture of its own: fabric in the face's light, carried onto the face, with its straps."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from raymask.faces.masks import raster, shapes, textures
from raymask.faces.masks.fit import Fit
from raymask.faces.masks.light import LUMA, FaceLight
from raymask.faces.masks.looks import Wear
from raymask.faces.masks.place import COLUMNS, ROWS, Placed, grid

Floats = NDArray[np.float64]
Image = NDArray[np.float32]

_FINE = 110.0  # half a face of fewer pixels is drawn at twice its size and averaged
_LEVELS = (25, 50, 100, 200, 400)  # sizes in which patterns are kept, pixels for half a face
FROM_ABOVE = np.array([0.0, -0.4])  # the light along the face that shows folds where the photo shows no gradient
_FOLDS = 1.6  # how strongly folds take the light
_METAL = 0.63
_BRIGHTEST = 0.975  # fabric does not clip


def render(placed: Placed, fit: Fit, wear: Wear, light: FaceLight) -> Image:
    """The mask and its straps over the window: (h, w, 4) float32, colour (0..1, times cover) and cover (0..1)."""
    x0, y0, x1, y1 = placed.window
    fine = 2 if fit.scale < _FINE else 1
    size = ((x1 - x0) * fine, (y1 - y0) * fine)
    ppu = next((level for level in _LEVELS if level >= 0.7 * fit.scale * fine), _LEVELS[-1])
    flat = _lit_pattern(placed, fit, wear, light, ppu)
    vertices = (placed.vertices - [x0, y0] + 0.5) * fine - 0.5
    sources = (grid().points - [shapes.LEFT, shapes.TOP]) * ppu - 0.5
    map_x, map_y = raster.pattern_maps(vertices, placed.depths, sources, placed.triangles, size)
    layer: Image = cv2.remap(flat, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    if placed.straps:
        layer = _over_straps(layer, placed, wear, light, fine)
    if fine > 1:
        layer = cv2.resize(layer, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return layer


def _lit_pattern(placed: Placed, fit: Fit, wear: Wear, light: FaceLight, ppu: int) -> Image:
    """The flat pattern in its colours and in the face's light: (h, w, 4) float32, colour times cover, and cover."""
    drawn = shapes.pattern(wear.kind, wear.creases, ppu)
    shade = _shade(placed, fit, wear, light, drawn)
    strength = np.sqrt(light.gain)
    fabric = _painted(wear, light, strength, ppu, shade) if wear.picture is None else _own(wear, light, strength, ppu)
    # Light is the square of what the photo shows, so colour and shade are multiplied as roots.
    np.sqrt(shade, out=shade)
    planes = []
    for channel, plane in enumerate(fabric):
        if drawn.metal is not None:
            plane += drawn.metal * (np.float32(_METAL * strength[channel]) - plane)
        plane *= shade
        np.minimum(plane, np.float32(_BRIGHTEST), out=plane)
        plane *= drawn.alpha
        planes.append(plane)
    return cv2.merge([*planes, drawn.alpha])


def _painted(wear: Wear, light: FaceLight, strength: Floats, ppu: int, shade: Image) -> list[Image]:
    """A painted fabric's red, green and blue in a light of `strength` (3,), three (h, w); its threads go to `shade`."""
    first, second, threads = textures.paint(wear.texture, wear.variant, ppu)
    if wear.flip_texture:
        first, second, threads = (cv2.flip(layer, 1) for layer in (first, second, threads))
    shade *= threads
    shade *= np.float32(1 / textures.EVEN)
    planes = []
    for ground, one, two in (dyed(wear, light) * strength).T.tolist():
        shares = (one - ground) / 255, (two - ground) / 255
        planes.append(cv2.addWeighted(first, shares[0], second, shares[1], ground, dtype=cv2.CV_32F))
    return planes


def _own(wear: Wear, light: FaceLight, strength: Floats, ppu: int) -> Sequence[Image]:
    """The same of a user's own picture."""
    assert wear.picture is not None
    tile = wear.picture.tile(ppu)
    if wear.flip_texture:
        tile = cv2.flip(tile, 1)
    return cv2.split(cv2.transform(tile.astype(np.float32), _toned(light) * strength[:, None] / 255))


def _shade(placed: Placed, fit: Fit, wear: Wear, light: FaceLight, drawn: shapes.Pattern) -> Image:
    """Factor on the fabric's light, (h, w) float32: the mask's round shape, then its folds and creases."""
    normals = placed.normals
    shape = (1.0 + normals[:, :2] @ light.gradient) * (0.68 + 0.32 * np.clip(normals[:, 2], 0, 1))
    shape = np.clip(shape, 0.2, 1.8).reshape(ROWS + 1, COLUMNS + 1).astype(np.float32)
    towards = (light.gradient @ fit.rotation[:2, :2] + FROM_ABOVE) * _FOLDS
    if wear.flip_creases:
        towards[0] = -towards[0]
    relief: Image = cv2.addWeighted(drawn.slope_x, -float(towards[0]), drawn.slope_y, -float(towards[1]), 1.0)
    np.maximum(relief, np.float32(0.62), out=relief)
    np.minimum(relief, np.float32(1.3), out=relief)
    relief *= drawn.shade
    if wear.flip_creases:
        relief = cv2.flip(relief, 1)
    relief *= cv2.resize(shape, relief.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return relief


def dyed(wear: Wear, light: FaceLight) -> Floats:
    """The three colours (3, 3) of the fabric with as much chroma as the photo has, 0..1, before its light; of bare
    skin those of the face."""
    if wear.kind.skin:
        return np.array(wear.palette) / wear.palette[0] * np.sqrt(light.skin / light.gain)
    colours = np.clip(np.array(wear.palette) / 255.0 * wear.tint, 0, 1)
    return colours @ _toned(light).T


def _toned(light: FaceLight) -> Floats:
    """(3, 3): takes a colour to one with as much chroma as the photo has."""
    chroma = 0.9 * light.chroma
    return (1 - chroma) * np.tile(LUMA, (3, 1)) + chroma * np.eye(3)


def _over_straps(layer: Image, placed: Placed, wear: Wear, light: FaceLight, fine: int) -> Image:
    """Lays `layer` over the straps: round bands, darker at their edges, drawn at `fine` times the photo's size."""
    x0, y0 = placed.window[:2]
    cover, core = np.zeros(layer.shape[:2], np.uint8), np.zeros(layer.shape[:2], np.uint8)
    for path, width in placed.straps:
        points = np.round(((path - [x0, y0] + 0.5) * fine - 0.5) * 16).astype(np.int32)
        for canvas, share in ((cover, 1.0), (core, 0.55)):
            thickness = max(1, round(width * share * fine))
            for left_out, value in ((0, 90), (1, 170), (2, 255)):  # the band fades where it goes behind the ear
                piece = points[: len(points) - left_out]
                cv2.polylines(canvas, [piece], False, value, thickness, cv2.LINE_AA, 4)
    if wear.kind.skin:  # an arm is round
        width = placed.straps[0][1] * fine
        core = cv2.GaussianBlur(core, (0, 0), 0.16 * width)
    ground = dyed(wear, light)[0]
    luma = float(ground @ LUMA)
    pale = wear.kind.elastic and luma >= 0.35
    band = 0.4 * ground + 0.6 * luma if pale else ground
    lit = np.sqrt(np.clip(band**2 * light.gain * 0.8, 0, 0.95))
    free = cv2.multiply(cover, 1.0 - layer[..., 3], scale=1 / 255, dtype=cv2.CV_32F)
    shaded = cv2.multiply(core, free, scale=0.28 / 255, dtype=cv2.CV_32F)
    shaded += free * np.float32(0.72)
    return cv2.add(layer, cv2.merge([*(shaded * np.float32(c) for c in lit), free]))
