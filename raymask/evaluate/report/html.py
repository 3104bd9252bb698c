"""The report: one HTML file with all its pictures inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from raymask.data.prepare.photos import Photo
from raymask.errors import RaymaskError
from raymask.evaluate.bootstrap import Figure
from raymask.evaluate.embedding import Miss
from raymask.evaluate.probes import Probe, Probes, Source
from raymask.evaluate.protocols.base import Match
from raymask.evaluate.report.charts import cmc_chart, data_uri, det_chart, roc_chart, score_chart
from raymask.evaluate.report.examples import choose_examples
from raymask.evaluate.report.pages import render_page, said_settings
from raymask.evaluate.report.table import number, short_names
from raymask.evaluate.strangers.measured import StrangerFigures, stranger_table
from raymask.faces.crop import Square
from raymask.faces.images import encode_jpeg
from raymask.recognisers.face_finder import shared_finder
from raymask.storage import Folder

if TYPE_CHECKING:
    from raymask.evaluate.evaluation import Evaluation

TILE = 128
"""Pixels on each side of a picture."""
TILE_REACH = 1.5
"""A tile's side over a crop's: shows hair and chin, so that a person can recognise somebody."""
PHOTOS_SHOWN = 6
MISSES_SHOWN = 300
"""Rows; table.json has them all."""


class Tile(NamedTuple):
    """A picture with its caption."""

    image: str | None
    """Data URI; None if the photo cannot be read."""
    alt: str
    """Whom it shows."""
    captioned: bool = True
    score: float | None = None
    right: bool | None = None


class _Tiles:
    """Makes tiles, each probe's picture once."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self._made: dict[Probe, str | None] = {}

    def __call__(self, probe: Probe, match: Match | None = None) -> Tile:
        if probe not in self._made:
            self._made[probe] = self._picture(probe)
        tile = Tile(self._made[probe], probe.photo.identity.replace("_", " "))
        return tile if match is None else tile._replace(score=match.score, right=match.right)

    def look(self, probe: Probe) -> str:
        """What the person wears."""
        if not probe.is_drawn:
            return "a real mask" if probe.masked else "bare"
        return self._probes.look(probe.photo).replace(":", ", ")

    def _picture(self, probe: Probe) -> str | None:
        try:
            bare = self._probes.as_it_is(probe)
        except RaymaskError:
            return None
        try:
            pixels = self._probes.masked(probe.photo, bare) if probe.is_drawn else bare
        except Exception:  # the list of misses says why; here the bare photo stands in
            pixels = None
        face = shared_finder()(bare)
        height, width = bare.shape[:2]
        box = np.array([0, 0, width, height], np.float32) / 1.5 if face is None else face.box
        centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * TILE_REACH
        square = Square.around(np.concatenate([centre - half, centre + half]))
        cut = square.cut(bare if pixels is None else pixels, TILE)
        return data_uri("image/jpeg", encode_jpeg(cut, quality=82))


def write_report(done: Evaluation, probes: Probes, out: Folder) -> None:
    """Write `report.html`. Raises DataError if it cannot be written."""
    out.write("report.html", render_report(done, probes).encode())


def render_report(done: Evaluation, probes: Probes) -> str:
    """The report as HTML that refers to nothing outside itself."""
    names = short_names(list(done.scored))
    tiles = _Tiles(probes)
    return render_page(
        "report.html.j2",
        done=done,
        names=names,
        measures=next(iter(done.scored.values())).measures,
        cards=_cards(done, names),
        compared=[row for row in done.differences if row.minus == next(iter(names))],
        verdict=_verdict,
        number=number,
        photos=_shown_photos(done, tiles),
        examples=_examples(done, tiles, names),
        curve=_curve(done, names),
        strangers={names[spec]: _strangers(found) for spec, found in done.strangers.items()},
        det=det_chart({names[spec]: found.curves for spec, found in done.strangers.items()})
        if done.strangers
        else None,
        histograms={names[spec]: score_chart(part, *done.trial.scores_shown) for spec, part in done.scored.items()},
        misses=_misses(done, names),
        misses_shown=MISSES_SHOWN,
        settings=said_settings(done.table()),
    )


