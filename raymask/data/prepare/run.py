"""`prepare`: a folder of faces to Parquet of bare and masked crops, on Ray Data.

The photos, sorted, are cut into parts of a fixed number of photos of one split. A part is the unit of work: an actor
that holds the models makes its file and then its record, each of which appears whole or not at all. So an interrupted
run continues with the parts that have no record, a part done twice overwrites itself with the same rows, and nothing
passes through the driver but counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from raymask.cluster import connect, own_error
from raymask.data.format.splits import draw_splits, given_splits
from raymask.data.prepare.config import PrepareConfig
from raymask.data.prepare.finish import finish
from raymask.data.prepare.layout import RECORDS, SPLITS_FILE, SUMMARY, json_file
from raymask.data.prepare.part_worker import PartWorker, Repainter
from raymask.data.prepare.parts import Part, cut_parts
from raymask.data.prepare.photos import list_photos
from raymask.data.prepare.plan import chosen_photos, claim, count_left_out
from raymask.errors import DataError
from raymask.faces.detection.names import absolute_detector
from raymask.progress import Progress
from raymask.storage import Folder, absolute


def prepare(config: PrepareConfig, repainter: Repainter | None = None) -> dict[str, Any]:
    """Prepare a folder of faces; a second run with the same options changes nothing.

    Args:
        config: what to prepare, and how.
        repainter: takes each subject's mask off again, so that `masked_image` is what an embedder is shown whose photos
            are unmasked first; None: masks stay on.

    Returns:
        What `OUT/summary.json` says.

    Raises:
        DataError: no photos, none of them usable, somebody named who has none, an output that cannot be written, or one
            made with other options.
    """
    from raymask.data.prepare.textures import load_textures

    config = replace(
        config,
        images=absolute(config.images),
        out=absolute(config.out),
        detector=absolute_detector(config.detector),
        textures=config.textures and absolute(config.textures),
    )
    out = Folder(config.out)
    photos, strangers = list_photos(Folder(config.images))
    chosen, unchosen = chosen_photos(photos, config)
    counts = Counter(photo.identity for photo in chosen)
    splits = draw_splits(counts, config.split) if config.splits is None else given_splits(counts, config.splits)
    parts = cut_parts(chosen, splits, config.photos_per_file)

    if repainter is not None:
        repainter.load()  # what is damaged is told before OUT is begun
    if claim(out, config, photos, repainter, load_textures(config.textures)):
        out.delete_folder(RECORDS)  # a run may have ended between its summary and this
        return dict(json.loads(out.read(SUMMARY)))
    out.write(SPLITS_FILE, json_file(splits))
    _run_parts(parts, config, repainter, out)
    return finish(out, parts, splits, [*strangers, *unchosen], left_out=count_left_out(photos, config))


def _run_parts(parts: Sequence[Part], config: PrepareConfig, repainter: Repainter | None, out: Folder) -> None:
    """Do the parts that have no record yet, on Ray Data."""
    recorded = set(out.names())
    missing = [part for part in parts if part.record not in recorded]
    total = sum(len(part.photos) for part in parts)
    with Progress("prepare", total=total, unit="photos") as progress:
        progress.skip(total - sum(len(part.photos) for part in missing))
        if missing:
            _run_on_ray(missing, config, repainter, progress)


def _run_on_ray(parts: Sequence[Part], config: PrepareConfig, repainter: Repainter | None, progress: Progress) -> None:
    import ray

    connect()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # ours knows the photos; Ray's counts blocks
    workers = min(len(parts), config.workers or int(ray.cluster_resources().get("CPU", 1)))
    items = [{"name": part.name, "split": part.split, "photos": json.dumps(part.photos)} for part in parts]
    done = ray.data.from_items(items, override_num_blocks=len(items)).map(
        PartWorker,
        fn_constructor_args=(config, repainter),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
    )
    try:
        for part in done.iter_rows():
            if part["error"]:
                raise DataError(part["error"])
            progress.add(int(part["photos"]))
    except ray.exceptions.RayError as error:
        raise own_error(error) from error
