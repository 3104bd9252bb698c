"""The table on real people: raymask's recognisers beside networks for bare faces; JSON on standard output.

    python benchmarks/real_people.py --images PHOTOS [--baseline onnx:FILE] [--fusion DIR] [--real-masks FOLDER]
    make evaluate IMAGES=PHOTOS [BASELINE=onnx:FILE] [FUSION=DIR]

PHOTOS is the folder of Labeled Faces in the Wild, ROOT/IDENTITY/photo.jpg; the people are the 100 of whom no training
has seen a photo, with eight photos each at most, in masks that no training has drawn. Each probe is searched for faces
once for all recognisers, and embedded once for all tables.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from raymask.cli import parse, run
from raymask.data.prepare.photos import Photo, list_photos
from raymask.evaluate.asked import ask
from raymask.evaluate.bootstrap import Ratio, Sampled, draw_weights, sums_by_person
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import Embedded, embed_probes
from raymask.evaluate.people import choose_photos
from raymask.evaluate.probes import Probe, Probes
from raymask.evaluate.protocols.base import ProtocolTrial
from raymask.evaluate.protocols.batch import BatchTrial
from raymask.evaluate.protocols.gallery import GalleryTrial
from raymask.evaluate.protocols.gallery_maths import gallery_scores, ranks
from raymask.evaluate.protocols.pairs import PairsTrial
from raymask.evaluate.protocols.pairs_drawn import draw_pairs
from raymask.evaluate.report.table import as_json, blocks, differences, figure_text, percent, sample, short_names
from raymask.faces import Face
from raymask.faces.alignment import align
from raymask.faces.masks.looks import parse_look
from raymask.models.bundle import load_bundle
from raymask.models.fusion import Fusion
from raymask.models.networks.sface_weights import load_sface
from raymask.models.point_finder import shipped_point_finder
from raymask.models.shipped import SHIPPED
from raymask.models.spec import resolved
from raymask.recognisers.base import Recogniser
from raymask.recognisers.face_finder import face_finder, shared_finder
from raymask.recognisers.fused_bundle import moved
from raymask.recognisers.kinds import load_recogniser
from raymask.recognisers.onnx import OnnxRecogniser
from raymask.recognisers.torch_networks import NetworkRecogniser
from raymask.storage import Folder

PEOPLE = str(Path(__file__).parent / "lfw_splits.json")
REAL_MASKS = str(Path(__file__).parent / "rmfrd_splits.json")
"""Its people by how many clean photos they have (0, 1, 2, 3, more): of each sort the first 40% by SHA-256 are val."""
FACES = (80, 60, 40)
"""Pixels of the longer side of the face's box, to which photos are shrunk in the table of sizes."""

Answers = Mapping[str, Embedded]
"""Of each recogniser."""


@dataclass(frozen=True, kw_only=True)
class RealPeopleConfig:
    """What to measure."""

    images: str | None = None
    """Folder (or URI) with whole photos as ROOT/IDENTITY/photo.jpg; null: nothing is measured."""
    people: str = f"{PEOPLE}:test"
    """JSON file of person to split, and which."""
    baseline: str | None = None
    """Another recogniser to compare with, such as onnx:FILE, which is measured on the aligner's points, too: how much
    of the difference is alignment?"""
    fusion: str | None = None
    """Folder of another fusion, made by jobs/fuse.py, to measure beside that which comes along."""
    max_photos: int = 8
    """Photos of a person at most, drawn by seed."""
    pairs: int = 3000
    """Pairs of one person, and as many of two, in protocol pairs."""
    real_masks: str | None = None
    """Folder with bare/ and masked/, photos of people without and in real masks, as RMFRD has; null: no such table."""
    sizes: bool = True
    """Ask about small faces, too."""
    out: str | None = None
    """Folder for table.json; null: none."""


class OnnxByAligner(OnnxRecogniser):
    """A network for bare faces on the points that raymask's aligner finds instead of the detector's."""

    def cut(self, photo: np.ndarray, face: Face) -> np.ndarray:
        return align(photo, shipped_point_finder()(photo, face.points))


