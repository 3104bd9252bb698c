"""Masks drawn afresh on prepared crops, each time another way: what all networks of ours may learn from.

A prepared photo wears one mask for ever. Here the bare crop is shrunk to a size at which cameras may have seen it, a
mask is drawn, and the result is brought to its final size turned, shifted and enlarged at random, in one resampling:
so that a mask's edge is as soft as the face around it, and a detector's box may lie as it likes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from raymask.data.augment.occlusions import photographed, recoloured, with_object
from raymask.faces.alignment import MIRRORED, Alignment, places, similarity
from raymask.faces.masks import Textures, pick_look
from raymask.faces.masks.draw import draw_mask_layers


class Drawn(NamedTuple):
    """A face without and with a mask; S pixels a side."""

    bare: np.ndarray
    """(S, S, 3) uint8 RGB."""
    masked: np.ndarray
    """(S, S, 3) uint8 RGB; the same as `bare` but at the mask and a few pixels around it, which resampling blurs,
    unless the photo was altered as a whole."""
    mask_map: np.ndarray
    """(S, S) uint8, 255 where the mask covers, 0 elsewhere."""
    points: np.ndarray
    """(5, 2) float32, the detector's of the bare face in pixels of this one, those on its left first."""


class _Dressed(NamedTuple):
    """A crop at the size that cameras saw, W pixels a side, in what it wears and not yet in its place."""

    bare: np.ndarray
    """(W, W, 3) uint8 RGB."""
    masked: np.ndarray
    """(W, W, 3) uint8 RGB."""
    covered: np.ndarray
    """(W, W) uint8, 255 where the mask covers, 0 elsewhere."""
    opaque: np.ndarray
    """(W, W) uint8, how opaque the mask is."""
    points: np.ndarray
    """(5, 2) float64 in its pixels."""


