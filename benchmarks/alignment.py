"""What an aligner gains: SFace on its points and on the detector's own; JSON on standard output.

    python benchmarks/alignment.py --bare RMFRD/bare --masked RMFRD/masked [--images PHOTOS] [--aligner BUNDLE,...]

Each masked photo is compared with all bare ones: photos of people in real masks, as RMFRD has them, and photos of
Labeled Faces in the Wild (PHOTOS) with masks drawn on them. The people are those of validation, on whom aligners may be
chosen; nobody of the test splits is asked about. Differences are paired: the same people are drawn for all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from raymask.cli import parse, run
from raymask.errors import ConfigError
from raymask.evaluate.asked import ask
from raymask.evaluate.bootstrap import draw_weights
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import embed_probes
from raymask.evaluate.probes import Probes
from raymask.evaluate.protocols.gallery import GalleryTrial
from raymask.evaluate.report.table import as_json, blocks, figure_text, sample
from raymask.faces import Face
from raymask.faces.alignment import align
from raymask.faces.detection.names import DEFAULT_DETECTOR
from raymask.models.bundle import load_bundle
from raymask.models.networks.aligner import FaceAligner
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.sface_weights import load_sface
from raymask.models.point_finder import PointFinder, shipped_point_finder
from raymask.recognisers.face_finder import share_finder
from raymask.recognisers.torch_networks import TorchRecogniser

HERE = Path(__file__).parent
DETECTOR, SHIPPED = "detector", "shipped"
"""Names of the detector's own points, and of those of the included aligner."""
MEASURES = ("eer", "dprime", "rank1")


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig:
    """What to measure."""

    aligner: tuple[str, ...] = ()
    """Bundles of aligners to measure beside the included one and the detector's own points."""
    bare: str | None = None
    """Folder (or URI) with bare photos of people in real masks, ROOT/IDENTITY/photo.jpg; null: no such table."""
    masked: str | None = None
    """Folder (or URI) with photos of the same people in real masks; given with bare."""
    people: str = f"{HERE / 'rmfrd_splits.json'}:val"
    """JSON file of person to split, and whose photos of bare and masked: FILE:val or FILE:train."""
    clean: str | None = "*c.*"
    """File names of masked photos whose figures stand beside those of all; null: off."""
    images: str | None = None
    """Folder (or URI) with photos on which masks are drawn, ROOT/IDENTITY/photo.jpg; null: no such table."""
    images_people: str = f"{HERE / 'lfw_splits.json'}:val"
    """JSON file of person to split, and whose photos of images: FILE:val or FILE:train."""
    max_photos: int = 8
    """Photos of a person under images at most, drawn by seed 0."""
    detector: str = DEFAULT_DETECTOR
    """What finds faces: yunet[:FILE] or mtcnn."""

    def __post_init__(self) -> None:
        if (self.bare is None) != (self.masked is None):
            raise ConfigError("bare and masked go together; name both folders, or neither")
        if self.bare is None and self.images is None:
            raise ConfigError("nothing to measure on; name --bare and --masked, or --images")
        for name in ("people", "images_people"):
            if not getattr(self, name).endswith((":val", ":train")):
                raise ConfigError(f"{name} must end in :val or :train, for aligners are chosen by these figures")


class SfaceOnPoints(TorchRecogniser):
    """SFace, a photo and its mirror image, on the points of an aligner or on the detector's own."""

    size = 128

    def __init__(self, network: MaskFaceNet, find: PointFinder | None) -> None:
        self.network, self._find = network, find

    def cut(self, photo: np.ndarray, face: Face) -> np.ndarray:
        points = face.points if self._find is None else self._find(photo, face.points)
        return align(photo, points, "arcface", self.network.config.input_size)


def recognisers_of(config: AlignmentConfig) -> dict[str, SfaceOnPoints]:
    """By the name of the points; all share one network."""
    network = load_sface()
    finders: dict[str, PointFinder | None] = {DETECTOR: None, SHIPPED: shipped_point_finder()}
    for bundle in config.aligner:
        aligner = load_bundle(bundle, "FaceAligner").model
        assert isinstance(aligner, FaceAligner)
        finders[bundle] = PointFinder(aligner)
    return {name: SfaceOnPoints(network, finder) for name, finder in finders.items()}


def measured(asked: EvaluateConfig, recognisers: Mapping[str, SfaceOnPoints]) -> dict[str, Any]:
    """Figures of each, and the difference of each two, with 95% intervals."""
    trial = ask(asked).trial
    assert isinstance(trial, GalleryTrial)  # the protocol that it asks for
    answers = embed_probes(trial.probes, Probes.of(asked), recognisers)
    scored = {name: trial.score(answer) for name, answer in answers.items()}
    samples = sample(scored, draw_weights(len(trial.people), asked.resamples, asked.seed))
    measures = [one for one in next(iter(scored.values())).measures if one.key.startswith(MEASURES)]
    figures = {name: {one.key: part[one.key].figure() for one in measures} for name, part in samples.items()}
    gains = {
        f"{later} minus {earlier}": {
            one.key: samples[later][one.key].minus(samples[earlier][one.key]).figure() for one in measures
        }
        for earlier, later in combinations(samples, 2)
    }
    heads = [one.title for one in measures]
    for corner, table, signed in (("%, with 95% interval", figures, False), ("difference", gains, True)):
        columns = [(k, [figure_text(v[one.key], one, signed=signed) for one in measures]) for k, v in table.items()]
        print(blocks(corner, heads, columns) + "\n", flush=True)
    return {
        "people": len(trial.people),
        "bare": int((~trial.masked).sum()),
        "masked": int(trial.masked.sum()),
        "not_found": {name: int((~answer.found).sum()) for name, answer in answers.items()},
        "figures": figures,
        "differences": gains,
        "seconds": {name: round(answer.seconds, 1) for name, answer in answers.items()},
    }


def measure(config: AlignmentConfig) -> dict[str, Any]:
    """All tables."""
    share_finder(config.detector)
    recognisers = recognisers_of(config)
    asked: dict[str, EvaluateConfig] = {}
    common: dict[str, Any] = {"protocol": "gallery", "recognisers": ("sface",), "out": "", "detector": config.detector}
    if config.bare is not None:
        real: dict[str, Any] = {
            "images": config.bare,
            "masked_images": config.masked,
            "people": config.people,
            "clean": config.clean,
        }
        asked["real masks"] = EvaluateConfig(**common, **real)
    if config.images is not None:
        drawn: dict[str, Any] = {
            "images": config.images,
            "people": config.images_people,
            "max_photos": config.max_photos,
        }
        asked["drawn masks"] = EvaluateConfig(**common, **drawn)
    begun = time.perf_counter()
    tables = {}
    for name, one in asked.items():
        print(name, flush=True)
        tables[name] = measured(one, recognisers)
    return {"detector": config.detector} | tables | {"minutes": round((time.perf_counter() - begun) / 60, 1)}


def main() -> None:
    config = parse(AlignmentConfig, __doc__ or "")
    with redirect_stdout(sys.stderr):  # progress
        tables = measure(config)
    print(as_json(tables).decode())


if __name__ == "__main__":
    run(main)
