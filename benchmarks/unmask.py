"""Speed and accuracy of taking masks off; JSON on standard output.

Without options it measures speed alone, of untrained networks, which are as fast. With bundles, photos and people it
measures what the segmenter finds on people and mask looks that training never saw:

    python benchmarks/unmask.py --segmenter runs/segmenter/bundle --inpainter runs/inpainter/bundle \
        --images $LFW --people benchmarks/lfw_splits.json:test --not-masks benchmarks/lfw_not_masks.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raymask.data.prepare.photos import list_photos
from raymask.evaluate.people import people_of_split
from raymask.evaluate.probes import Probes
from raymask.faces.crop import CROP_SIZE, Square
from raymask.faces.images import decode_photo
from raymask.faces.masks.looks import TEST_LOOKS
from raymask.models.config import InpainterConfig, SegmenterConfig
from raymask.models.networks.inpainter import Inpainter
from raymask.models.networks.segmenter import MaskSegmenter
from raymask.models.unmasker import MASKED_FROM, MaskFinder, MaskRemover, Unmasker
from raymask.progress import Progress
from raymask.recognisers.face_finder import shared_finder
from raymask.storage import Folder

EMPTY = 0.005
"""Share of a bare face's crop under which its map counts as empty."""


def main() -> None:
    options = _options()
    segmenter = MaskSegmenter(SegmenterConfig())
    inpainter = Inpainter(InpainterConfig())
    if options.segmenter:
        segmenter = MaskFinder.load(options.segmenter).segmenter
    if options.inpainter:
        inpainter = MaskRemover.load(options.inpainter).inpainter
    unmasker = Unmasker(segmenter, inpainter)
    result: dict[str, Any] = {"machine": {"threads": torch.get_num_threads(), "torch": torch.__version__}}
    result["milliseconds_a_crop"] = speed(unmasker, rounds=options.rounds)
    if options.images and options.people:
        result["segmentation"] = segmentation(unmasker, options.images, options.people)
    if options.images and options.not_masks:
        result["not_masks"] = not_masks(unmasker, options.images, options.not_masks)
    print(json.dumps(result, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segmenter", help="bundle of jobs/train_segmenter.py")
    parser.add_argument("--inpainter", help="bundle of jobs/train_inpainter.py")
    parser.add_argument("--images", help="whole photos as ROOT/IDENTITY/photo.jpg")
    parser.add_argument("--people", help="JSON file of person to split, and the split: FILE:test")
    parser.add_argument("--not-masks", help="JSON file of photos under ROOT with something else at the mouth")
    parser.add_argument("--rounds", type=int, default=30, help="times that each thing is timed")
    return parser.parse_args()


def speed(unmasker: Unmasker, *, rounds: int) -> dict[str, float]:
    """Medians; the segmenter on one thread, the inpainters on two."""
    crop = np.random.default_rng(0).integers(0, 256, (CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    hole = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    hole[CROP_SIZE // 2 :, 30:-30] = 255
    full = Inpainter(InpainterConfig(width="full")).eval()
    few = max(3, rounds // 6)
    width = unmasker.remover.inpainter.config.width
    return {
        "segmenter, 1 thread": _milliseconds(lambda: unmasker.find(crop), threads=1, rounds=rounds),
        f"inpainter {width}, 2 threads": _milliseconds(
            lambda: unmasker.remover.inpainter.fill(crop, hole), threads=2, rounds=rounds
        ),
        "inpainter full, 2 threads": _milliseconds(lambda: full.fill(crop, hole), threads=2, rounds=few),
    }


def _milliseconds(act: Callable[[], object], *, threads: int, rounds: int) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    act()
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        act()
        taken.append(1000 * (time.perf_counter() - begun))
    torch.set_num_threads(before)
    return round(statistics.median(taken), 2)


def segmentation(unmasker: Unmasker, images: str, people: str) -> dict[str, Any]:
    """The map found against the one drawn, on masked photos in looks that training never draws, and on bare ones."""
    chosen = people_of_split(people)
    photos = [photo for photo in list_photos(Folder(images))[0] if photo.identity in chosen]
    probes = Probes(Folder(images), masks=TEST_LOOKS, seed=0)
    both = either = 0
    shares: list[float] = []
    worst: list[tuple[float, str]] = []
    faces = others = 0
    with Progress("segmentation", total=len(photos), unit="photos", write=_to_stderr) as progress:
        for photo in photos:
            bare = probes.bare(photo)
            face, drawn = shared_finder()(bare), probes.drawn(photo, bare)
            progress.add(1)
            if face is None or drawn is None:
                continue
            shares.append(_coverage(unmasker, bare, face.box))
            masked, true_map = drawn
            worn = shared_finder()(masked)
            if worn is None:
                continue
            square = Square.around(worn.box)
            found, true = unmasker.find(square.cut(masked)) > 0, square.cut_map(true_map) > 0
            if not true.any():
                others += 1  # masked, its face is no longer the first that is found in the photo
                continue
            faces += 1
            both += int((found & true).sum())
            either += int((found | true).sum())
            worst.append((float((found & true).sum() / (found | true).sum()), photo.image_id))
    return {
        "masked_faces": faces,
        "other_faces": others,
        "iou_pooled": round(both / max(1, either), 4),
        "iou_median": round(statistics.median(iou for iou, _ in worst), 4),
        "worst": [f"{name}: {iou:.2f}" for iou, name in sorted(worst)[:5]],
        "bare_faces": len(shares),
        "bare_under_half_a_percent": round(float(np.mean(np.array(shares) < EMPTY)), 4),
        "bare_called_masked": round(float(np.mean(np.array(shares) > MASKED_FROM)), 4),
    }


def not_masks(unmasker: Unmasker, images: str, listed: str) -> dict[str, Any]:
    """How many photos with a hand, a beard, a scarf or a microphone at the mouth are called masked."""
    names: dict[str, str] = json.loads(Path(listed).read_text())
    called, seen = [], 0
    for name, what in names.items():
        photo = decode_photo(Folder(images).read(name), name)
        face = shared_finder()(photo)
        if face is None:
            continue
        seen += 1
        share = _coverage(unmasker, photo, face.box)
        if share > MASKED_FROM:
            called.append(f"{name} ({what}): {share:.3f}")
    return {
        "photos": seen,
        "called_masked": len(called),
        "share": round(len(called) / max(1, seen), 4),
        "which": called,
    }


def _coverage(unmasker: Unmasker, photo: np.ndarray, box: np.ndarray) -> float:
    return float((unmasker.find(Square.around(box).cut(photo)) > 0).mean())


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
