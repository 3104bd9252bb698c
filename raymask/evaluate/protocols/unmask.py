"""Protocol `unmask`: the pictures that an inpainter makes of masked photos, beside the true ones and plain fillers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from raymask.data.prepare.photos import Photo, list_photos
from raymask.errors import ConfigError, DataError, ImageError
from raymask.evaluate.bootstrap import Figure, Ratio, Sampled, draw_weights, sums_by_person
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import Miss
from raymask.evaluate.people import choose_photos
from raymask.evaluate.probes import Probes
from raymask.evaluate.protocols.unmask_fillers import FILLERS, MASKED_PHOTO
from raymask.evaluate.protocols.unmask_measures import PictureJudge
from raymask.evaluate.protocols.unmask_result import IDENTITY, TITLES, Example, UnmaskEvaluation
from raymask.evaluate.report.table import as_json
from raymask.evaluate.report.unmask_html import write_unmask_report
from raymask.faces.crop import Square
from raymask.models.digest import weights_digest
from raymask.models.spec import MriiParts
from raymask.models.teacher import load_teacher
from raymask.progress import Progress
from raymask.recognisers.face_finder import shared_finder
from raymask.recognisers.mrii import MriiRecogniser
from raymask.storage import Folder, UnreadableError

EXAMPLES = 8
"""Photos of different people in the picture grid."""


@dataclass(eq=False)
class _Tally:
    """Values of each photo, by method and measure."""

    person: list[str] = field(default_factory=list)
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    misses: list[Miss] = field(default_factory=list)
    unseen: int = 0
    """Filled photos in which the judge found no face."""
    unfound: int = 0
    """Photos in which no mask was found, or too large a one to take off."""

    def add(self, method: str, figures: Mapping[str, float]) -> None:
        for key, value in figures.items():
            self.values.setdefault(method, {}).setdefault(key, []).append(value)


def evaluate_unmask(config: EvaluateConfig) -> UnmaskEvaluation:
    """Run the protocol and write `table.json`, `report.html` and `grid.png`.

    Raises:
        DataError: photos or people are missing, or the output cannot be written.
        ModelError: a bundle is missing or of another kind.
        ConfigError: the recognisers are judged by different embedders, or by the inpainter's own teacher.
    """
    out = Folder(config.out)
    photos, _ = list_photos(Folder(config.images))
    chosen, _ = choose_photos(photos, config, least=1)
    named = [MriiParts.of(spec) for spec in config.recognisers]
    judge = _only("judge", (parts.embedder for parts in named))
    _only("segmenter", (parts.segmenter for parts in named))  # the fillers fill what it finds
    recognisers = {spec: MriiRecogniser(str(MriiParts.of(spec)).removeprefix("mrii:")) for spec in config.recognisers}
    _check_judge(judge, recognisers)
    out.write("_check/writable", b"")  # a folder that cannot be written is better known before than after the work
    out.delete_folder("_check")
    probes = Probes.of(config)
    tally, examples = _judged(chosen, probes, recognisers, judge)
    if not tally.person:
        raise DataError(f"no photo could be judged; the first of {len(tally.misses):,}: {tally.misses[0].reason}")
    figures, gains = _figures(tally, config, [*recognisers])
    done = UnmaskEvaluation(
        config=config,
        judge=judge,
        people=len(set(tally.person)),
        photos=len(tally.person),
        figures=figures,
        gains=gains,
        misses=tally.misses,
        notes=_notes(tally),
        examples=examples,
    )
    write_unmask_report(done, out)
    out.write("table.json", as_json(done.table()))
    return done


def _only(what: str, names: Iterable[str]) -> str:
    """The one name that there is. Raises ConfigError if there are several."""
    different = sorted(set(names))
    if len(different) > 1:
        raise ConfigError(f"protocol unmask has one {what}, and these name {', '.join(different)}; name one")
    return different[0]


def _check_judge(judge: str, recognisers: Mapping[str, MriiRecogniser]) -> None:
    """Raise ConfigError if an inpainter has learned from the judge."""
    for spec, recogniser in recognisers.items():
        if weights_digest(judge) in recogniser.training.get("teachers_sha256", []):
            raise ConfigError(
                f"{spec}: the inpainter learned from {judge}, which cannot judge its pictures; name another"
            )


def _judged(
    photos: Sequence[Photo], probes: Probes, recognisers: Mapping[str, MriiRecogniser], judge: str
) -> tuple[_Tally, list[Example]]:
    """All photos' values, and the first photos of some people as examples."""
    work = _PhotoJudge(probes, recognisers, judge)
    shown_people: set[str] = set()
    with Progress("unmask", total=len(photos), unit="photos") as progress:
        for photo in photos:
            example = work.judge(photo)
            if example is not None and len(work.examples) < EXAMPLES and photo.identity not in shown_people:
                shown_people.add(photo.identity)
                work.examples.append(example)
            progress.add(1)
    return work.tally, work.examples