def _cards(done: Evaluation, names: dict[str, str]) -> list[dict[str, Any]]:
    """The figure that matters most, of each recogniser."""
    headline = done.headline()
    return [
        {"name": names[spec], "title": headline.title, "shown": figures[headline.key]}
        for spec, figures in done.figures.items()
    ]


def _verdict(shown: Figure, higher_is_better: bool) -> str:
    """better, worse or unclear: which way the difference lies, if its interval excludes 0."""
    if not (shown.low > 0 or shown.high < 0):
        return "unclear"
    return "better" if (shown.value > 0) == higher_is_better else "worse"


def _shown_photos(done: Evaluation, tiles: _Tiles) -> list[dict[str, Any]]:
    """Photos of different people with different masks, each in the states it is probed in.

    Of people in real masks a masked photo and the first bare one.
    """
    bare_of = {probe.photo.identity: probe for probe in reversed(done.trial.asked) if not probe.masked}
    states: dict[tuple[Source, Photo], set[Probe]] = {}
    for probe in done.trial.asked:
        states.setdefault((probe.source, probe.photo), set()).add(probe)
        if probe.source == "masked_images" and probe.photo.identity in bare_of:
            states[probe.source, probe.photo].add(bare_of[probe.photo.identity])
    photos = [key for key in states if done.config.masked_images is None or key[0] == "masked_images"]
    chosen: list[tuple[str, list[Probe]]] = []
    seen: set[str] = set()
    for place in np.random.default_rng(done.config.seed).permutation(len(photos)):
        key = photos[place]
        marks = {key[1].identity, *(tiles.look(probe) for probe in states[key] if probe.is_drawn)}
        if len(chosen) < PHOTOS_SHOWN and not marks & seen:
            chosen.append((key[1].identity, sorted(states[key], key=lambda probe: probe.masked)))
            seen |= marks
    return [
        {
            "tiles": [tiles(probe)._replace(captioned=False) for probe in probes],
            "caption": f"{identity.replace('_', ' ')}: {tiles.look(probes[-1])}",
        }
        for identity, probes in chosen
    ]


def _examples(done: Evaluation, tiles: _Tiles, names: dict[str, str]) -> list[dict[str, Any]]:
    probes = done.trial.probes
    return [
        {
            "sort": example.sort,
            "probe": tiles(probes[example.query.probe]),
            "look": tiles.look(probes[example.query.probe]),
            "answers": {
                names[spec]: [tiles(probes[match.probe], match) for match in matches]
                for spec, matches in example.matches.items()
            },
        }
        for example in choose_examples(done.trial, done.answers, seed=done.config.seed)
    ]


def _curve(done: Evaluation, names: dict[str, str]) -> tuple[str, str] | None:
    """The title and picture of the curves, if the protocol has any."""
    lines = {names[spec]: part.lines for spec, part in done.scored.items()}
    if done.config.protocol == "gallery":
        return "Cumulative match: is the person among the first k?", cmc_chart(lines)
    if done.config.protocol == "pairs":
        return "ROC: same pairs accepted against different pairs accepted", roc_chart(lines)
    return None


def _det(done: Evaluation, names: dict[str, str]) -> str | None:
    curves = {names[spec]: found.curves for spec, found in done.strangers.items()}
    return det_chart(curves) if curves else None


def _strangers(found: StrangerFigures) -> dict[str, Any]:
    """A recogniser's table of strangers: titles, lines of cells, and groups by what is searched."""
    heads, columns = stranger_table(found.rows)
    lines = list(zip(heads, *(cells for _, cells in columns), strict=True))
    return {"titles": [title for title, _ in columns], "lines": lines, "groups": found.groups}


def _misses(done: Evaluation, names: dict[str, str]) -> list[tuple[Miss, str]]:
    """Every miss with the recognisers that missed it."""
    missed: dict[Miss, list[str]] = {}
    for spec, answer in done.answers.items():
        for miss in answer.misses:
            missed.setdefault(miss, []).append(names[spec])
    everybody = len(done.answers)
    return [
        (miss, "all" if len(who) == everybody and everybody > 1 else ", ".join(who))
        for miss, who in sorted(missed.items())
    ]
