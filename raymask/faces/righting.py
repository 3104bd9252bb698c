"""Faces that YuNet may have found tilted, looked at upright.

YuNet finds faces that lie on their sides or stand on their heads too, but puts the points where they would be on
upright ones. It is surest of a face that is upright: so each doubtful one is looked at in all directions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from raymask.faces.crop import Square
from raymask.faces.turning import roll_of, turned
from raymask.faces.yunet import Yunet

SURE = 0.88
"""Score from which a face is not looked at in all directions."""
LEVEL = 3.0
"""Degrees of roll between YuNet's eyes up to which a face is as good as upright."""
_MORE = 2.5
"""Degrees of roll that there are for each that YuNet sees."""
_KNOWN = 20.0
"""Degrees between YuNet's eyes under which that holds."""
_TURNS = (0, 45, -45, 90, -90, 135, -135, 180)
"""Degrees of roll of the faces that are looked for."""
_GAIN = 0.03
"""By which another direction must be surer than the first."""
_UNDECIDED = 0.08
"""Difference of scores from which the surer direction is the right one."""
_ASIDE = 25.0
"""Degrees to either side of the surest direction, where YuNet's eyes are tilted to one side and to the other."""
_UPRIGHT = 8.0
"""Degrees of roll under which the first look's points are as good."""
_SIDE, _ROUND = 160, 2.5
"""Pixels of a side of what is looked at, and its side over that of the face's box."""
_LEAST = 0.3
"""Score from which a face is one here."""


class Found(NamedTuple):
    """One of `Detections`."""

    box: np.ndarray
    score: float
    points: np.ndarray

    @property
    def roll(self) -> float:
        """Degrees by which the line between the eyes is tilted."""
        return roll_of(self.points)


def righted(yunet: Yunet, photo: np.ndarray, face: Found) -> Found:
    """The face as it is found where it is upright; as it is if it seems upright already, or is not found again."""
    if face.score >= SURE and abs(face.roll) <= LEVEL:
        return face
    side = max(1, round(_ROUND * float((face.box[2:] - face.box[:2]).max())))
    left, top = np.round((face.box[:2] + face.box[2:] - side) / 2).astype(int).tolist()
    cut = Square(left=left, top=top, side=side).cut(photo, _SIDE)
    known = face.score >= SURE and abs(face.roll) < _KNOWN
    near = [_MORE * face.roll] if known else _surest(yunet, cut)
    tried = {roll: _looked_at(yunet, cut, roll)[1] for roll in (_between(yunet, cut, roll) for roll in near)}
    roll, seen = max(tried.items(), key=lambda one: one[1].score)
    if abs(roll) < _UPRIGHT or not seen.score:
        return face
    scale, corner = side / _SIDE, np.array([left, top], np.float32)
    box, points = seen.box * scale + np.tile(corner, 2), seen.points * scale + corner
    return Found(box.astype(np.float32), face.score, points.astype(np.float32))


def _surest(yunet: Yunet, cut: np.ndarray) -> list[float]:
    """Degrees of roll at which YuNet is surest of a face, of _TURNS: one, or two between which it is undecided."""
    scores = {roll: _looked_at(yunet, cut, roll)[0].score + (0.0 if roll else _GAIN) for roll in map(float, _TURNS)}
    best, second = sorted(scores, key=lambda roll: -scores[roll])[:2]
    return [best, second] if scores[best] - scores[second] < _UNDECIDED else [best]


def _between(yunet: Yunet, cut: np.ndarray, roll: float) -> float:
    """Degrees of roll, near those given, at which YuNet's eyes are level."""
    one, other = (_looked_at(yunet, cut, roll + aside)[0] for aside in (-_ASIDE, _ASIDE))
    if not one.score or not other.score or one.roll <= other.roll:
        return roll
    share = min(max(one.roll / (one.roll - other.roll), 0.0), 1.0)
    return roll + _ASIDE * (2 * share - 1)


def _looked_at(yunet: Yunet, cut: np.ndarray, roll: float) -> tuple[Found, Found]:
    """The face in the middle of a square as it is where that is turned by `roll`, there and in the square itself; of
    score 0 if there is none."""
    upright, way = turned(cut, roll, grown=False)
    seen = yunet(upright, least=_SIDE / _ROUND / 3, threshold=_LEAST)
    away = np.abs((seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2 - _SIDE / 2).max(axis=1, initial=0)
    near = np.flatnonzero(away < _SIDE / _ROUND / 2)
    if not len(near):
        nothing = Found(np.zeros(4, np.float32), 0.0, np.zeros((5, 2), np.float32))
        return nothing, nothing
    box, score, points = (one[near[0]] for one in seen)
    return Found(box, float(score), points), Found(way.box_back(box), float(score), way.back(points))