class SfaceByMtcnn(NetworkRecogniser):
    """SFace on faces that the paper's detector finds."""

    def __init__(self) -> None:
        super().__init__(load_sface())
        self._finder = face_finder("mtcnn")

    def find(self, photo: np.ndarray) -> Face | None:
        return self._finder(photo)


class Smaller(Probes):
    """Masked photos shrunk so that the subject's face is of one size; bare ones stay."""

    def __init__(self, images: Folder, *, masks: Sequence[str], seed: int, face: int) -> None:
        super().__init__(images, masks=masks, seed=seed)
        self._face = face

    def masked(self, photo: Photo, bare: np.ndarray) -> np.ndarray | None:
        masked, face = super().masked(photo, bare), shared_finder()(bare)
        if masked is None or face is None:
            return None
        scale = self._face / float(np.max(face.box[2:] - face.box[:2]))
        size = tuple(max(32, round(side * scale)) for side in bare.shape[1::-1])
        return masked if scale >= 1 else cv2.resize(masked, size, interpolation=cv2.INTER_AREA)


def measure(config: RealPeopleConfig, images: str) -> dict[str, Any]:
    """All tables."""
    fusions = fusions_of(config)
    parts = dict.fromkeys(part for fusion in fusions.values() for part in fusion.parts)
    specs = list(
        dict.fromkeys([*([config.baseline] if config.baseline else []), "sface", "maskfacenet", "mrii", *parts])
    )
    recognisers: dict[str, Recogniser] = {"sface, faces found by MTCNN": SfaceByMtcnn()}
    recognisers |= {spec: load_recogniser(spec) for spec in specs}
    if config.baseline is not None and config.baseline.startswith("onnx:"):
        recognisers[f"{config.baseline} by our aligner"] = OnnxByAligner(config.baseline.removeprefix("onnx:"))
    asked = EvaluateConfig(
        protocol="gallery",
        recognisers=tuple(specs),
        images=images,
        people=config.people,
        out=config.out or "",
        max_photos=config.max_photos,
    )
    photos, _ = choose_photos(list_photos(Folder(images))[0], asked, least=2)
    fitted = Probes(Folder(images), masks=asked.masks, seed=0)
    flat = Probes(Folder(images), masks=asked.masks, seed=0, drawing="flat")

    def small(face: int) -> Probes:
        return Smaller(Folder(images), masks=asked.masks, seed=0, face=face)

    trial = GalleryTrial(photos, draws=asked.draws, seed=0)
    masked = trial.probes[len(photos) :]
    say(f"{len(trial.people)} people, {len(photos):,} photos, each bare and masked")
    pairs = {
        "pairs, one masked": PairsTrial(draw_pairs(photos, config.pairs, ordered=True, seed=0), mask="one"),
        "pairs, bare": PairsTrial(draw_pairs(photos, min(config.pairs, 2000), ordered=False, seed=0), mask="none"),
    }

    def embed(wanted: Sequence[Probe], probes: Probes) -> dict[str, Embedded]:
        return with_fusions(embed_probes(wanted, probes, recognisers), fusions)

    answers = embed(trial.probes, fitted)
    flatly = masked_by(answers, embed(masked, flat))
    many = [photo for photo in photos if sum(one.identity == photo.identity for one in photos) >= 6]
    tables = {
        "gallery": scored(trial, answers),
        "gallery, masks as MaskTheFace lays them on": scored(trial, flatly),
        "batch": scored(batch := BatchTrial(many, batches=asked.batches, seed=0), rows_of(batch, trial, answers)),
    }
    tables |= {name: scored(part, rows_of(part, trial, answers)) for name, part in pairs.items()}
    tables |= real_masks(config.real_masks, tuple(specs), embed)
    return {
        "people": len(trial.people),
        "photos": len(photos),
        "tables": tables,
        "rank1_masked_by_kind": by_kind(trial, answers, fitted),
        "by_face_size": by_size(trial, answers, lambda face: embed(masked, small(face))) if config.sizes else {},
        "not_found": {name: misses(answer, trial) for name, answer in answers.items()},
        "milliseconds_a_probe": {
            name: round(1e3 * answer.seconds / len(trial.probes), 1) for name, answer in answers.items()
        },
        "milliseconds_an_identify_on_one_core": {
            name: on_one_core(load_recogniser(name), fitted, photos) for name in fusions
        },
    }


