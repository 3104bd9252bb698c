"""What came of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raymask.evaluate.asked import Asked
from raymask.evaluate.bootstrap import Figure
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.measures import Measure, Scored
from raymask.evaluate.protocols.base import ProtocolTrial
from raymask.evaluate.report.table import Difference, blocks, short_names, text_differences, text_table
from raymask.evaluate.report.versions import versions
from raymask.evaluate.strangers.measured import StrangerFigures, stranger_table
from raymask.progress import duration


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """All there is to know about an evaluation that was run."""

    config: EvaluateConfig
    asked: Asked
    answers: Mapping[str, Embedded]
    scored: Mapping[str, Scored]
    figures: Mapping[str, Mapping[str, Figure]]
    differences: list[Difference]
    strangers: Mapping[str, StrangerFigures]
    """By recogniser; empty where no strangers were searched."""
    detection_seconds: float
    """Time spent finding faces, shared by the recognisers that use raymask's finder."""

    @property
    def trial(self) -> ProtocolTrial:
        """The protocol on its photos."""
        return self.asked.trial

    def text(self) -> str:
        """What the terminal shows."""
        parts = [
            f"{self.config.protocol}: {self.trial.title}\n{self.counts()}",
            text_table(self.scored, self.figures),
            text_differences(self.scored, self.differences),
            *self._of_strangers(),
            "\n".join([*self.gains(), *self.notes()]),
        ]
        return "\n\n".join(part for part in parts if part)

    def _of_strangers(self) -> list[str]:
        """A table of each recogniser; calibrated thresholds that come from a fit are marked."""
        names = short_names(list(self.scored))
        return [
            blocks(f"strangers, {names[name]}", *stranger_table(found.rows)) for name, found in self.strangers.items()
        ]

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
                *(self.strangers[name].notes if name in self.strangers else ()),
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
            **({"strangers": self.strangers[name].as_table()} if name in self.strangers else {}),
        }
