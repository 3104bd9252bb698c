"""Which photos are prepared, and what OUT remembers of that, so that no rows are mixed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from raymask.data.format.splits import read_splits
from raymask.data.prepare.config import PrepareConfig
from raymask.data.prepare.layout import FORMAT, PLAN, SUMMARY, json_file
from raymask.data.prepare.photos import (
    Dropped,
    Photo,
    choose_people,
    leave_people_out,
    read_identities,
    read_left_out,
)
from raymask.errors import DataError
from raymask.storage import Folder

if TYPE_CHECKING:
    from raymask.data.prepare.part_worker import Repainter
    from raymask.faces.masks import Textures


def chosen_photos(photos: list[Photo], config: PrepareConfig) -> tuple[list[Photo], list[Dropped]]:
    """The photos to prepare, and the others as dropped; people who are left out count for nothing else."""
    named = None if config.identities is None else read_identities(config.identities)
    left: list[Dropped] = []
    if config.leave_out is not None:
        left_out = read_left_out(config.leave_out)
        photos, left = leave_people_out(photos, left_out)
        named = None if named is None else [name for name in named if name not in left_out.people]
        if named == []:
            raise DataError(f"{config.leave_out} names everybody whom --identities names; leave one of them out")
    kept, dropped = choose_people(
        photos, min_photos=config.min_photos, limit_identities=config.limit_identities, named=named
    )
    return kept, [*left, *dropped]


def count_left_out(photos: Sequence[Photo], config: PrepareConfig) -> dict[str, int]:
    """How many people `leave_out` leaves out, and how many photos of theirs."""
    names = frozenset[str]() if config.leave_out is None else read_left_out(config.leave_out).people
    counts = Counter(photo.identity for photo in photos if photo.identity in names)
    return {"people": len(counts), "photos": counts.total()}


def claim(
    out: Folder,
    config: PrepareConfig,
    photos: Sequence[Photo],
    repainter: Repainter | None,
    textures: Textures | None,
) -> bool:
    """Whether OUT is already complete for these options and photos; writes the plan into a new OUT.

    Raises:
        DataError: OUT was made from other photos or with other options, so that rows would be mixed.
    """
    plan = _plan(config, photos, repainter, textures)
    if not out.exists(PLAN):
        if any(name.startswith("split=") for name in out.names()):
            raise DataError(f"{out.uri} holds prepared faces but no {PLAN}; choose another --out")
        out.write(PLAN, json_file(plan))
        return False
    earlier = json.loads(out.read(PLAN))
    changed = [key for key in plan if plan[key] != earlier.get(key)]
    if "format" in changed:
        raise DataError(f"{out.uri} was prepared by another version of raymask; prepare into another --out")
    if changed:
        what = "the photos under --images" if changed == ["photos"] else ", ".join(changed)
        raise DataError(f"{out.uri} was prepared with other options ({what} changed); choose another --out")
    return out.exists(SUMMARY)


def _plan(
    config: PrepareConfig, photos: Sequence[Photo], repainter: Repainter | None, textures: Textures | None
) -> dict[str, Any]:
    """All that rows depend on, as JSON has it."""
    plan = {key: value for key, value in asdict(config).items() if key not in ("out", "workers", "preview")}
    if config.splits is not None:
        plan["splits"] = read_splits(config.splits)
    if config.identities is not None:
        plan["identities"] = sorted(read_identities(config.identities))
    if config.leave_out is not None:
        plan["leave_out"] = sorted(read_left_out(config.leave_out).people)
    plan["unmask"] = None if repainter is None else repainter.digests
    plan["textures"] = None if textures is None else textures.digest
    plan["format"] = FORMAT
    plan["photos"] = hashlib.sha256("\n".join(photo.image_id for photo in photos).encode()).hexdigest()
    return dict(json.loads(json.dumps(plan)))
