"""The circumstances of one photo: everything about it that is not the person."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from raymask.demo_faces.traits import Trait, check, draw

_SKEW = {"mouth_open": 2.5, "smile": 1.3, "focus_blur": 2.0, "sensor_noise": 2.0}
_GATHER = {"yaw_degrees": 1.35, "pitch_degrees": 1.35, "roll_degrees": 1.35, "light_azimuth": 1.3}


@dataclass(frozen=True, kw_only=True)
class Shot:
    """Pose, light, expression, surroundings and camera of one photo.

    Every number has a `Trait` in its annotation: lowest and highest value, unit and meaning. A value outside the
    range raises `raymask.errors.ConfigError`.
    """

    yaw_degrees: Annotated[float, Trait(-25, 25, "degrees", "positive: the nose turns to the image's right")]
    pitch_degrees: Annotated[float, Trait(-7, 7, "degrees", "positive: the nose rises")]
    roll_degrees: Annotated[float, Trait(-9, 9, "degrees", "positive: clockwise in the image")]
    scale: Annotated[float, Trait(0.76, 0.98, "pixels/mm", "size of the face in an image of 250 pixels")]
    shift_x: Annotated[float, Trait(-0.06, 0.06, "ratio", "of the face from the middle, over the image's width")]
    shift_y: Annotated[float, Trait(-0.04, 0.06, "ratio", "of the face from the middle, over the image's height")]
    light_azimuth: Annotated[float, Trait(-65, 65, "degrees", "positive: light from the image's right")]
    light_elevation: Annotated[float, Trait(8, 46, "degrees", "positive: light from above")]
    light_share: Annotated[float, Trait(0.2, 0.6, "ratio", "directed light over all light, the rest is ambient")]
    temperature: Annotated[float, Trait(-1, 1, "ratio", "colour of the light, -1: blue, 1: orange")]
    tint: Annotated[float, Trait(-1, 1, "ratio", "colour of the light, -1: green, 1: magenta")]
    exposure: Annotated[float, Trait(-1.2, 0.8, "stops", "brightness of the photo")]
    saturation: Annotated[float, Trait(0.45, 1.25, "ratio", "strength of the colours, 0 would be grey")]
    smile: Annotated[float, Trait(-0.15, 1, "ratio", "negative: corners of the mouth down")]
    mouth_open: Annotated[float, Trait(0, 1, "ratio", "of 14 mm between the lips")]
    brow_raise: Annotated[float, Trait(-0.5, 0.8, "ratio", "of 4 mm, negative: frown")]
    eye_openness: Annotated[float, Trait(0.65, 1.12, "ratio", "of the person's usual opening")]
    gaze_x: Annotated[float, Trait(-1, 1, "ratio", "of 2.5 mm, positive: to the image's right")]
    gaze_y: Annotated[float, Trait(-1, 1, "ratio", "of 1.2 mm, positive: down")]
    focus_blur: Annotated[float, Trait(0.3, 1.2, "pixels", "standard deviation at 250 pixels")]
    sensor_noise: Annotated[float, Trait(0, 5, "levels", "standard deviation, of 255 levels")]
    scene_seed: int

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def invent(cls, seed: int) -> "Shot":
        """The shot of that seed (>= 0): the same seed is the same shot on every machine.

        `scene_seed` chooses the background, the clothes and the grain of the sensor's noise.
        """
        rng = np.random.default_rng([seed, 0x5407])
        return cls(**draw(cls, rng, skew=_SKEW, gather=_GATHER), scene_seed=int(rng.integers(2**31)))
