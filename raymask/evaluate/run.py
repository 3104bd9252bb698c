"""One evaluation from options to files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from raymask.evaluate.asked import Asked, ask
from raymask.evaluate.bootstrap import Figure, draw_weights
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import Embedded, embed_probes
from raymask.evaluate.measures import Measure, Scored
from raymask.evaluate.probes import Probes
from raymask.evaluate.protocols.base import Trial
from raymask.evaluate.report.table import (
    Difference,
    as_json,
    differences,
    sample,
    short_names,
    text_differences,
    text_table,
)
from raymask.evaluate.report.versions import versions
from raymask.progress import duration
from raymask.recognisers.face_finder import share_finder, shared_finder
from raymask.recognisers.load import load_recogniser
from raymask.storage import Folder

if TYPE_CHECKING:
    from raymask.evaluate.protocols.unmask import UnmaskEvaluation


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """All there is to know about an evaluation that was run."""

    config: EvaluateConfig
    asked: Asked
    answers: Mapping[str, Embedded]
    scored: Mapping[str, Scored]
    figures: Mapping[str, Mapping[str, Figure]]
    differences: list[Difference]
    detection_seconds: float
    """Time spent finding faces, shared by the recognisers that use raymask's finder."""

    @property
    def trial(self) -> Trial:
        """The protocol on its photos."""
        return self.asked.trial

    def text(self) -> str:
        """What the terminal shows."""
        parts = [
            f"{self.config.protocol}: {self.trial.title}\n{self.counts()}",
            text_table(self.scored, self.figures),
            text_differences(self.scored, self.differences),
            "\n".join([*self.gains(), *self.notes()]),
        ]
        return "\n\n".join(part for part in parts if part)

    def counts(self) -> str:
        """On whom, in a sentence."""
        counted = {name: f"{count:,}" for name, count in self._counted().items()}
        left_out = f" ({counted['people_left_out']} more have too few photos)" if self.asked.people_left_out else ""
        worn = f" ({counted['in_real_masks']} in real masks)" if self.config.masked_images is not None else ""
        probes = f"{counted['photos']} photos{worn}, {counted['probes']} probes"
        crowd = f", and one photo of each of {counted['crowd']} people more" if self.trial.crowd else ""
        return f"{counted['people']} people{left_out}, {probes}{crowd}"

    def _counted(self) -> dict[str, int]:
        probes = self.trial.asked
        photos = {(probe.source, probe.photo) for probe in probes}
        return {
            "people": len(self.trial.people),
            "people_left_out": self.asked.people_left_out,
            "photos": len(photos),
            "in_real_masks": sum(source == "masked_images" for source, _ in photos),
            "probes": len(probes),
            "crowd": self.trial.crowd,
        }

    def gains(self) -> list[str]:
        """How many of the first recogniser's errors each other avoids, in the figure that matters most."""
        names = short_names(list(self.scored))
        lines = []
        for row in self.differences:
            cut = row.error_cuts[self.trial.headline]
            if row.minus == self.config.recognisers[0] and not math.isnan(cut.value):
                low, high = sorted(math.copysign(100, cut.value) * end for end in (cut.low, cut.high))
                change = f"{abs(100 * cut.value):.1f}% {'fewer' if cut.value > 0 else 'more'} errors"
                lines.append(
                    f"{names[row.of]} makes {change} than {names[row.minus]} in {self.headline().title} "
                    f"(95% interval {low:.1f} to {high:.1f})"
                )
        return lines

    def headline(self) -> Measure:
        """The measure that matters most, as the first recogniser has it."""
        first, *_ = self.scored.values()
        return next(measure for measure in first.measures if measure.key == self.trial.headline)

    def notes(self) -> list[str]:
        """Who is not there, time, misses and remarks."""
        lines = [
            *self.asked.notes(),
            f"finding faces took {duration(self.detection_seconds)}, shared by all recognisers",
        ]
        for name, answer in self.answers.items():
            rate = len(self.trial.probes) / max(answer.seconds, 1e-9)
            remarks = [
                f"{len(answer.misses)} misses",
                f"{rate:.1f} photos/s once faces are found",
                *self.scored[name].notes,
            ]
            lines.append(f"{name}: {'; '.join(remarks)}")
        return lines

    def table(self) -> dict[str, Any]:
        """What table.json holds."""
        return {
            "protocol": self.config.protocol,
            "title": self.trial.title,
            "config": asdict(self.config),
            "versions": versions(),
            "counts": self._counted(),
            "without_bare_photo": list(self.asked.without_bare),
            "intervals": f"95%, bootstrap over people, {self.config.resamples} resamples",
            "detection_seconds": round(self.detection_seconds, 3),
            "recognisers": {name: self._recogniser(name) for name in self.answers},
            "differences": [
                {"of": row.of, "minus": row.minus, "metrics": row.figures, "error_cut": row.error_cuts}
                for row in self.differences
            ],
        }

    def _recogniser(self, name: str) -> dict[str, Any]:
        answer, scored = self.answers[name], self.scored[name]
        counted = {measure.key: measure.n for measure in scored.measures}
        return {
            "metrics": {key: {**asdict(shown), "n": counted[key]} for key, shown in self.figures[name].items()},
            "misses": [miss._asdict() for miss in answer.misses],
            "seconds": round(answer.seconds, 3),
            "photos_per_second": round(len(self.trial.probes) / max(answer.seconds, 1e-9), 2),
            "notes": scored.notes,
        }


def evaluate(config: EvaluateConfig) -> Evaluation | UnmaskEvaluation:
    """Run one protocol and write `table.json` and `report.html`.

    Raises what `recognise` or `evaluate_unmask` raises.
    """
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
    recognisers = {spec: load_recogniser(spec) for spec in config.recognisers}
    out.write("_check/writable", b"")  # a folder that cannot be written is better known before than after the work
    out.delete_folder("_check")
    probes = Probes.of(config)
    finding = shared_finder().seconds
    answers = embed_probes(trial.probes, probes, recognisers)
    finding = shared_finder().seconds - finding
    scored = {name: trial.score(answer) for name, answer in answers.items()}
    samples = sample(scored, draw_weights(len(trial.people), config.resamples, config.seed))
    done = Evaluation(
        config=config,
        asked=wanted,
        answers=answers,
        scored=scored,
        figures={name: {key: one.figure() for key, one in part.items()} for name, part in samples.items()},
        differences=differences(samples, scored[config.recognisers[0]].measures),
        detection_seconds=finding,
    )
    write_report(done, probes, out)
    out.write("table.json", as_json(done.table()))
    return done
