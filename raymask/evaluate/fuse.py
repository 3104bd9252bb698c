"""Fusing recognisers: one embedding made of several, its scales and its thresholds calibrated on validation people.

The fused score is a weighted mean of the parts' cosine similarities. The weights are those under which validation
probes, bare and masked, most probably find their person among all enrolled: multinomial logistic regression of the
person on the scores, with no weight below 0. It asks what `gallery` asks, and needs no threshold.

Shapes: P parts, N photos (twice: bare and masked), G enrolled people.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from raymask import __version__
from raymask.data.photos import list_photos
from raymask.data.storage import Folder
from raymask.errors import DataError
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import Embedded, embed_probes
from raymask.evaluate.fetch import fetched
from raymask.evaluate.fuse_config import FuseConfig
from raymask.evaluate.people import choose_photos
from raymask.evaluate.probes import Probes
from raymask.evaluate.protocol_gallery import gallery_scores, ranks
from raymask.evaluate.recognisers import load_recogniser
from raymask.evaluate.trial_gallery import GalleryTrial
from raymask.models.bundle import save_bundle
from raymask.models.fusion import Fusion, FusionConfig

FALSE_ACCEPTS = {"1e-2": 1e-2, "1e-3": 1e-3}
"""False-accept rates, per comparison of two different people, that thresholds are kept for."""

STATES = ("bare", "masked")


@dataclass(frozen=True, kw_only=True)
class Fused:
    """What came of it."""

    folder: Path
    weights: Mapping[str, float]
    """Of each part's similarity in the fused one; they add up to 1."""
    thresholds: Mapping[str, float]
    """Cosine similarity, by state of the probe and false-accept rate: `masked_1e-2` and so on."""
    rank1: Mapping[str, tuple[float, float]]
    """Of bare and masked validation probes, by recogniser; what the weights were chosen by, not a result."""


def fuse(config: FuseConfig) -> Fused:
    """Calibrate and write the bundle, replacing one of that name.

    Raises:
        DataError: photos or people are missing, or the bundle cannot be written.
        ModelError: a model file is missing or does not fit.
        ConfigError: a recogniser is unknown.
    """
    trial = _trial(config)
    parts = {spec: load_recogniser(spec) for spec in config.recognisers}
    probes = Probes(Folder(config.images), masks=config.masks, seed=config.seed)
    answers = embed_probes(trial.probes, probes, parts)
    weights = fit_weights([_all_scores(trial, answer) for answer in answers.values()], *_probes_of(trial))
    fusion = Fusion(FusionConfig(parts=config.recognisers))
    fusion.scales.copy_(torch.from_numpy(np.sqrt(weights)))
    together = _fused(fusion, list(answers.values()))
    thresholds = _thresholds(trial, together)
    rank1 = {name: _rank1(trial, answer) for name, answer in [*answers.items(), ("fused", together)]}
    shares = dict(zip(config.recognisers, weights.tolist(), strict=True))
    done = Fused(folder=Path(config.out), weights=shares, thresholds=thresholds, rank1=rank1)
    _write(done, config, fusion)
    return done


def _trial(config: FuseConfig) -> GalleryTrial:
    as_gallery = EvaluateConfig(
        protocol="gallery",
        recognisers=config.recognisers,
        images=config.images,
        out=config.out,
        people=config.people,
        seed=config.seed,
        max_photos=config.max_photos,
    )
    photos, _ = list_photos(Folder(config.images))
    chosen, _ = choose_photos(photos, as_gallery, least=2)
    return GalleryTrial(chosen, draws=config.draws, seed=config.seed)


def _all_scores(trial: GalleryTrial, answer: Embedded) -> np.ndarray:
    """(draws, 2N, G) cosine similarities, 0 where a face was not found."""
    scores = [gallery_scores(answer.embeddings, answer.found, enrolled) for enrolled in trial.enrolled]
    return np.where(np.isfinite(scores), scores, 0).astype(np.float64)


def _probes_of(trial: GalleryTrial) -> tuple[np.ndarray, np.ndarray]:
    """(2N,) whose each photo is, and (draws, 2N) how much it counts: people alike, bare and masked alike."""
    counts = np.array([trial.is_probe(enrolled) for enrolled in trial.enrolled], np.float64)
    for state in (trial.masked, ~trial.masked):
        for person in range(len(trial.people)):
            own = state & (trial.identities == person)
            counts[:, own] /= np.maximum(counts[:, own].sum(1, keepdims=True), 1)
    return trial.identities, counts


