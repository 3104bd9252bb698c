"""What drawing masks on an enrolled photo adds (`with_masks=true`); JSON on standard output.

    python benchmarks/enrolment.py [--images out/demo/faces] [--people out/demo/prepared/splits.json:test]

Of every other person one bare photo is enrolled, by itself and with masks drawn on it; asked about are other photos of
all people, bare, and in masks with looks that no enrolment and no training draws. Who is not enrolled is a stranger;
"as strict" is with the threshold at which drawn masks let as many strangers through as there are without them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from raymask.calibration.table import State
from raymask.cli import parse, run
from raymask.data.prepare.photo_work import mask_choice
from raymask.data.prepare.photos import list_photos
from raymask.errors import NoFaceError
from raymask.evaluate.people import people_of_split
from raymask.faces import detect, draw_mask, subject
from raymask.faces.images import decode_photo
from raymask.faces.masks.looks import TEST_LOOKS
from raymask.models.shipped import SHIPPED
from raymask.progress import Progress
from raymask.serve.core.config import Policy
from raymask.serve.core.decisions import Decisions
from raymask.serve.core.enrolment import ENROLLED_LOOKS, enrolment_of, subject_of
from raymask.serve.core.in_process import LocalStages
from raymask.serve.core.pipeline import Pipeline
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.storage import Folder


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Whom to enrol."""

    images: str = "out/demo/faces"
    """Folder with the photos as ROOT/IDENTITY/photo.jpg."""
    people: str = "out/demo/prepared/splits.json:test"
    """File of splits, and which of them."""
    fused: str = str(SHIPPED / "fused")
    """Bundle of the fusion; by default the one that comes with raymask."""
    photos: int = 5
    """Of each person, the enrolled one included."""


class Probe(NamedTuple):
    """A face that was asked about."""

    person: str
    masked: bool
    embedding: np.ndarray


class Seen(NamedTuple):
    """What was enrolled and asked."""

    names: list[str]
    """Who is enrolled."""
    embeddings: list[np.ndarray]
    """(V, D) of each: as it came, then with masks drawn on."""
    probes: list[Probe]


async def see(config: BenchmarkConfig, pipeline: Pipeline) -> Seen:
    """Enrol, and ask."""
    images, chosen = Folder(config.images), people_of_split(config.people)
    photos_of: dict[str, list[str]] = defaultdict(list)
    for photo in list_photos(images)[0]:
        if photo.identity in chosen and len(photos_of[photo.identity]) < config.photos:
            photos_of[photo.identity].append(photo.image_id)
    seen = Seen([], [], [])
    total = sum(len(photos) for photos in photos_of.values())
    with Progress("enrol and ask", total=total, unit="photos", write=to_stderr) as progress:
        for number, (person, (first, *others)) in enumerate(sorted(photos_of.items())):
            if number % 2 == 0:
                pixels = decode_photo(images.read(first), first)
                sight, _ = await subject_of(pipeline, pixels)
                one = await enrolment_of(pipeline, pixels, sight, identity=person, key=b"", with_masks=True)
                seen.names.append(person)
                seen.embeddings.append(one.embeddings)
            for image_id in others:
                pixels = decode_photo(images.read(image_id), image_id)
                look, mask_seed = mask_choice(image_id, TEST_LOOKS, 0)
                seen.probes.extend(await ask(pipeline, person, pixels, look, mask_seed))
            progress.add(1 + len(others))
    return seen


async def ask(pipeline: Pipeline, person: str, pixels: np.ndarray, look: str, seed: int) -> list[Probe]:
    """A photo as it is, and with a mask; without those in which no face is found."""
    face = subject(detect(pixels), pixels.shape)
    if face is None:
        return []
    probes = []
    for masked in (False, True):
        shown = draw_mask(pixels, face.landmarks, look, seed)[0] if masked else pixels
        try:
            sight, _ = await subject_of(pipeline, shown)
        except NoFaceError:
            continue
        assert sight.embeddings is not None
        probes.append(Probe(person, masked, sight.embeddings[0]))
    return probes


def judge(seen: Seen, threshold: float, *, masked: bool, with_masks: bool) -> dict[str, list[float]]:
    """By person: rank-1 and matches of those enrolled, and matches of strangers; means over each one's photos."""
    gallery = np.concatenate([rows if with_masks else rows[:1] for rows in seen.embeddings])
    owners = [
        name for name, rows in zip(seen.names, seen.embeddings, strict=True) for _ in (rows if with_masks else rows[:1])
    ]
    found: dict[str, dict[str, list[bool]]] = {name: defaultdict(list) for name in ("rank1", "match", "stranger")}
    for probe in seen.probes:
        if probe.masked != masked:
            continue
        scores = gallery @ probe.embedding
        right = owners[int(scores.argmax())] == probe.person
        over = bool(scores.max() >= threshold)
        if probe.person in owners:
            found["rank1"][probe.person].append(right)
            found["match"][probe.person].append(right and over)
        else:
            found["stranger"][probe.person].append(over)
    return {name: [float(np.mean(values)) for _, values in sorted(people.items())] for name, people in found.items()}


def as_strict(seen: Seen, threshold: float, *, masked: bool) -> float:
    """The threshold at which a gallery with drawn masks takes as many strangers as one without does at `threshold`."""
    strangers = [one.embedding for one in seen.probes if one.masked == masked and one.person not in seen.names]
    alone, more = np.stack([rows[0] for rows in seen.embeddings]), np.concatenate(seen.embeddings)
    share = np.mean([(alone @ probe).max() >= threshold for probe in strangers])
    return float(np.quantile([(more @ probe).max() for probe in strangers], 1 - share, method="higher"))


def interval(values: np.ndarray) -> list[float]:
    """Mean in percent, and its 95% interval by bootstrap over people."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
    return [round(100 * float(value), 1) for value in (values.mean(), *np.percentile(drawn, (2.5, 97.5)))]


def measure(config: BenchmarkConfig) -> dict[str, object]:
    plan = Plan.of(ModelsConfig(fused=config.fused))
    seen = asyncio.run(see(config, Pipeline(plan, LocalStages(plan))))
    decisions = Decisions.of(plan, Policy())
    result: dict[str, object] = {
        "enrolled": len(seen.names),
        "probes": {name: sum(one.masked == masked for one in seen.probes) for name, masked in STATES},
        "masks_drawn": list(ENROLLED_LOOKS),
    }
    for state, masked in STATES:
        given = decisions.identifying(state, len(seen.names)).match.score
        alone = judge(seen, given, masked=masked, with_masks=False)
        more = judge(seen, given, masked=masked, with_masks=True)
        strict = judge(seen, as_strict(seen, given, masked=masked), masked=masked, with_masks=True)
        result[state] = {
            name: {
                "bare_alone": interval(np.array(alone[name])),
                "with_masks": interval(np.array(more[name])),
                "with_masks_as_strict": interval(np.array(strict[name])),
                "added_as_strict": interval(np.array(strict[name]) - np.array(alone[name])),
            }
            for name in alone
        }
    return result


STATES: tuple[tuple[State, bool], ...] = (("bare", False), ("masked", True))


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    print(json.dumps(measure(parse(BenchmarkConfig, __doc__ or "")), indent=1))


if __name__ == "__main__":
    run(main)
