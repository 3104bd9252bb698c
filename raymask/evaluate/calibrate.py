"""Fusing recognisers: one embedding made of several, its scales and its thresholds calibrated on validation people.

The fused score is a weighted mean of the parts' cosine similarities. The weights are those under which validation
probes, bare and masked, most probably find their person among all enrolled: multinomial logistic regression of the
person on the scores, with no weight below 0. It asks what `gallery` asks, and needs no threshold. The weight of a
single recogniser is 1, and its thresholds are calibrated as those of several.

Shapes: P parts, N photos (twice: bare and masked), G enrolled people, C probes at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from raymask.calibration.fit import search_table
from raymask.calibration.searches import EDGES, Searches, edge_at
from raymask.calibration.table import SearchTable, State
from raymask.data.prepare.photos import list_photos
from raymask.data.prepare.textures import load_textures
from raymask.evaluate.calibrate_config import FuseConfig
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import Embedded, embed_probes
from raymask.evaluate.people import choose_photos
from raymask.evaluate.probes import Probes
from raymask.evaluate.protocols.gallery import GalleryTrial
from raymask.evaluate.protocols.gallery_maths import ranks
from raymask.models.fusion import Fusion, FusionConfig
from raymask.plugins import allow
from raymask.recognisers.face_finder import share_finder
from raymask.recognisers.fused_bundle import check_target, is_named, write_fused
from raymask.recognisers.kinds import NAMED, calibration_digest, load_recogniser
from raymask.storage import Folder

FALSE_ACCEPTS = {"1e-2": 1e-2, "1e-3": 1e-3}
"""Rates at which two different people match that thresholds are kept for."""

_AT_ONCE = 4096
"""Probes that are scored at a time, so that memory does not grow with their number."""
_MOST_SEARCHES = 20_000
"""Of bare and of masked probes, over all draws, that thresholds are found on: their scores are held at a time."""


@dataclass(frozen=True, kw_only=True)
class Fused:
    """What came of it."""

    folder: Path
    weights: Mapping[str, float]
    """Of each part's similarity in the fused one; they add up to 1."""
    thresholds: Mapping[str, float]
    """Cosine similarity, by state of the probe and rate of false matches of two photos: `masked_1e-2` and so on."""
    searches: SearchTable
    """Thresholds by rate and size of the gallery."""
    rank1: Mapping[str, tuple[float, float]]
    """Of bare and masked validation probes, by recogniser; what the weights were chosen by, not a result."""


class Scores(NamedTuple):
    """Probes against the enrolled of one draw."""

    parts: np.ndarray
    """(P, C, G) cosine similarities, 0 where a face was not found."""
    identities: np.ndarray
    """(C,) which of the enrolled each probe shows."""
    counts: np.ndarray
    """(C,) how much each probe counts."""


def fuse(config: FuseConfig) -> Fused:
    """Calibrate and write the bundle, replacing a fusion of that name.

    Raises:
        DataError: photos or people are missing, or the bundle cannot be written.
        ModelError: a model file is missing or does not fit.
        ConfigError: a recogniser is unknown.
    """
    allow(config.own)
    check_target(Path(config.out))
    share_finder(config.detector)
    trial, textures = _trial(config), load_textures(config.textures)
    parts = {spec: load_recogniser(spec) for spec in config.recognisers}
    probes = Probes(Folder(config.images), masks=config.masks, seed=config.seed, textures=textures)
    answers = embed_probes(trial.probes, probes, parts)
    weights = fit_weights(lambda: _scores(trial, list(answers.values())), len(answers))
    fusion = Fusion(FusionConfig(parts=config.recognisers))
    fusion.scales.copy_(torch.from_numpy(np.sqrt(weights)))
    together = _fused(fusion, list(answers.values()))
    searches = _searches(trial, together, config.seed)
    done = Fused(
        folder=Path(config.out),
        weights=dict(zip(config.recognisers, weights.tolist(), strict=True)),
        thresholds=pair_thresholds(searches),
        searches=search_table({state: [found] for state, found in searches.items()}, seed=config.seed),
        rank1={name: _rank1(trial, answer) for name, answer in [*answers.items(), ("fused", together)]},
    )
    ranked = {f"part {place}": list(done.rank1[name]) for place, name in enumerate(answers)}
    write_fused(
        done.folder,
        fusion,
        thresholds=done.thresholds,
        searches=done.searches.as_json(),
        metrics={
            "validation_rank1": ranked | {"fused": list(done.rank1["fused"])},
            "thresholds_of_parts": [
                pair_thresholds(_searches(trial, answer, config.seed)) for answer in answers.values()
            ],
        },
        training={
            "people": len(trial.people),
            "photos": len(trial.identities) // 2,
            "masks": list(config.masks),
            **({} if textures is None else {"textures_sha256": textures.digest}),
            "seed": config.seed,
            "draws": config.draws,
            NAMED: {part: calibration_digest(part) for part in config.recognisers if is_named(part)},
        },
    )
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