@dataclass(frozen=True, kw_only=True)
class Redraw:
    """How differently a face is drawn each time."""

    side: int
    """Pixels of the result."""
    looks: tuple[str, ...]
    """Masks, as `parse_look` takes them."""
    textures: Textures | None = None
    """The pictures that the look cloth:own is made of."""
    turn: float = 4.0
    """Degrees, standard deviation."""
    shift: float = 0.03
    """At most, as a share of the side."""
    zoom: float = 0.06
    """At most, as a share of 1."""
    bare: float = 0.0
    """Share of the faces that wear no mask."""
    strong: bool = False
    """Whether masks change colour and print beyond any look, things come before bare faces, and the photo is altered
    as a whole, as cameras and editors do."""

    smallest: int = 80
    """Pixels of the smallest crop that a mask is drawn on."""
    mirror: bool = True
    """Whether half of the faces are mirrored."""
    alignment: Alignment | None = None
    """Where the face's five points come to lie; None: the middle of the crop comes to the middle."""
    stray: float = 0.0
    """How far each of the five points strays before, standard deviation as a share of the distance of the eyes."""

    def __call__(
        self,
        crop: np.ndarray,
        landmarks: np.ndarray,
        points: np.ndarray,
        rng: np.random.Generator,
        *,
        masked: bool | None = None,
        things: bool = True,
    ) -> Drawn:
        """Draw once, a bare face or a masked one.

        Args:
            crop: (C, C, 3) uint8 RGB, bare.
            landmarks: (68, 2) in pixels of the crop.
            points: (5, 2), the detector's, in pixels of the crop.
            rng: makes every choice.
            masked: whether it wears a mask; None: as often as `bare` says.
            things: whether, with `strong`, things come before a face that gets no mask.
        """
        seen = self._size(crop, rng)
        if masked is None:
            masked = bool(rng.random() >= self.bare)
        return self._drawn(self._dressed(crop, landmarks, points, seen, rng, masked=masked, things=things), rng)

    def face(
        self,
        crop: np.ndarray,
        landmarks: np.ndarray,
        points: np.ndarray,
        rng: np.random.Generator,
        *,
        masked: bool,
        things: bool = True,
    ) -> np.ndarray:
        """The `masked` picture of a call alone, for half of the work; `things`: whether what gets no mask is a bare
        face, before which things may come, and not one that wears a mask or was painted."""
        dressed = self._dressed(crop, landmarks, points, self._size(crop, rng), rng, masked=masked, things=things)
        face = self._placed(dressed.masked, self._placement(dressed.points, len(dressed.bare), rng), cv2.INTER_CUBIC)
        return photographed(face, dressed.opaque, rng)[0] if self.strong else face

    def _size(self, crop: np.ndarray, rng: np.random.Generator) -> int:
        return round(math.exp(rng.uniform(math.log(self.smallest), math.log(crop.shape[0]))))

    def _dressed(
        self,
        crop: np.ndarray,
        landmarks: np.ndarray,
        five: np.ndarray,
        seen: int,
        rng: np.random.Generator,
        *,
        masked: bool,
        things: bool = True,
    ) -> _Dressed:
        """`seen`: pixels of the crop that cameras saw."""
        small = cv2.resize(crop, (seen, seen), interpolation=cv2.INTER_AREA)
        points = (landmarks.astype(np.float64) + 0.5) * (seen / crop.shape[0]) - 0.5
        five = (five.astype(np.float64) + 0.5) * (seen / crop.shape[0]) - 0.5
        dressed, covered, opaque = small, *np.zeros((2, seen, seen), np.uint8)
        if masked:
            seed = int(rng.integers(2**31))
            look = pick_look(self.looks, seed)
            dressed, covered, opaque = draw_mask_layers(small, points, look, seed, textures=self.textures)
            if self.strong:
                dressed = recoloured(dressed, opaque, rng)
        elif self.strong and things:
            dressed = with_object(dressed, points, rng)
        if seen > self.side and self.alignment is None:  # the resampling that follows would skip pixels
            size = (self.side, self.side)
            small, dressed, covered, opaque = (
                cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in (small, dressed, covered, opaque)
            )
            five = (five + 0.5) * (self.side / seen) - 0.5
        return _Dressed(small, dressed, covered, opaque, five)

    def _drawn(self, dressed: _Dressed, rng: np.random.Generator) -> Drawn:
        matrix = self._placement(dressed.points, len(dressed.bare), rng)
        bare, masked = (self._placed(image, matrix, cv2.INTER_CUBIC) for image in (dressed.bare, dressed.masked))
        inside = self._placed(dressed.covered, matrix, cv2.INTER_LINEAR) > 127
        if self.strong:
            sharp = self._placed(dressed.opaque, matrix, cv2.INTER_LINEAR)
            masked, soft = photographed(masked, sharp, rng)
            inside |= _spread(inside, sharp, soft)
        covered = np.where(inside, 255, 0).astype(np.uint8)
        moved = dressed.points @ matrix[:, :2].T + matrix[:, 2]
        if np.linalg.det(matrix[:, :2]) < 0:
            moved = moved[MIRRORED]
        return Drawn(bare, masked, covered, moved.astype(np.float32))

    def _placement(self, points: np.ndarray, seen: int, rng: np.random.Generator) -> np.ndarray:
        """(2, 3): from pixels of the small crop to pixels of the result, shaken about the centre."""
        turn = math.radians(rng.normal(0, self.turn))
        zoom = rng.uniform(1 - self.zoom, 1 + self.zoom)
        mirror = -1.0 if self.mirror and rng.random() < 0.5 else 1.0
        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        linear = zoom * rotation @ np.diag([mirror, 1.0])
        middle = (self.side - 1) / 2 + self.side * rng.uniform(-self.shift, self.shift, 2)
        scale = self.side / seen
        still = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])
        if self.alignment is not None:
            strayed = points + rng.normal(0, self.stray * float(np.linalg.norm(points[1] - points[0])), points.shape)
            still = similarity(strayed, places(self.alignment, self.side))
        centre = np.full(2, (self.side - 1) / 2)
        return np.column_stack([linear @ still[:, :2], middle + linear @ (still[:, 2] - centre)])

    def _placed(self, image: np.ndarray, matrix: np.ndarray, interpolation: int) -> np.ndarray:
        side = max(1, round(2 * math.sqrt(abs(np.linalg.det(matrix[:, :2]))) * len(image)))
        if side < len(image):  # as `align` does, for the resampling that follows would skip pixels
            scale = len(image) / side
            image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            linear = matrix[:, :2] * scale
            matrix = np.column_stack([linear, matrix[:, 2] + matrix[:, :2].sum(1) * (scale - 1) / 2])
        size = (self.side, self.side)
        return cv2.warpAffine(image, matrix, size, flags=interpolation, borderMode=cv2.BORDER_REFLECT_101)


def _spread(inside: np.ndarray, sharp: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """Where a mask lies after a blur, (S, S) bool, as `inside` says where it lay before.

    Args:
        sharp, soft: (S, S) uint8, how opaque the mask was and is.
    """
    area = int(inside.sum())
    if area == 0 or soft is sharp:
        return inside
    faintest = np.partition(sharp, -area, axis=None)[-area]  # that counted as inside
    return soft >= max(1, faintest)


def row_at(place: int, rows: int, seed: int) -> int:
    """The row at a place of an endless order, in which each pass has each of `rows` rows once."""
    return int(_shuffled(rows, seed, place // rows)[place % rows])


@functools.lru_cache(maxsize=4)
def _shuffled(rows: int, seed: int, turn: int) -> np.ndarray:
    return np.random.default_rng([seed, turn]).permutation(rows)


def stack(drawn: Sequence[Drawn]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bare and masked (B, 3, S, S) uint8, maps (B, 1, S, S) uint8, points (B, 5, 2) float32."""
    bare, masked = (
        np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
        for images in ([one.bare for one in drawn], [one.masked for one in drawn])
    )
    maps = np.stack([one.mask_map for one in drawn])[:, None]
    return bare, masked, maps, np.stack([one.points for one in drawn])