def real_masks(
    folder: str | None, specs: tuple[str, ...], embed: Callable[[Sequence[Probe], Probes], Answers]
) -> dict[str, Any]:
    """The table on test people in real masks, whose clean photos end in c; none without their folder."""
    if folder is None:
        say("real masks: skipped, for they need --real-masks, a folder with bare/ and masked/\n")
        return {}
    wanted = EvaluateConfig(
        protocol="gallery",
        recognisers=specs,
        images=f"{folder}/bare",
        masked_images=f"{folder}/masked",
        people=f"{REAL_MASKS}:test",
        clean="*c.*",
        out="",
    )
    trial = ask(wanted).trial
    return {"real masks": scored(trial, embed(trial.probes, Probes.of(wanted)))}


class Fused(NamedTuple):
    """A fusion."""

    network: Fusion
    parts: tuple[str, ...]
    """Its recognisers' names."""


def fusions_of(config: RealPeopleConfig) -> dict[str, Fused]:
    """That which comes along and the one that is named, as recognisers are."""
    places = {"fused": SHIPPED / "fused"} | ({} if config.fusion is None else {f"fused:{config.fusion}": config.fusion})
    fusions = {}
    for name, place in places.items():
        network = load_bundle(place, "Fusion").model
        assert isinstance(network, Fusion)
        places_of = {part: moved(part, Path(place)) for part in network.config.parts}
        parts = (part if resolved(part) == found else found for part, found in places_of.items())
        fusions[name] = Fused(network, tuple(parts))
    return fusions


def with_fusions(answers: dict[str, Embedded], fusions: Mapping[str, Fused]) -> dict[str, Embedded]:
    """All answers, and the fusions', which are made of their parts' without asking them again."""
    made = {}
    for name, fusion in fusions.items():
        parts = [answers[part] for part in fusion.parts]
        rows = fusion.network([torch.from_numpy(part.embeddings) for part in parts]).numpy()
        found = np.any([part.found for part in parts], axis=0)
        made[name] = Embedded(rows, found, seconds=sum(part.seconds for part in parts))
    return answers | made


def scored(trial: ProtocolTrial, answers: Answers) -> dict[str, Any]:
    """A protocol's figures with intervals, and what each recogniser has over those before it."""
    by_name = {name: trial.score(answer) for name, answer in answers.items()}
    samples = sample(by_name, draw_weights(len(trial.people), 2000, 0))
    measures = next(iter(by_name.values())).measures
    figures = {name: {key: one.figure() for key, one in part.items()} for name, part in samples.items()}
    names = short_names(list(answers))
    columns = [(names[name], [figure_text(part[one.key], one) for one in measures]) for name, part in figures.items()]
    say(trial.title)
    say(blocks("%, with 95% interval", [one.title for one in measures], columns) + "\n")
    cuts = [
        {"of": names[row.of], "minus": names[row.minus], "error_cut": row.error_cuts}
        for row in differences(samples, measures)
    ]
    return {"title": trial.title, "figures": {names[k]: v for k, v in figures.items()}, "differences": cuts}


