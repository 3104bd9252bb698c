"""From options to the protocol on its photos: who and what is asked about, and where its pixels come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raymask.data.prepare.photos import Photo, list_photos
from raymask.errors import DataError
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.people import choose_crowd, choose_masked, choose_photos, people_of_split, without_bare
from raymask.evaluate.protocols.base import ProtocolTrial
from raymask.evaluate.protocols.batch import BatchTrial
from raymask.evaluate.protocols.gallery import GalleryTrial
from raymask.evaluate.protocols.pairs import PairsTrial
from raymask.evaluate.protocols.pairs_drawn import draw_pairs
from raymask.evaluate.protocols.pairs_file import Pair, Tree, read_pairs
from raymask.storage import Folder, folder_and_name

NAMED = 10
"""People whom a note names, at most."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A protocol on its photos."""

    trial: ProtocolTrial
    people_left_out: int = 0
    """People of the split with too few photos for the protocol."""
    without_bare: Sequence[str] = ()
    """People under `masked_images` who have no photo under `images` and so take no part."""

    def notes(self) -> list[str]:
        """Sentences on who is not there."""
        if not self.without_bare:
            return []
        named = ", ".join(self.without_bare[:NAMED])
        more = len(self.without_bare) - NAMED
        named += f" and {more:,} more" if more > 0 else ""
        return [f"left out, without a photo under images: {len(self.without_bare):,} under masked_images ({named})"]


def ask(config: EvaluateConfig) -> Asked:
    """What the options ask for.

    Raises:
        DataError: photos, people or pairs are missing, or `clean` matches no masked photo.
    """
    photos, _ = list_photos(Folder(config.images))
    masked = None if config.masked_images is None else list_photos(Folder(config.masked_images))[0]
    lost = [] if masked is None else without_bare(photos, masked, config)
    if config.protocol == "pairs":
        trial, left_out = _pairs(config, photos, masked)
    elif config.protocol == "batch":
        chosen, left_out = choose_photos(photos, config, least=6)
        trial = BatchTrial(chosen, batches=config.batches, seed=config.seed)
    else:
        trial, left_out = _gallery(config, photos, masked)
    return Asked(trial=trial, people_left_out=left_out, without_bare=lost)


def _gallery(config: EvaluateConfig, photos: list[Photo], masked: list[Photo] | None) -> tuple[ProtocolTrial, int]:
    chosen, left_out = choose_photos(photos, config, least=2, masked=masked or ())
    elsewhere = config.crowd_images is not None
    crowd = choose_crowd(list_photos(Folder(config.crowd_images))[0] if config.crowd_images else photos, config)
    trial = GalleryTrial(
        chosen,
        draws=config.draws,
        seed=config.seed,
        crowd=crowd,
        crowd_source="crowd_images" if elsewhere else "images",
        in_real_masks=None if masked is None else choose_masked(masked, chosen, config),
        clean=config.clean,
    )
    return trial, left_out


def _pairs(config: EvaluateConfig, photos: list[Photo], masked: list[Photo] | None) -> tuple[ProtocolTrial, int]:
    assert config.pairs is not None  # the configuration refuses protocol pairs without
    if config.pairs_drawn is not None:
        chosen, left_out = choose_photos(photos, config, least=2, masked=masked or ())
        ordered = config.mask == "one" or masked is not None
        worn = None if masked is None else choose_masked(masked, chosen, config)
        drawn = draw_pairs(chosen, config.pairs_drawn, ordered=ordered, seed=config.seed, masked=worn)
        return PairsTrial(drawn, mask=config.mask, clean=config.clean), left_out
    return PairsTrial(_pairs_of_file(config, config.pairs, photos, masked), mask=config.mask, clean=config.clean), 0


def _pairs_of_file(config: EvaluateConfig, address: str, photos: list[Photo], masked: list[Photo] | None) -> list[Pair]:
    folder, name = folder_and_name(address)
    text = folder.read(name).decode("utf-8", errors="replace")
    worn = None if masked is None or config.masked_images is None else Tree(masked, config.masked_images)
    pairs = read_pairs(text, address, Tree(photos, config.images), worn)
    if masked is not None and not any(any(pair.in_truth) for pair in pairs):
        raise DataError(f"{address} names no photo masked/IDENTITY/photo.jpg; leave --masked-images out")
    if config.people is not None:
        people = people_of_split(config.people)
        pairs = [pair for pair in pairs if {pair.first.identity, pair.second.identity} <= people]
    if not (any(pair.same for pair in pairs) and any(not pair.same for pair in pairs)):
        raise DataError(f"{address} has no pairs of both sorts{' among these people' if config.people else ''}")
    return pairs
