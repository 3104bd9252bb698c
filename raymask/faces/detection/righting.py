"""Faces that YuNet may have found tilted, looked at upright.

YuNet finds faces that lie on their sides or stand on their heads too, but puts the points where they would be on
upright ones. It is surest of a face that is upright: so each doubtful one is looked at in all directions.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from raymask.faces.detection.turning import roll_of, turned
from raymask.faces.detection.yunet import Yunet
from raymask.faces.face import overlap

SURE = 0.88
"""Score from which a face is not looked at in other directions."""
_TURNS = (0, 45, -45, 90, -90, 135, -135, 180)
"""Degrees of roll of the faces that are looked for."""
_UNDECIDED = 0.08
"""Difference of scores from which the surer direction is the right one."""
_ASIDE = 25.0
"""Degrees to either side of the surest direction, where YuNet's eyes are tilted to one side and to the other."""
_GAIN = 0.04
"""By which YuNet must be surer of the face where it is upright: on close-ups, other directions are nearly as good."""
_LEVEL = 5.0
"""Degrees of roll between YuNet's eyes, at most, where a face is upright."""
_SIDE, _ROUND = 160, 2.5
"""Pixels of a side of what is looked at, and its side over that of the face's box."""
_SAME = 0.5
"""Intersection over union with the box that it had from which it is the same face, and not a larger one beside it."""
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
    """The face as it is found where it is upright; as it is if YuNet is not clearly surer of it there.

    Args:
        yunet: looks at it some twelve times, in a square of 160 pixels.
        photo: (H, W, 3) uint8 RGB.
        face: in pixels of the photo.
    """
    if face.score >= SURE:
        return face
    side = max(1, round(_ROUND * float((face.box[2:] - face.box[:2]).max())))
    scale, corner = side / _SIDE, np.round((face.box[:2] + face.box[2:] - side) / 2)
    cut = _cut(photo, corner, scale)
    tried = [_looked_at(yunet, cut, _between(yunet, cut, roll)) for roll in _surest(yunet, cut)]
    upright, seen = max(tried, key=lambda one: one[0].score)
    if upright.score < face.score + _GAIN or abs(upright.roll) > _LEVEL:
        return face
    box, points = seen.box * scale + np.tile(corner, 2), seen.points * scale + corner
    if overlap(box, face.box) < _SAME:
        return face
    return Found(box.astype(np.float32), face.score, points.astype(np.float32))


def _cut(photo: np.ndarray, corner: np.ndarray, scale: float) -> np.ndarray:
    """A square of the photo, (_SIDE, _SIDE, 3), from that corner on, shrunk by `scale`; black outside the photo, for in
    its reflection there would be faces that stand on their heads."""
    shrunk = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    near = np.maximum(corner, 0).astype(int)
    far = np.minimum(corner + scale * _SIDE, photo.shape[1::-1]).astype(int)
    place = np.round((near - corner) / scale).astype(int)
    size = np.clip(np.round((far - near) / scale).astype(int), 1, _SIDE - place)
    made = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    inside = cv2.resize(photo[near[1] : far[1], near[0] : far[0]], size.tolist(), interpolation=shrunk)
    made[place[1] : place[1] + size[1], place[0] : place[0] + size[0]] = inside
    return made


def _surest(yunet: Yunet, cut: np.ndarray) -> list[float]:
    """Degrees of roll at which YuNet is surest of a face, of _TURNS: one, or two between which it is undecided."""
    scores = {roll: _looked_at(yunet, cut, roll)[0].score for roll in map(float, _TURNS)}
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