def _scores(trial: GalleryTrial, answers: Sequence[Embedded]) -> Iterator[Scores]:
    """All probes of all draws; people count alike, and bare and masked probes alike."""
    for enrolled in trial.enrolled:
        rows = np.flatnonzero(trial.is_probe(enrolled))
        group = 2 * trial.identities[rows] + trial.masked[rows]
        counts = 1 / np.bincount(group)[group]
        for part in np.array_split(np.arange(len(rows)), -(-len(rows) // _AT_ONCE)):
            found = np.stack([_cosines(answer, rows[part], enrolled) for answer in answers])
            yield Scores(np.where(np.isfinite(found), found, 0), trial.identities[rows[part]], counts[part])


def _cosines(answer: Embedded, rows: np.ndarray, enrolled: np.ndarray) -> np.ndarray:
    """(C, G) float64; -inf where a face was not found."""
    scores = (answer.embeddings[rows] @ answer.embeddings[enrolled].T).astype(np.float64)
    scores[~answer.found[rows]] = -np.inf
    scores[:, ~answer.found[enrolled]] = -np.inf
    return scores


def fit_weights(scores: Callable[[], Iterator[Scores]], parts: int) -> np.ndarray:
    """The parts' weights, (P,), at least 0, adding up to 1.

    Args:
        scores: gives all probes' scores, the same each time it is called; a single part needs none.
        parts: P.
    """
    if parts == 1:
        return np.ones(1)

    def cost(slopes: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient, total = 0.0, np.zeros(parts), 0.0
        for some in scores():
            logs = log_softmax(np.tensordot(slopes, some.parts, axes=1), axis=-1)
            own = np.arange(len(logs)), some.identities
            error = np.exp(logs)
            error[own] -= 1
            value -= float(some.counts @ logs[own])
            gradient += np.einsum("c,cg,pcg->p", some.counts, error, some.parts)
            total += float(some.counts.sum())
        return value / total, gradient / total

    begin = np.full(parts, 10.0 / parts)
    found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=[(0, None)] * parts).x
    return found / found.sum() if found.sum() > 0 else np.full(parts, 1 / parts)


def _fused(fusion: Fusion, answers: Sequence[Embedded]) -> Embedded:
    embeddings = fusion([torch.from_numpy(answer.embeddings) for answer in answers]).numpy()
    return Embedded(embeddings, np.any([answer.found for answer in answers], axis=0))


def _rank1(trial: GalleryTrial, answer: Embedded) -> tuple[float, float]:
    """Share of bare and of masked probes whose person comes first, over all draws."""
    hits, probes = np.zeros(2), np.zeros(2)
    for enrolled in trial.enrolled:
        rows = np.flatnonzero(trial.is_probe(enrolled))
        for some in np.array_split(rows, -(-len(rows) // _AT_ONCE)):
            first = ranks(_cosines(answer, some, enrolled), trial.identities[some]) <= 1
            for place, state in enumerate((~trial.masked[some], trial.masked[some])):
                hits[place] += (first & state).sum()
                probes[place] += state.sum()
    bare, masked = hits / np.maximum(probes, 1)
    return float(bare), float(masked)


def _searches(trial: GalleryTrial, answer: Embedded, seed: int) -> dict[State, Searches]:
    """Each probe among all enrolled but its own person, in every draw; of too many a seeded choice."""
    random = np.random.default_rng(seed)
    found: dict[State, Searches] = {}
    in_states: dict[State, np.ndarray] = {"bare": ~trial.masked, "masked": trial.masked}
    for state, in_state in in_states.items():
        cosines, strangers = [], []
        for enrolled in trial.enrolled:
            rows = np.flatnonzero(trial.is_probe(enrolled) & answer.found & in_state)
            if len(rows) > (most := -(-_MOST_SEARCHES // len(trial.enrolled))):
                rows = np.sort(random.choice(rows, most, replace=False))
            scores = answer.embeddings[rows] @ answer.embeddings[enrolled].T
            scores[:, ~answer.found[enrolled]] = np.nan
            scores[np.arange(len(rows)), trial.identities[rows]] = np.nan
            cosines.append(scores)
            strangers.append(trial.identities[rows])
        found[state] = Searches(np.concatenate(cosines), np.concatenate(strangers))
    return found


def pair_thresholds(searches: Mapping[State, Searches]) -> dict[str, float]:
    """By state of the probe and rate of false matches, such as masked_1e-3: the score that two people reach so often.

    1 where nothing was compared.
    """
    thresholds = {}
    for state, found in searches.items():
        (matched,) = found.fpir([1])  # once for all rates: it looks at every score
        for rate, accepted in FALSE_ACCEPTS.items():
            thresholds[f"{state}_{rate}"] = float(EDGES[edge_at(matched, accepted)]) if found.people else 1.0
    return thresholds
