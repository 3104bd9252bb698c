"""One evaluation from options to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raymask.evaluate.asked import ask
from raymask.evaluate.bootstrap import draw_weights
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import embed_probes
from raymask.evaluate.evaluation import Evaluation
from raymask.evaluate.probes import Probes
from raymask.evaluate.protocols.gallery import GalleryTrial
from raymask.evaluate.report.table import (
    as_json,
    differences,
    sample,
)
from raymask.evaluate.strangers.figures import Strangers
from raymask.evaluate.strangers.measured import StrangerFigures
from raymask.evaluate.strangers.photos import choose_strangers
from raymask.plugins import allow
from raymask.recognisers.face_finder import share_finder, shared_finder
from raymask.recognisers.kinds import load_recogniser
from raymask.storage import Folder

if TYPE_CHECKING:
    from raymask.evaluate.protocols.unmask_result import UnmaskEvaluation


def evaluate(config: EvaluateConfig) -> Evaluation | UnmaskEvaluation:
    """Run one protocol and write `table.json` and `report.html`.

    Raises what `recognise` or `evaluate_unmask` raises.
    """
    allow(config.own)
    share_finder(config.detector)
    if config.protocol == "unmask":
        from raymask.evaluate.protocols.unmask import evaluate_unmask

        return evaluate_unmask(config)
    return recognise(config)


def recognise(config: EvaluateConfig) -> Evaluation:
    """Run one of the protocols that recognise people, for all recognisers, and write `table.json` and `report.html`.

    Raises:
        DataError: photos, people or pairs are missing, or the output cannot be written.
        ModelError: a model file is missing or does not fit.
        ConfigError: a recogniser is unknown.
    """
    from raymask.evaluate.report.html import write_report

    out = Folder(config.out)
    wanted = ask(config)
    trial = wanted.trial
    strangers = Strangers(config, choose_strangers(config, config.seed)) if config.strangers else None
    recognisers = {spec: load_recogniser(spec) for spec in config.recognisers}
    out.write("_check/writable", b"")  # a folder that cannot be written is better known before than after the work
    out.delete_folder("_check")
    probes = Probes.of(config)
    finding = shared_finder().seconds
    answers = embed_probes(trial.probes, probes, recognisers)
    finding = shared_finder().seconds - finding
    faces = {} if strangers is None else strangers.embed(recognisers)
    scored = {name: trial.score(answer) for name, answer in answers.items()}
    weights = draw_weights(len(trial.people), config.resamples, config.seed)
    samples = sample(scored, weights)
    known: dict[str, StrangerFigures] = {}
    if strangers is not None:
        assert isinstance(trial, GalleryTrial)  # the configuration refuses strangers for others
        known = {name: strangers.figures(name, trial, answers[name], faces[name], weights) for name in answers}
    done = Evaluation(
        config=config,
        asked=wanted,
        answers=answers,
        scored=scored,
        figures={name: {key: one.figure() for key, one in part.items()} for name, part in samples.items()},
        differences=differences(samples, scored[config.recognisers[0]].measures),
        strangers=known,
        detection_seconds=finding,
    )
    write_report(done, probes, out)
    out.write("table.json", as_json(done.table()))
    return done