def masked_by(answers: Answers, others: Answers) -> dict[str, Embedded]:
    """The answers with those about masked photos, the second half, replaced."""
    return {
        name: Embedded(
            np.concatenate([answer.embeddings[: len(answer.found) // 2], others[name].embeddings]),
            np.concatenate([answer.found[: len(answer.found) // 2], others[name].found]),
        )
        for name, answer in answers.items()
    }


def rows_of(part: ProtocolTrial, trial: ProtocolTrial, answers: Answers) -> dict[str, Embedded]:
    """The answers about the probes of a trial that asks about some of them."""
    place = {probe: row for row, probe in enumerate(trial.probes)}
    rows = [place[probe] for probe in part.probes]
    return {name: Embedded(answer.embeddings[rows], answer.found[rows]) for name, answer in answers.items()}


def by_kind(trial: GalleryTrial, answers: Answers, probes: Probes) -> dict[str, Any]:
    """Rank-1 of masked probes by the kind of mask."""
    looks = [parse_look(probes.look(photo)).kind for photo in trial.photos]
    kinds = {kind: np.array([False] * len(looks) + [look == kind for look in looks]) for kind in sorted(set(looks))}
    return shares(trial, answers, kinds)


def by_size(trial: GalleryTrial, answers: Answers, embed_small: Callable[[int], Answers]) -> dict[str, Any]:
    """The gallery's table with masked probes whose faces are small, against photos of full size; `embed_small`: asks
    about faces of so many pixels."""
    tables = {}
    for face in FACES:
        say(f"masked faces of {face} pixels:")
        tables[f"{face} pixels"] = scored(trial, masked_by(answers, embed_small(face)))
    return tables


def shares(trial: GalleryTrial, answers: Answers, groups: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Rank-1 of groups of probes."""
    names, weights = short_names(list(answers)), draw_weights(len(trial.people), 2000, 0)
    table: dict[str, Any] = {}
    for name, answer in answers.items():
        hits = {group: np.zeros(len(trial.people)) for group in groups}
        counts = {group: np.zeros(len(trial.people)) for group in groups}
        for enrolled in trial.enrolled:
            scores = gallery_scores(answer.embeddings, answer.found, enrolled)
            right, asked = ranks(scores, trial.identities) <= 1, trial.is_probe(enrolled)
            for group, inside in groups.items():
                counts[group] += sums_by_person(inside & asked, trial.identities, len(trial.people))
                hits[group] += sums_by_person(inside & asked & right, trial.identities, len(trial.people))
        figures = {group: Sampled.of(Ratio(hits[group], counts[group]), weights).figure() for group in groups}
        table[names[name]] = figures
    heads = [f"{group} ({int(counts[group].sum() / len(trial.enrolled)):,} probes)" for group in groups]
    columns = [(name, [percent(part[group]) for group in groups]) for name, part in table.items()]
    say(blocks("rank-1, %, with 95% interval", heads, columns) + "\n")
    return table


def misses(answer: Embedded, trial: GalleryTrial) -> dict[str, int]:
    """Photos in which no face was found."""
    return {
        state: int((~answer.found & inside).sum())
        for state, inside in (("bare", ~trial.masked), ("masked", trial.masked))
    }


def on_one_core(recogniser: Recogniser, probes: Probes, photos: Sequence[Photo], count: int = 40) -> dict[str, float]:
    """From decoded masked photos to embeddings, all stages; mirrored, so that no stage remembers them."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    taken = []
    for photo in photos[:: max(1, len(photos) // count)]:
        masked = probes.masked(photo, probes.bare(photo))
        if masked is not None:
            begun = time.perf_counter()
            recogniser.embed([np.ascontiguousarray(masked[:, ::-1])])
            taken.append(1e3 * (time.perf_counter() - begun))
    return {"median": round(float(np.median(taken)), 1), "95th percentile": round(float(np.quantile(taken, 0.95)), 1)}


def say(text: str) -> None:
    """On the terminal, beside the JSON."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    config = parse(RealPeopleConfig, __doc__ or "")
    if config.images is None:
        print(json.dumps({"skipped": "real_people needs --images, the photos of Labeled Faces in the Wild"}))
        return
    if config.out is not None:
        Folder(config.out).write("_check/writable", b"")  # better known before than after the work
        Folder(config.out).delete_folder("_check")
    begun = time.perf_counter()
    with redirect_stdout(sys.stderr):  # progress
        tables = measure(config, config.images)
    found = as_json(tables | {"minutes": round((time.perf_counter() - begun) / 60, 1)})
    print(found.decode())
    if config.out is not None:
        Folder(config.out).write("table.json", found)


if __name__ == "__main__":
    run(main)
