"""Light on surfaces, and the way from linear light to the 8-bit values of a photo."""

from dataclasses import dataclass

import numpy as np

from raymask.demo_faces.arrays import Array, Image
from raymask.demo_faces.shot import Shot

_TABLE_STEPS = 4096
_TABLE_MAX = 2.5  # linear light beyond which a photo is white
_KNEE = 0.45  # linear light above which a photo compresses differences
_KEY_STRENGTH = 1.9  # of light at right angles, against ambient light of 1
_USUAL_SKIN, _AUTO_EXPOSURE = 0.36, 0.6  # reflectance that needs no correction; share of the stops corrected
_WRAP = np.array([0.34, 0.20, 0.15], np.float32)  # light that scatters around in skin, red furthest


@dataclass(frozen=True)
class Light:
    """Light in the camera's frame: `direction` (3,) towards it, `key` and `ambient` (3,) colours."""

    direction: Array
    key: Array
    ambient: Array

    def diffuse(self, normals: Array, openness: Array) -> Array:
        """(H, W, 3) light that surfaces with `normals` receive; `openness` (H, W) in 0 to 1 is what is not hidden."""
        toward = (normals @ self.direction)[..., None]
        lit = np.clip((toward + _WRAP) / (1.0 + _WRAP), 0.0, 1.0)
        overhead = 0.78 - 0.22 * normals[..., 1:2]
        shadow = (0.35 + 0.65 * openness)[..., None]
        return (self.ambient * overhead * openness[..., None] + self.key * lit * shadow).astype(np.float32)

    def shine(self, normals: Array, sharpness: float) -> Array:
        """(H, W) mirror-like part of the key light, seen from the camera, 0 to 1."""
        halfway = self.direction + np.array([0.0, 0.0, 1.0])
        halfway /= np.linalg.norm(halfway)
        return np.power(np.clip(normals @ halfway, 0.0, 1.0), sharpness).astype(np.float32)


def light_of(shot: Shot, skin: Array) -> Light:
    """The light of `shot` on a face whose skin has reflectance `skin` (3,).

    As cameras do, part of the difference between light and dark faces is exposed away.
    """
    azimuth, elevation = np.radians([shot.light_azimuth, shot.light_elevation])
    direction = np.array([np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    warm = np.power(np.array([1.36, 1.0, 0.66]), shot.temperature) * np.power(np.array([1.09, 0.92, 1.09]), shot.tint)
    level = 2.0**shot.exposure * (_USUAL_SKIN / float(skin.mean())) ** _AUTO_EXPOSURE
    cooler = np.power(np.array([0.94, 1.0, 1.08]), shot.light_share)
    return Light(
        direction=direction.astype(np.float32),
        key=(_KEY_STRENGTH * shot.light_share * level * warm).astype(np.float32),
        ambient=((1.12 - shot.light_share) * level * warm * cooler).astype(np.float32),
    )


def _tone_table() -> Image:
    linear = np.linspace(0.0, _TABLE_MAX, _TABLE_STEPS)
    # Straight up to a knee, then a shoulder that keeps highlights from burning out, then the usual gamma.
    over = np.clip(linear - _KNEE, 0.0, None)
    rolled = np.minimum(linear, _KNEE) + (1.0 - _KNEE) * (1.0 - np.exp(-over / (1.0 - _KNEE)))
    return np.round(255.0 * np.power(rolled, 1 / 2.2)).astype(np.uint8)


_TABLE = _tone_table()


def develop(linear: Array) -> Image:
    """Linear light (..., 3) to 8-bit values of a photo."""
    steps = np.minimum(linear * np.float32((_TABLE_STEPS - 1) / _TABLE_MAX), _TABLE_STEPS - 1).astype(np.uint16)
    return np.take(_TABLE, steps)
