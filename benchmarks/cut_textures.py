"""Cut pictures of fabric out of photos of people in masks, for masks of the look `cloth:own`.

    python benchmarks/cut_textures.py --photos FOLDER --out TEXTURES [--segmenter BUNDLE] [--most 600]

Of each photo's face the segmenter finds the mask, and the largest upright rectangle within it is kept as a PNG. JSON on
standard output. Look at what was cut before it is used: some of it shows hands, hair or letters.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from raymask.cli import parse, run
from raymask.errors import DataError, ImageError
from raymask.faces.crop import CROP_SIZE, Square
from raymask.faces.detection.detector import detect
from raymask.faces.face import subject
from raymask.faces.images import decode_photo
from raymask.models.shipped import SHIPPED
from raymask.models.unmasker import MaskFinder
from raymask.progress import Progress

ASPECT = 1.5
"""Width over height of a rectangle, about that of a cloth mask."""
EDGE = 5
"""Pixels of the crop that are left out around a mask, where skin shines through."""
LEAST = 48
"""Pixels of the crop that a rectangle is wide, at least."""


@dataclass(frozen=True, kw_only=True)
class CutConfig:
    """What to cut, and where to."""

    photos: str | None = None
    """Folder with photos that each show a person in a mask; null: nothing is cut."""
    out: str = "out/textures"
    """Folder for the pictures."""
    segmenter: str = str(SHIPPED / "segmenter")
    """Bundle of jobs/train_segmenter.py."""
    most: int = 600
    """Photos that are looked at, drawn by seed 0."""


def largest(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the largest rectangle of ASPECT within a mask, (C, C) of 0 and 255; None if none
    is LEAST pixels wide."""
    inside = cv2.erode(mask, np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)) > 0
    sums = cv2.integral(inside.astype(np.uint8))
    for width in range(mask.shape[1], LEAST - 1, -2):
        height = round(width / ASPECT)
        covered = (
            sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
            == width * height
        )
        if covered.any():
            top, left = (int(place.mean()) for place in np.nonzero(covered))
            if not covered[top, left]:
                top, left = (int(place[0]) for place in np.nonzero(covered))
            return left, top, left + width, top + height
    return None


def cut(data: bytes, name: str, finder: MaskFinder) -> np.ndarray | str:
    """The picture of a photo's mask, (H, W, 3) uint8 RGB, or why there is none."""
    try:
        photo = decode_photo(data, name)
    except ImageError:
        return "unreadable"
    face = subject(detect(photo), photo.shape)
    if face is None:
        return "no face found"
    crop = Square.around(face.box).cut(photo, CROP_SIZE)
    rectangle = largest(finder.find(crop))
    if rectangle is None:
        return "no mask of this size"
    left, top, right, bottom = rectangle
    return crop[top:bottom, left:right]


def cut_all(config: CutConfig) -> dict[str, object]:
    """Cut and write them; how many, and why not the others."""
    files = sorted(path for path in Path(str(config.photos)).rglob("*") if path.is_file())
    if not files:
        raise DataError(f"{config.photos}: there are no photos; name another --photos")
    chosen = random.Random(0).sample(files, min(config.most, len(files)))
    finder, out, missed = MaskFinder.load(config.segmenter), Path(config.out), Counter[str]()
    out.mkdir(parents=True, exist_ok=True)
    done = 0
    with Progress("textures", total=len(chosen), unit="photos") as progress:
        for file in chosen:
            found = cut(file.read_bytes(), file.name, finder)
            if isinstance(found, str):
                missed[found] += 1
            else:
                done += 1
                cv2.imwrite(str(out / f"{file.stem}.png"), found[..., ::-1])
            progress.add(1)
    return {"photos": len(chosen), "cut": done, "not cut": dict(missed)}


def main() -> None:
    config = parse(CutConfig, __doc__ or "")
    if config.photos is None:
        print(json.dumps({"skipped": "cut_textures needs --photos, photos of people in real masks"}))
        return
    with redirect_stdout(sys.stderr):  # progress
        found = cut_all(config)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    run(main)