def fit_weights(scores: Sequence[np.ndarray], identities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The parts' weights, at least 0, adding up to 1.

    Args:
        scores: of each part (draws, N, G) cosine similarities with the enrolled.
        identities: (N,) which of the enrolled each photo shows.
        counts: (draws, N) how much each photo counts in each draw.
    """
    stacked = np.stack(scores)  # (P, draws, N, G)
    right = np.arange(stacked.shape[-1]) == identities[:, None]
    total = counts.sum()

    def cost(slopes: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax(np.tensordot(slopes, stacked, axes=1), axis=-1)
        value = -float((counts[..., None] * np.where(right, logs, 0)).sum()) / total
        slope = (counts[..., None] * (np.exp(logs) - right))[None] * stacked
        return value, slope.sum((1, 2, 3)) / total

    begin = np.full(len(scores), 10.0 / len(scores))
    found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(scores)).x
    return found / found.sum() if found.sum() > 0 else np.full(len(scores), 1 / len(scores))


def _fused(fusion: Fusion, answers: Sequence[Embedded]) -> Embedded:
    embeddings = fusion([torch.from_numpy(answer.embeddings) for answer in answers]).numpy()
    return Embedded(embeddings, np.any([answer.found for answer in answers], axis=0))


def _rank1(trial: GalleryTrial, answer: Embedded) -> tuple[float, float]:
    """Share of bare and of masked probes whose person comes first, over all draws."""
    hits, probes = np.zeros(2), np.zeros(2)
    for enrolled in trial.enrolled:
        first = ranks(gallery_scores(answer.embeddings, answer.found, enrolled), trial.identities) <= 1
        asked = trial.is_probe(enrolled)
        for place, state in enumerate((~trial.masked, trial.masked)):
            hits[place] += (first & asked & state).sum()
            probes[place] += (asked & state).sum()
    bare, masked = hits / np.maximum(probes, 1)
    return float(bare), float(masked)


def _thresholds(trial: GalleryTrial, answer: Embedded) -> dict[str, float]:
    """By state of the probe and false-accept rate; every two people count alike, however many photos they have."""
    found = {}
    for name, state in zip(STATES, (~trial.masked, trial.masked), strict=True):
        scores, weights = [], []
        for enrolled in trial.enrolled:
            rows = np.flatnonzero(trial.is_probe(enrolled) & state & answer.found)
            share = 1 / np.bincount(trial.identities[rows], minlength=len(trial.people))[trial.identities[rows]]
            table = gallery_scores(answer.embeddings, answer.found, enrolled)[rows]
            other = np.isfinite(table) & (trial.identities[rows, None] != np.arange(len(trial.people)))
            scores.append(table[other])
            weights.append(np.broadcast_to(share[:, None], table.shape)[other])
        together = np.concatenate(scores), np.concatenate(weights)
        for rate, share_accepted in FALSE_ACCEPTS.items():
            found[f"{name}_{rate}"] = weighted_threshold(*together, share_accepted)
    return found


def weighted_threshold(scores: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The lowest threshold that at most `share` of the weight of (N,) scores reaches; 1 where there are none."""
    if not len(scores):
        return 1.0
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    too_many = int(np.searchsorted(reached, share, side="right"))
    return float(np.nextafter(scores[order[min(too_many, len(order) - 1)]], np.inf))


def _write(done: Fused, config: FuseConfig, fusion: Fusion) -> None:
    """The bundle with its parts' files, whole or not at all."""
    target = done.folder
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            made = Path(folder) / "made"
            parts = tuple(collect(spec, made, f"parts/{place}") for place, spec in enumerate(config.recognisers))
            moved = Fusion(FusionConfig(parts=parts))
            moved.load_state_dict(fusion.state_dict())
            bundle = save_bundle(
                Path(folder) / "bundle",
                moved,
                preprocessing={},
                thresholds=done.thresholds,
                metrics={"validation_rank1": {name: list(values) for name, values in done.rank1.items()}},
                training={"raymask": __version__, "settings": asdict(config), "weights": dict(done.weights)},
            )
            if (made / "parts").exists():
                shutil.move(made / "parts", bundle / "parts")
            if target.exists():
                shutil.move(target, Path(folder) / "earlier")
            os.replace(bundle, target)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror}); choose another --out") from None


def collect(spec: str, folder: Path, name: str) -> str:
    """Copy a recogniser's files into FOLDER/NAME; returns its spec with paths relative to `folder`."""
    kind, _, rest = spec.partition(":")
    if kind == "mrii":
        segmenter, inpainter, embedder = rest.split(",", 2)
        bundles = [
            collect(f"bundle:{part}", folder, f"{name}/{what}").removeprefix("bundle:")
            for part, what in ((segmenter, "segmenter"), (inpainter, "inpainter"))
        ]
        return f"mrii:{','.join(bundles)},{collect(embedder, folder, f'{name}/embedder')}"
    if kind == "bundle":
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(fetched(rest, Path(copy)), folder / name, dirs_exist_ok=True)
        return f"bundle:{name}"
    if kind == "onnx":
        (folder / name).mkdir(parents=True)
        shutil.copy(rest, folder / name)
        return f"onnx:{name}/{Path(rest).name}"
    return spec