class _PhotoJudge:
    """Masks, unmasks, fills and compares one photo after another."""

    def __init__(self, probes: Probes, recognisers: Mapping[str, MriiRecogniser], judge: str) -> None:
        self._probes, self._recognisers = probes, recognisers
        self._embed = next(iter(recognisers.values())).embedder.embed  # the same in all
        self._pictures = PictureJudge(load_teacher(judge))
        self.tally, self.examples = _Tally(), list[Example]()

    def judge(self, photo: Photo) -> Example | None:
        """Add a photo to the tally; None if it cannot be judged, which is listed."""
        try:
            bare = self._probes.bare(photo)
        except (ImageError, UnreadableError) as error:
            return self._miss(photo, f"unreadable: {error}")
        try:
            drawn = self._probes.drawn(photo, bare)
        except Exception as error:  # whatever a library throws at one photo must not cost the others
            return self._miss(photo, f"no mask could be drawn ({type(error).__name__}: {error})")
        if drawn is None:
            return self._miss(photo, "no face found in the bare photo that a mask would cover")
        masked, true_map = drawn
        bare_face, face = shared_finder()(bare), shared_finder()(masked)
        if face is None or bare_face is None:
            return self._miss(photo, "no face found in the masked photo")
        square = Square.around(face.box)
        true_crop, hole = square.cut(bare), square.cut_map(true_map) > 0
        if not hole.any():
            return self._miss(photo, "the face found in the masked photo is another")
        unmasked = {name: one.unmask_face(masked, face.box) for name, one in self._recognisers.items()}
        first = next(iter(unmasked.values()))
        self.tally.unfound += not first.had_mask
        crops = {name: fill(first.crop, first.hole) for name, fill in FILLERS.items()}
        whole = {name: square.put_back(masked, crop, first.hole_map) for name, crop in crops.items()}
        whole[MASKED_PHOTO] = masked  # as it is, not as its crop was resampled
        crops |= {name: one.filled for name, one in unmasked.items()}
        whole |= {name: one.photo for name, one in unmasked.items()}
        embeddings, found = self._embed([bare, *whole.values()])
        if not found[0]:
            return self._miss(photo, "the judge finds no face in the bare photo")
        points = square.to_crop(bare_face.points)
        for place, (name, crop) in enumerate(crops.items(), start=1):
            figures = self._pictures.compare(crop, true_crop, hole, points)
            self.tally.add(name, {IDENTITY: float(embeddings[place] @ embeddings[0]), **figures})
            self.tally.unseen += not found[place]
        self.tally.person.append(photo.identity)
        return Example(photo, self._probes.look(photo), true_crop, first.crop, first.mask_map, first.edges, crops)

    def _miss(self, photo: Photo, reason: str) -> Example | None:
        self.tally.misses.append(Miss(photo.image_id, True, reason))
        return None


def _figures(
    tally: _Tally, config: EvaluateConfig, recognisers: Sequence[str]
) -> tuple[dict[str, dict[str, Figure]], dict[str, dict[str, dict[str, Figure]]]]:
    """Means over photos with intervals over people, and the paired differences from each filler."""
    names, person = np.unique(tally.person, return_inverse=True)
    weights = draw_weights(len(names), config.resamples, config.seed)
    photos = sums_by_person(np.ones(len(person)), person, len(names))
    samples = {
        method: {
            key: Sampled.of(Ratio(sums_by_person(np.array(values[key]), person, len(names)), photos), weights)
            for key in TITLES
        }
        for method, values in tally.values.items()
    }
    figures = {method: {key: one.figure() for key, one in part.items()} for method, part in samples.items()}
    gains = {
        method: {
            filler: {key: samples[method][key].minus(samples[filler][key]).figure() for key in TITLES}
            for filler in FILLERS
        }
        for method in recognisers
    }
    return figures, gains


def _notes(tally: _Tally) -> list[str]:
    notes = [
        "SSIM: Gaussian window of 1.5 pixels, crops of 224; LPIPS-like: squared distance of the judge's inner maps",
        "the hole is the mask that was drawn, whatever was found of it; fillers fill what was found",
    ]
    if tally.misses:
        notes.append(f"{len(tally.misses)} photos could not be judged (see table.json)")
    if tally.unfound:
        notes.append(
            f"in {tally.unfound} photos no mask was found, or one over nearly all; they came back as they were"
        )
    if tally.unseen:
        notes.append(f"in {tally.unseen} pictures the judge found no face; their similarity counts as 0")
    return notes
