"""Where the features of a face lie, seen from the front: millimetres, x right, y down, origin between the eyes."""

from dataclasses import dataclass

import numpy as np

from raymask.demo_faces.arrays import Array
from raymask.demo_faces.person import Person
from raymask.demo_faces.shot import Shot

TOP = -118.0
"""Height of the top of the skull, in millimetres."""

_LIP_GAP = 14.0  # mm between the lips of a mouth that is fully open
_JAW_SHARE = 0.75  # of that gap which the chin goes down by; the rest comes from the upper lip


@dataclass(frozen=True)
class Layout:
    """The features of one person with one expression.

    `features` is (51, 2): landmarks 17 to 67 of the 68 iBUG ones, brows to mouth. `chin` is the height of the chin,
    `gap` the opening between the lips, both in millimetres; `smile` is the shot's.
    """

    features: Array
    chin: float
    gap: float
    smile: float

    def point(self, landmark: int) -> Array:
        """(2,) place of one landmark, numbered 17 to 67."""
        return self.features[landmark - 17]

    def points(self, first: int, last: int) -> Array:
        """(last - first + 1, 2) places of a run of landmarks, numbered 17 to 67."""
        return self.features[first - 17 : last - 16]


def lay_out(person: Person, shot: Shot) -> Layout:
    """Place the features of `person` with the expression of `shot`."""
    gap = _LIP_GAP * shot.mouth_open
    right_brow, right_eye = _brow(person, shot), _eye(person, shot)
    left = np.array([-1.0, 1.0])
    features = np.concatenate(
        [
            (right_brow * left)[::-1],
            right_brow,
            _nose(person, shot),
            (right_eye * left)[[3, 2, 1, 0, 5, 4]],
            right_eye,
            _mouth(person, shot, gap),
        ]
    )
    chin = person.chin_drop + _JAW_SHARE * gap
    return Layout(features=features.astype(np.float32), chin=chin, gap=gap, smile=shot.smile)


def _brow(person: Person, shot: Shot) -> Array:
    """(5, 2) brow on the image's right, inner end first."""
    x = np.array([12.0, 23.5, 36.0, 48.0, 57.0])
    x = 12.0 + (x - 12.0) * person.brow_length + 0.35 * (person.eye_spacing - 62.0)
    arch = np.array([0.0, 0.7, 1.0, 0.6, -0.4])
    y = np.array([-16.5, -20.0, -21.0, -18.5, -12.5]) - person.brow_arch * arch
    y -= np.tan(np.radians(person.brow_tilt)) * (x - 34.0) + person.brow_lift
    raised = np.array([0.8, 1.0, 1.0, 0.9, 0.6]) if shot.brow_raise > 0 else np.array([1.0, 0.8, 0.4, 0.2, 0.0])
    y -= 4.0 * shot.brow_raise * raised
    return np.stack([x, y], 1)


def _eye(person: Person, shot: Shot) -> Array:
    """(6, 2) eye on the image's right, inner corner first, over the upper lid and back along the lower one."""
    half = person.eye_width / 2
    opening = person.eye_opening * shot.eye_openness * (1.0 - 0.12 * max(shot.smile, 0.0))
    x = np.array([-half, -0.38 * half, 0.40 * half, half, 0.40 * half, -0.36 * half])
    y = np.array([0.4, -0.58 * opening, -0.56 * opening, -0.2, 0.37 * opening, 0.40 * opening])
    angle = np.radians(person.eye_tilt)
    turned_x = x * np.cos(angle) + y * np.sin(angle)
    turned_y = y * np.cos(angle) - x * np.sin(angle)
    return np.stack([turned_x + person.eye_spacing / 2, turned_y + 0.4], 1)


def _nose(person: Person, shot: Shot) -> Array:
    """(9, 2) bridge from top to tip, then the base from the image's left to its right."""
    base = person.nose_length - 0.6 * max(shot.smile, 0.0)
    tip = base - 12.5
    bridge = np.stack([np.zeros(4), np.linspace(-3.0, tip, 4)], 1)
    half = 0.39 * person.nose_width + 0.8 * max(shot.smile, 0.0)
    under = np.array([[-1.0, -4.4], [-0.52, -2.0], [0.0, 0.0], [0.52, -2.0], [1.0, -4.4]]) * [half, 1.0] + [0.0, base]
    return np.concatenate([bridge, under])


def _mouth(person: Person, shot: Shot, gap: float) -> Array:
    """(20, 2) outer then inner contour of the lips, each from the corner on the image's left over the top."""
    smile = shot.smile
    line = person.nose_length + person.philtrum - 1.0 * smile
    up, low = gap * (1.0 - _JAW_SHARE), gap * _JAW_SHARE
    half = person.mouth_width / 2 + 4.5 * smile - 0.12 * gap
    corner = line - 3.5 * smile + 0.35 * gap
    upper = person.upper_lip * (1.0 - 0.2 * max(smile, 0.0))
    lower = person.lower_lip * (1.0 - 0.12 * max(smile, 0.0))
    bow = person.lip_bow
    top = [(-0.62, 0.66, 0.0), (-0.25, 1.0, 0.0), (0.0, 1.0, bow), (0.25, 1.0, 0.0), (0.62, 0.66, 0.0)]
    bottom = [(0.64, 0.62), (0.29, 0.94), (0.0, 1.0), (-0.29, 0.94), (-0.64, 0.62)]

    def lifted(share: float) -> float:
        """How much of the corner's rise a point at that share of the half-width joins in."""
        return (corner - line) * share**2

    outer = [(-half, corner)]
    outer += [(s * half, line - up * (1 - s * s) - upper * h + dip + lifted(abs(s))) for s, h, dip in top]
    outer += [(half, corner)]
    outer += [(s * half, line + low * (1 - s * s) + lower * h + lifted(abs(s))) for s, h in bottom]
    inner = [(-0.86 * half, corner + 0.1)]
    inner += [(s * half, line - up * (1 - s * s) + lifted(abs(s))) for s in (-0.28, 0.0, 0.28)]
    inner += [(0.86 * half, corner + 0.1)]
    inner += [(s * half, line + low * (1 - s * s) + 0.4 + lifted(abs(s))) for s in (0.28, 0.0, -0.28)]
    return np.array(outer + inner)
