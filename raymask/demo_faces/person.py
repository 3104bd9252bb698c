"""The identity of an invented person: everything that stays the same from photo to photo."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from raymask.demo_faces.traits import Trait, check, draw

HairStyle = Literal["bald", "crop", "short", "fringe", "tied", "long", "curly"]

_SKEW = {
    "freckles": 3.0,
    "wrinkles": 1.5,
    "redness": 1.5,
    "hair_grey": 3.0,
    "hair_red": 2.5,
    "moles": 3.0,
    "melanin": 1.3,
}

# What tells faces apart most, to people and to networks, is drawn from both ends of its range more often.
_SPREAD = dict.fromkeys(
    [
        "brow_lift",
        "brow_length",
        "brow_thickness",
        "brow_tilt",
        "brow_arch",
        "brow_ridge",
        "eye_spacing",
        "eye_width",
        "eye_tilt",
        "eye_opening",
        "nose_length",
        "nose_width",
        "bridge_height",
        "philtrum",
        "mouth_width",
        "upper_lip",
        "cheek_relief",
        "chin_fullness",
    ],
    0.6,
)

_TENDENCIES = {  # by how much of its range a trait moves when a person is as masculine, as old, as heavy as any
    "face_width": (0.10, 0.0, 0.40),
    "chin_drop": (0.30, 0.10, -0.10),
    "jaw_fullness": (0.30, 0.05, 0.40),
    "chin_fullness": (0.40, 0.0, 0.15),
    "cheek_hollow": (0.10, 0.20, -0.45),
    "cheek_relief": (-0.15, -0.10, -0.30),
    "brow_lift": (-0.35, -0.15, 0.0),
    "brow_thickness": (0.40, -0.10, 0.0),
    "brow_arch": (-0.35, 0.0, 0.0),
    "brow_density": (0.20, -0.25, 0.0),
    "brow_ridge": (0.50, 0.0, 0.0),
    "eye_opening": (-0.35, -0.25, -0.10),
    "eye_depth": (0.25, 0.20, -0.20),
    "lid_fold": (-0.30, 0.0, -0.15),
    "lashes": (-0.50, -0.10, 0.0),
    "eye_bags": (0.10, 0.40, 0.10),
    "nose_length": (0.20, 0.25, 0.0),
    "nose_width": (0.20, 0.10, 0.20),
    "nose_height": (0.20, 0.15, 0.0),
    "bridge_height": (0.25, 0.0, 0.0),
    "tip_width": (0.20, 0.10, 0.15),
    "philtrum": (0.25, 0.25, 0.0),
    "mouth_width": (0.20, 0.0, 0.0),
    "upper_lip": (-0.30, -0.35, 0.10),
    "lower_lip": (-0.25, -0.30, 0.10),
    "lip_colour": (-0.40, -0.15, 0.0),
    "ear_size": (0.15, 0.35, 0.0),
    "wrinkles": (0.05, 0.60, -0.10),
    "hair_grey": (0.0, 0.35, 0.0),
    "hairline": (0.05, 0.20, 0.0),
    "temple_recession": (0.35, 0.30, 0.0),
}
_SHAVEN_SHARE = 0.4
_STYLES: dict[bool, tuple["HairStyle", ...]] = {
    True: ("bald", "crop", "crop", "short", "short", "curly", "long"),
    False: ("short", "fringe", "fringe", "tied", "long", "long", "curly"),
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """An identity. Lengths are in millimetres of a grown-up's head, measured on the face seen from the front.

    Every number has a `Trait` in its annotation: lowest and highest value, unit and meaning. A value outside the
    range raises `raymask.errors.ConfigError`.
    """

    face_width: Annotated[float, Trait(126, 156, "mm", "widest part of the face, cheekbone to cheekbone")]
    chin_drop: Annotated[float, Trait(104, 130, "mm", "from the line through the eyes down to the chin")]
    jaw_fullness: Annotated[float, Trait(0.88, 1.09, "ratio", "width at the corners of the jaw, 1 is average")]
    chin_fullness: Annotated[float, Trait(0.72, 1.28, "ratio", "width of the chin, 1 is average")]
    forehead_width: Annotated[float, Trait(0.93, 1.05, "ratio", "width of the temples over face_width")]
    hairline: Annotated[float, Trait(54, 82, "mm", "from the line through the eyes up to the hair")]
    cheek_relief: Annotated[float, Trait(0, 7, "mm", "how far the cheekbones stand out")]
    cheek_hollow: Annotated[float, Trait(0, 5, "mm", "how far the cheeks below them sink in")]
    brow_lift: Annotated[float, Trait(-3.5, 6, "mm", "height of the brows over their usual place")]
    brow_length: Annotated[float, Trait(0.82, 1.12, "ratio", "length of a brow, 1 is average")]
    brow_thickness: Annotated[float, Trait(3, 10, "mm", "height of the hairy strip")]
    brow_tilt: Annotated[float, Trait(-9, 9, "degrees", "positive: the outer ends are higher")]
    brow_arch: Annotated[float, Trait(-2, 5, "mm", "how much the middle rises over a flat brow")]
    brow_density: Annotated[float, Trait(0.35, 1, "ratio", "how much of the skin the brow hairs cover")]
    brow_darkness: Annotated[float, Trait(0, 1, "ratio", "0: like the hair, 1: nearly black")]
    brow_ridge: Annotated[float, Trait(0, 6, "mm", "how far the bone under the brows stands out")]
    eye_spacing: Annotated[float, Trait(57, 68, "mm", "between the centres of the eyes")]
    eye_width: Annotated[float, Trait(21, 28, "mm", "corner to corner of one eye")]
    eye_opening: Annotated[float, Trait(6.3, 11, "mm", "lid to lid, eyes open as usual")]
    eye_tilt: Annotated[float, Trait(-5, 8, "degrees", "positive: the outer corners are higher")]
    eye_depth: Annotated[float, Trait(1, 9, "mm", "how deep the sockets lie")]
    lid_fold: Annotated[float, Trait(1.2, 6, "mm", "visible lid between the lashes and the fold above them")]
    lashes: Annotated[float, Trait(0, 1, "ratio", "darkness of the line the lashes draw")]
    eye_bags: Annotated[float, Trait(0, 1, "ratio", "shadow under the eyes")]
    iris: Annotated[float, Trait(0, 1, "ratio", "colour: dark brown, brown, hazel, green, blue, grey")]
    nose_length: Annotated[float, Trait(40, 53, "mm", "from the line through the eyes to the base of the nose")]
    nose_width: Annotated[float, Trait(28, 46, "mm", "wing to wing")]
    nose_height: Annotated[float, Trait(15, 27, "mm", "how far the tip stands out")]
    bridge_width: Annotated[float, Trait(5, 10.5, "mm", "half-width of the ridge at the eyes")]
    bridge_height: Annotated[float, Trait(0, 9, "mm", "how far the ridge stands out between the eyes")]
    bridge_curve: Annotated[float, Trait(-3.5, 3.5, "mm", "positive: a hump, negative: a hollow")]
    tip_width: Annotated[float, Trait(6, 11.5, "mm", "half-width of the tip")]
    philtrum: Annotated[float, Trait(14, 22, "mm", "from the base of the nose to the line between the lips")]
    mouth_width: Annotated[float, Trait(44, 63, "mm", "corner to corner, at rest")]
    upper_lip: Annotated[float, Trait(3.5, 10, "mm", "height of the red of the upper lip")]
    lower_lip: Annotated[float, Trait(5, 12.5, "mm", "height of the red of the lower lip")]
    lip_bow: Annotated[float, Trait(0, 3, "mm", "depth of the notch of the upper lip")]
    lip_colour: Annotated[float, Trait(0, 1, "ratio", "0: nearly skin, 1: deep red")]
    ear_size: Annotated[float, Trait(52, 70, "mm", "height of an ear")]
    ear_flare: Annotated[float, Trait(12, 48, "degrees", "angle between ear and head")]
    melanin: Annotated[float, Trait(0, 1, "ratio", "skin from very light to very dark")]
    redness: Annotated[float, Trait(0, 1, "ratio", "red of cheeks and nose")]
    freckles: Annotated[float, Trait(0, 1, "ratio", "share of the most freckles")]
    moles: Annotated[float, Trait(0, 6, "count", "moles, rounded down")]
    wrinkles: Annotated[float, Trait(0, 1, "ratio", "depth of lines on forehead, eyes and cheeks")]
    beard: Annotated[float, Trait(0, 1, "ratio", "0: none, 0.4: stubble, 1: full")]
    beard_spread: Annotated[float, Trait(0, 1, "ratio", "0: around the mouth only, 1: up to the ears")]
    hair_style: HairStyle
    hair_darkness: Annotated[float, Trait(0, 1, "ratio", "0: light blond, 1: black")]
    hair_red: Annotated[float, Trait(0, 1, "ratio", "how reddish the hair is")]
    hair_grey: Annotated[float, Trait(0, 1, "ratio", "share of grey hair")]
    hair_volume: Annotated[float, Trait(3, 18, "mm", "how far the hair stands off the skull")]
    hair_part: Annotated[float, Trait(-1, 1, "ratio", "where the hair parts: right ear, middle, left ear")]
    temple_recession: Annotated[float, Trait(0, 1, "ratio", "how far the hair draws back at the temples")]
    texture_seed: int

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def invent(cls, seed: int) -> "Person":
        """The person of that seed (>= 0): the same seed is the same person on every machine."""
        rng = np.random.default_rng([seed, 0x9E5])
        masculine = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.0))
        age, weight = (float(v) for v in rng.uniform(-1, 1, 2))
        shift = {name: masculine * m + age * a + weight * w for name, (m, a, w) in _TENDENCIES.items()}
        values = draw(cls, rng, skew=_SKEW, gather=_SPREAD, shift=shift)
        # Dark skin goes with dark hair and eyes more often than not; a full independence looks invented.
        values["hair_darkness"] = max(values["hair_darkness"], min(1.0, 1.5 * values["melanin"]))
        values["iris"] *= 1.0 - 0.75 * min(1.0, 1.6 * values["melanin"])
        if masculine < 0 or rng.random() < _SHAVEN_SHARE:
            values["beard"] = 0.0
        styles = _STYLES[masculine > 0]
        style = styles[int(rng.integers(len(styles)))]
        if style == "bald":
            values["temple_recession"] = 1.0
        return cls(**values, hair_style=style, texture_seed=int(rng.integers(2**31)))
