"""What an evaluation is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from raymask.data.format.splits import SPLITS, Split
from raymask.errors import ConfigError, check_choice
from raymask.evaluate.strangers.config import StrangersConfig
from raymask.faces.detection.names import DEFAULT_DETECTOR, check_detector
from raymask.faces.masks.looks import TEST_LOOKS, check_looks
from raymask.models.spec import ModelSpec, MriiParts

ProtocolName = Literal["batch", "gallery", "pairs", "unmask"]
MOST_PAIRS = 100_000
"""Pairs that are drawn, at most."""

PairMask = Literal["none", "one", "both"]
Drawing = Literal["fitted", "flat"]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(StrangersConfig):
    """Whom to recognise, by which recognisers, and how it is judged."""

    recognisers: tuple[str, ...]
    """Recognisers to compare; differences are taken from the first."""
    images: str
    """Folder (or URI) with whole photos as ROOT/IDENTITY/photo.jpg."""
    masked_images: str | None = None
    """Folder (or URI) with photos of people in real masks, ROOT/IDENTITY/photo.jpg, identities as in images; null:
    masks are drawn. In protocol gallery all of them are the masked probes, and a person needs one bare photo beside
    them. In protocol pairs the second photo of each drawn pair is one of them; in a file, those it names masked/..."""
    clean: str | None = None
    """File names of masked photos, such as '*c.*', whose figures are reported beside those of all; ? and [ab] match one
    character; null: none. For masked_images."""
    out: str
    """Folder (or URI) for table.json and report.html."""
    protocol: ProtocolName
    """batch: nearest other photo in batches of 20 people x (3 bare + 3 masked); gallery: one bare photo a person
    enrolled, all others as probes; pairs: same person or not, in LFW's format; unmask: the pictures that mrii makes,
    beside plain fillers, judged by its embedder, which must not be the teacher that the inpainter learned from."""
    people: str | None = None
    """JSON file of person to split, and which split: FILE[:train|val|test], test if not said. With pairs it keeps the
    pairs among these people; null: all pairs."""
    pairs: str | None = None
    """For protocol pairs: a number, to draw so many pairs of the same and so many of different people by seed; or a
    file of them, tab-separated: LFW's lines `name i j` and `name i name j`, or two paths, bare/IDENTITY/photo.jpg under
    images and masked/IDENTITY/photo.jpg under masked_images."""
    mask: PairMask = "none"
    """Which photos of a pair wear a mask: none, one (the second), both. For protocol pairs."""
    masks: tuple[str, ...] = TEST_LOOKS
    """Masks to draw, as jobs/prepare.py takes them; each photo wears one. Training draws none of the default."""
    textures: str | None = None
    """Folder (or URI) with your own pictures (JPEG, PNG, WebP), which masks of the look cloth:own are made of; null:
    off."""
    drawing: Drawing = "fitted"
    """How: fitted to head and light, as jobs/prepare.py does; or flat, a picture over six points, as MaskTheFace
    does."""
    own: tuple[str, ...] = ()
    """Your own embedders and backbones that bundles may name, commas between them: installed entry points or
    python:MODULE:ATTRIBUTE. What a bundle names and this does not is never imported."""
    detector: str = DEFAULT_DETECTOR
    """What finds faces: yunet[:FILE] or mtcnn, as the paper has it."""
    seed: int = 0
    """0 or more. Decides masks, batches, enrolled photos and resamples."""
    limit_people: int | None = None
    """Take a seeded choice of so many people; null: all. Not for a file of pairs."""
    max_photos: int | None = None
    """Take a seeded choice of so many photos a person, and of so many of masked_images; null: all. Not for a file of
    pairs."""
    batches: int = 1000
    """Batches to draw. For protocol batch."""
    draws: int = 10
    """Times the enrolled photos are drawn anew; figures are over all draws. For protocol gallery."""
    crowd: int = 0
    """So many people more are enrolled, by a bare photo each, about whom nobody asks; drawn by seed among those under
    ROOT whom FILE names train or not at all. For protocol gallery."""
    crowd_images: str | None = None
    """Folder (or URI) that the crowd comes from, as ROOT/IDENTITY/photo.jpg; null: images."""
    strangers_labels: str | None = None
    """CSV file that says of strangers what groups they belong to: a column of people and others, such as sex, origin
    and age; null: groups are not told apart."""
    resamples: int = 2000
    """Resamples of the people behind each 95% interval, at least 100."""

    def __post_init__(self) -> None:
        self._check_choices()
        least_photos = {"batch": 6, "unmask": 1}.get(self.protocol, 2)
        for name, least in (
            ("limit_people", 2),
            ("max_photos", least_photos),
            ("batches", 1),
            ("draws", 1),
            ("crowd", 0),
            ("resamples", 100),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} must be {least} or more, not {value}")
        if self.seed < 0:
            raise ConfigError(f"seed must be 0 or more, not {self.seed}")
        check_detector(self.detector)
        check_looks(self.masks, self.textures)

    @property
    def pairs_drawn(self) -> int | None:
        """How many pairs of either sort are to be drawn; None: they are in a file, or none are asked for."""
        return int(self.pairs) if self.pairs is not None and self.pairs.isdecimal() else None

    def _check_choices(self) -> None:
        for name, known in (
            ("protocol", get_args(ProtocolName)),
            ("mask", get_args(PairMask)),
            ("drawing", get_args(Drawing)),
        ):
            check_choice(name, getattr(self, name), known)
        if not self.recognisers:
            raise ConfigError("name at least one recogniser")
        if len(set(self.recognisers)) < len(self.recognisers):
            raise ConfigError(f"a recogniser is named twice in {', '.join(self.recognisers)}; name each once")
        if self.protocol == "pairs":
            if self.pairs is None:
                raise ConfigError("protocol pairs needs --pairs FILE, such as LFW's pairs.txt, or a number to draw")
            if self.pairs_drawn is not None and not 1 <= self.pairs_drawn <= MOST_PAIRS:
                raise ConfigError(f"pairs must be 1 to {MOST_PAIRS:,} to draw, not {self.pairs}")
        if self.people is None and (self.protocol != "pairs" or self.pairs_drawn is not None):
            raise ConfigError(
                f"protocol {self.protocol} needs --people FILE[:split], such as OUT/splits.json of prepare"
            )
        if self.people is not None:
            people_split(self.people)
        for spec in self.recognisers if self.protocol == "unmask" else ():
            _check_judged(spec)
        self._check_misplaced()

    def _check_misplaced(self) -> None:
        """Refuse options that the protocol would silently pass over."""
        misplaced, of_file = {}, ""
        if self.protocol != "pairs":
            misplaced = {"pairs": self.pairs is not None, "mask": self.mask != "none"}
        elif self.pairs_drawn is None:
            misplaced = {"limit_people": self.limit_people is not None, "max_photos": self.max_photos is not None}
            of_file = " with a file"
        misplaced["crowd"] = self.crowd > 0 and self.protocol != "gallery"
        misplaced["masked_images"] = self.masked_images is not None and self.protocol not in ("gallery", "pairs")
        for name, given in misplaced.items():
            if given:
                raise ConfigError(f"{name} has no effect on protocol {self.protocol}{of_file}; leave it out")
        if self.crowd_images is not None and self.crowd == 0:
            raise ConfigError("crowd_images has no effect without crowd; say by --crowd how many people to enrol")
        self._check_real_masks()
        self._check_strangers()

    def _check_strangers(self) -> None:
        """Refuse what has no effect without strangers, or on other protocols."""
        if self.strangers and self.protocol != "gallery":
            raise ConfigError(f"strangers has no effect on protocol {self.protocol}; leave it out")
        for name in [one.name for one in fields(StrangersConfig) if one.name != "strangers"] + ["strangers_labels"]:
            if getattr(self, name) is not None and not self.strangers:
                raise ConfigError(f"{name} has no effect without strangers; name a folder of their photos")

    def _check_real_masks(self) -> None:
        """Refuse what has no effect on photos in real masks, or without them."""
        if self.masked_images is None:
            if self.clean is not None:
                raise ConfigError("clean has no effect without masked_images; leave it out, or name their folder")
            return
        if self.masked_images == self.images:
            raise ConfigError(f"masked_images and images are both {self.images}; bare photos need another folder")
        drawn = {"masks": self.masks != TEST_LOOKS, "drawing": self.drawing != "fitted", "mask": self.mask != "none"}
        drawn["textures"] = self.textures is not None
        for name, given in drawn.items():
            if given:
                raise ConfigError(f"{name} has no effect with masked_images, where no mask is drawn; leave it out")


def _check_judged(spec: str) -> None:
    """Raise ConfigError if protocol unmask cannot judge the pictures of this recogniser."""
    if ModelSpec.of(spec).kind != "mrii":
        raise ConfigError(f"protocol unmask takes mrii:SEGMENTER,INPAINTER,EMBEDDER only, not {spec!r}")
    judge = MriiParts.of(spec).embedder
    if ModelSpec.of(judge).kind not in ("sface", "dlib", "onnx", "bundle") or "://" in judge:
        raise ConfigError(
            f"{spec}: protocol unmask is judged by sface, dlib, a local onnx:FILE or bundle:DIR, not {judge}"
        )


def people_split(people: str) -> tuple[str, Split]:
    """FILE[:split] as the file and the split.

    Raises:
        ConfigError: what follows the last colon is no split.
    """
    address, _, end = people.rpartition(":")
    for split in SPLITS:
        if end == split and address:
            return address, split
    if address and "/" not in end and "." not in end:
        raise ConfigError(f"people {people!r}: {end!r} is no split; choose one of {', '.join(SPLITS)}")
    return people, "test"
