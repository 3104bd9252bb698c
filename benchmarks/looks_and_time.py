"""What more looks at a face cost and bring: milliseconds a face, EER and d' by looks; JSON on standard output.

    python benchmarks/looks_and_time.py [--network maskfacenet] [--images BARE --people SPLITS:val]
        [--masked-images MASKED]

A network that adds the embeddings of a face, of its mirror image and of both turned either way sees it up to six times.
The figures are over all masked photos against all bare ones of the people; without photos only the time is measured.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import redirect_stdout
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from raymask.cli import parse, run
from raymask.errors import ConfigError
from raymask.evaluate.asked import ask
from raymask.evaluate.bootstrap import draw_weights
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import embed_probes
from raymask.evaluate.probes import Probes
from raymask.evaluate.report.table import as_json, sample
from raymask.recognisers.kinds import load_recogniser
from raymask.recognisers.torch_networks import NetworkRecogniser

FACES = 50
"""That are embedded, one at a time, for the median of the time."""
RESAMPLES = 2000
"""Draws of people behind the intervals."""


@dataclass(frozen=True, kw_only=True)
class LooksConfig:
    """What to measure."""

    network: str = "maskfacenet"
    """A MaskFaceNet: maskfacenet, sface[:FILE] or bundle:DIR."""
    tilted: float = 4.0
    """Degrees by which six looks turn the face, more than 0 to 15."""
    images: str | None = None
    """Folder (or URI) with whole bare photos as ROOT/IDENTITY/photo.jpg; null: only the time is measured."""
    masked_images: str | None = None
    """Folder (or URI) of the same people in real masks; null: masks are drawn."""
    people: str | None = None
    """JSON file of person to split, and which, such as FILE:val; needed with images."""

    def __post_init__(self) -> None:
        if not 0 < self.tilted <= 15:
            raise ConfigError(f"tilted must be more than 0 and at most 15 degrees, not {self.tilted}")
        if (self.images is None) != (self.people is None):
            raise ConfigError("images and people go together; name both or neither")
        if self.masked_images is not None and self.images is None:
            raise ConfigError("masked_images needs images, the bare photos that it is compared with; name them too")


def by_looks(config: LooksConfig) -> dict[int, NetworkRecogniser]:
    """The network with one, two and six looks."""
    loaded = load_recogniser(config.network)
    if not isinstance(loaded, NetworkRecogniser):
        raise ConfigError(f"network {config.network!r} is not a MaskFaceNet; name maskfacenet, sface or bundle:DIR")
    made = {}
    for looks, mirrored, tilted in ((1, False, 0.0), (2, True, 0.0), (6, True, config.tilted)):
        made[looks] = copy(loaded)
        made[looks].network = copy(loaded.network)  # the weights stay shared
        made[looks].network.config = replace(loaded.network.config, mirrored=mirrored, tilted=tilted)
    return made


def milliseconds(recogniser: NetworkRecogniser) -> float:
    """The median time of one core for embedding a face that was found and cut already; other work does not count."""
    side = recogniser.network.config.input_size
    faces = np.random.default_rng(0).integers(0, 256, (FACES + 5, 1, side, side, 3), dtype=np.uint8)
    taken = []
    for face in faces:
        begun = time.process_time()
        recogniser.embed_cut(face)
        taken.append(1e3 * (time.process_time() - begun))
    return round(float(np.median(taken[5:])), 1)  # the first ones warm up


def accuracy(config: LooksConfig, images: str, people: str, recognisers: dict[int, NetworkRecogniser]) -> Any:
    """EER and d' of all pairs by looks, with intervals."""
    asked = EvaluateConfig(
        protocol="gallery",
        recognisers=(config.network,),
        images=images,
        masked_images=config.masked_images,
        people=people,
        out="",
    )
    trial = ask(asked).trial
    answers = embed_probes(trial.probes, Probes.of(asked), {str(looks): one for looks, one in recognisers.items()})
    scored = {name: trial.score(answer) for name, answer in answers.items()}
    samples = sample(scored, draw_weights(len(trial.people), RESAMPLES, 0))
    return {
        name: {key: one.figure() for key, one in figures.items() if key.startswith(("eer_", "dprime_"))}
        for name, figures in samples.items()
    }


def measure(config: LooksConfig) -> dict[str, Any]:
    """Both sides of the curve."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    recognisers = by_looks(config)
    found: dict[str, Any] = {
        "network": config.network,
        "milliseconds_a_face_by_looks": {str(looks): milliseconds(one) for looks, one in recognisers.items()},
    }
    if config.images is None or config.people is None:
        return found | {
            "all_pairs_by_looks": "skipped: it needs --images and --people, and for real masks --masked-images"
        }
    return found | {"all_pairs_by_looks": accuracy(config, config.images, config.people, recognisers)}


def main() -> None:
    config = parse(LooksConfig, __doc__ or "")
    with redirect_stdout(sys.stderr):  # progress
        found = as_json(measure(config))
    print(found.decode())


if __name__ == "__main__":
    run(main)
