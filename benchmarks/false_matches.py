"""False matches by sex, age and origin, among people whom nothing learned from; JSON on standard output.

    python benchmarks/false_matches.py --images FACES --labels FACES/labels.csv [--recogniser fused]

FACES holds one photo of each person, ROOT/IDENTITY/photo.jpg. Each person in a drawn mask is compared with each other
person's bare face. Groups are compared within one source, for pictures of two sources differ more than people do, and
known repeats of one person are left out. The threshold is the score that a rate of all pairs of the source reach; given
is the rate at which two people of a group reach it, with a 95% interval over people.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raymask.cli import parse, run
from raymask.data.prepare.photos import list_photos
from raymask.errors import ConfigError
from raymask.evaluate.bootstrap import Sampled, draw_weights
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import embed_probes
from raymask.evaluate.probes import Probe, Probes
from raymask.evaluate.report.table import as_json
from raymask.faces.masks.looks import TEST_LOOKS
from raymask.recognisers.face_finder import share_finder
from raymask.recognisers.kinds import load_recogniser
from raymask.storage import Folder

HERE = Path(__file__).parent
SOURCES = {"u": "UTKFace", "a": "All-Age-Faces"}
"""By the first letter of a folder's name."""
SEXES = {"0": "male", "1": "female"}
ORIGINS = {"0": "White", "1": "Black", "2": "Asian", "3": "Indian", "4": "other"}
AGES = (10, 20, 40, 60)
"""Where age groups begin."""
LEAST = 50
"""People of a group, at least; smaller ones are left out."""


@dataclass(frozen=True, kw_only=True)
class FalseMatchConfig:
    """Whom to compare."""

    images: str | None = None
    """Photos, one a person; null: nothing is measured."""
    labels: str | None = None
    """CSV file with the columns folder, age, sex and origin; given with images."""
    people: str = str(HERE / "strangers.json")
    """JSON file that lists who may take part, under `faces` and further headings."""
    repeats: str = str(HERE / "strangers_repeats.json")
    """JSON file with pairs of folders that show one person (`same`) or may (`unsure`), which are left out."""
    recogniser: str = "fused"
    """Whose scores; any that jobs/evaluate.py takes."""
    rate: float = 1e-3
    """Of all pairs of a source that reach the threshold."""
    resamples: int = 500
    """Of people, behind the intervals."""

    def __post_init__(self) -> None:
        if (self.images is None) != (self.labels is None):
            raise ConfigError("images and labels go together; name both, or neither")


@dataclass(frozen=True, eq=False)
class Scores:
    """N people's masked faces against N bare ones."""

    names: Sequence[str]
    cosines: np.ndarray
    """(N, N) float32, masked by bare; NaN where both are one person, may be, or a face was not found."""


def scores_of(config: FalseMatchConfig, labelled: Collection[str]) -> Scores:
    """Of all the people listed who are labelled."""
    listed = set(_flat(json.loads(Path(config.people).read_text())["faces"])) & set(labelled)
    photos = [photo for photo in list_photos(Folder(str(config.images)))[0] if photo.identity in listed]
    asked = EvaluateConfig(
        protocol="gallery",
        recognisers=(config.recogniser,),
        images=str(config.images),
        people=config.people,
        masks=TEST_LOOKS,
        out="",
    )
    wanted = [Probe(photo, masked) for photo in photos for masked in (False, True)]
    share_finder(asked.detector)
    answer = embed_probes(wanted, Probes.of(asked), {"": load_recogniser(config.recogniser)})[""]
    cosines = answer.embeddings[1::2] @ answer.embeddings[::2].T
    cosines[~answer.found[1::2]] = np.nan
    cosines[:, ~answer.found[::2]] = np.nan
    np.fill_diagonal(cosines, np.nan)
    row = {photo.identity: number for number, photo in enumerate(photos)}
    repeats = json.loads(Path(config.repeats).read_text())
    for one, other in (*repeats["same"], *repeats["unsure"]):
        if one in row and other in row:
            cosines[row[one], row[other]] = cosines[row[other], row[one]] = np.nan
    return Scores([photo.identity for photo in photos], cosines)


def _flat(listed: Any) -> Iterator[str]:
    """All names under any headings."""
    for part in listed.values() if isinstance(listed, Mapping) else [listed]:
        yield from part if isinstance(part, list) else _flat(part)


def groups_of(label: Mapping[str, str]) -> list[str]:
    """The groups that somebody belongs to."""
    begins = max((age for age in AGES if age <= int(label["age"])), default=None)
    older = next((age for age in AGES if begins is not None and age > begins), None)
    age = [] if begins is None else [f"aged {begins} and over" if older is None else f"aged {begins} to {older - 1}"]
    return [*(table[label[key]] for key, table in (("sex", SEXES), ("origin", ORIGINS)) if label[key]), *age]


def rates_of(scores: Scores, labels: Mapping[str, Mapping[str, str]], config: FalseMatchConfig) -> dict[str, Any]:
    """By source: the threshold, and each group's people, pairs and rate."""
    found: dict[str, Any] = {}
    for letter, source in SOURCES.items():
        rows = np.array([n for n, name in enumerate(scores.names) if name.startswith(letter)], dtype=int)
        if len(rows) < LEAST:
            continue
        here = scores.cosines[np.ix_(rows, rows)]
        threshold = float(np.nanquantile(here, 1 - config.rate))
        member = [groups_of(labels[scores.names[row]]) for row in rows]
        names = ["all", *sorted({name for groups in member for name in groups})]
        table = {}
        for name in names:
            own = [n for n, groups in enumerate(member) if name == "all" or name in groups]
            if len(own) >= LEAST:
                table[name] = rate(here[np.ix_(own, own)], threshold, config.resamples)
        found[source] = {"threshold": round(threshold, 4), "rate_of_all": config.rate, "groups": table}
    return found


def rate(cosines: np.ndarray, threshold: float, resamples: int) -> dict[str, Any]:
    """How often two people of a group reach a threshold."""
    counted = ~np.isnan(cosines)
    reached = counted & (np.nan_to_num(cosines, nan=-1) >= threshold)

    def share(weights: np.ndarray) -> np.ndarray:
        both = [np.einsum("rp,rp->r", weights @ one.astype(np.float64), weights) for one in (reached, counted)]
        return np.asarray(both[0] / both[1])

    figure = Sampled.of(share, draw_weights(len(cosines), resamples, 0)).figure()
    return {"people": len(cosines), "pairs": int(counted.sum()), "false_match_rate": figure}


def main() -> None:
    config = parse(FalseMatchConfig, __doc__ or "")
    if config.images is None:
        print(json.dumps({"skipped": "false_matches needs --images and --labels, photos of real people"}))
        return
    with Path(str(config.labels)).open(newline="") as file:
        labels = {line["folder"]: line for line in csv.DictReader(file)}
    with redirect_stdout(sys.stderr):  # progress
        found = rates_of(scores_of(config, labels), labels, config)
    print(as_json({"recogniser": config.recogniser} | found).decode())


if __name__ == "__main__":
    run(main)
