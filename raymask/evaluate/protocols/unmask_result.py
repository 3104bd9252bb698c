"""What came of an evaluation of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from raymask.data.prepare.photos import Photo
from raymask.evaluate.bootstrap import Figure
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import Miss
from raymask.evaluate.protocols.unmask_fillers import FILLERS
from raymask.evaluate.protocols.unmask_measures import MEASURES
from raymask.evaluate.report.table import blocks, short_names
from raymask.evaluate.report.versions import versions

IDENTITY = "identity"
"""Key of the judge's cosine similarity between the filled and the bare photo."""

TITLES = {IDENTITY: "identity similarity"} | {
    f"{key}_{where}": f"{measure.title}, {where}" for where in ("hole", "crop") for key, measure in MEASURES.items()
}
"""What tables call a measure, in their order."""

HIGHER_IS_BETTER = {IDENTITY: True} | {
    f"{key}_{where}": measure.higher_is_better for where in ("hole", "crop") for key, measure in MEASURES.items()
}


class Example(NamedTuple):
    """A row of the picture grid; crops are (C, C, 3) uint8 RGB."""

    photo: Photo
    look: str
    bare: np.ndarray
    masked: np.ndarray
    mask_map: np.ndarray
    """(C, C) uint8."""
    edges: np.ndarray | None
    """(S, S) uint8; None where no mask was found."""
    filled: Mapping[str, np.ndarray]
    """By method."""


@dataclass(frozen=True, kw_only=True, eq=False)
class UnmaskEvaluation:
    """All there is to know about an evaluation of pictures."""

    config: EvaluateConfig
    judge: str
    people: int
    photos: int
    figures: Mapping[str, Mapping[str, Figure]]
    """By method and measure; methods are fillers and recognisers."""
    gains: Mapping[str, Mapping[str, Mapping[str, Figure]]]
    """What a recogniser has over a filler, by recogniser, filler and measure; positive is more, not better."""
    misses: Sequence[Miss]
    notes: Sequence[str]
    examples: Sequence[Example]

    def text(self) -> str:
        """What the terminal shows."""
        names = self.names()
        columns = [(names[method], [shown(self.figures[method][key]) for key in TITLES]) for method in self.figures]
        head = f"unmask: {self.title()}\n{self.people:,} people, {self.photos:,} photos"
        table = blocks("with 95% interval", list(TITLES.values()), columns)
        return "\n\n".join([head, table, "\n".join([*self.verdicts(), *self.notes])])

    def title(self) -> str:
        """What is done, in a sentence."""
        return f"masks are taken off, and what is painted is compared with the bare photo; identity by {self.judge}"

    def names(self) -> dict[str, str]:
        """Methods as tables call them."""
        short = short_names([method for method in self.figures if method not in FILLERS])
        return {method: short.get(method, method) for method in self.figures}

    def verdicts(self) -> list[str]:
        """For each recogniser whether it is better than every filler, in what matters."""
        names, lines = self.names(), []
        for method, over in self.gains.items():
            for key in (IDENTITY, "ssim_hole", "ssim_crop"):
                beaten = [filler for filler, gains in over.items() if gains[key].low > 0]
                rest = [filler for filler in over if filler not in beaten]
                verdict = (
                    f"better than each filler in {TITLES[key]}"
                    if not rest
                    else (f"not clearly better than {', '.join(rest)} in {TITLES[key]}")
                )
                lines.append(f"{names[method]} is {verdict}")
        return lines

    def table(self) -> dict[str, Any]:
        """What table.json holds."""
        return {
            "protocol": "unmask",
            "title": self.title(),
            "config": asdict(self.config),
            "versions": versions(),
            "counts": {"people": self.people, "photos": self.photos},
            "judge": self.judge,
            "intervals": f"95%, bootstrap over people, {self.config.resamples} resamples",
            "methods": self.figures,
            "gains": self.gains,
            "misses": [miss._asdict() for miss in self.misses],
            "notes": self.notes,
        }


def shown(figure: Figure) -> str:
    """0.812 (0.790 to 0.833), or in dB 21.4 (20.9 to 21.8)."""
    digits = 1 if abs(figure.value) >= 2 else 3
    return f"{figure.value:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"
