"""`prepare`: a folder of faces to Parquet of bare and masked crops, on Ray Data.

The photos, sorted, are cut into parts of a fixed number of photos of one split. A part is the unit of work: an actor
that holds the models makes its file and then its record, each of which appears whole or not at all. So an interrupted
run goes on with the parts that have no record, a part done twice overwrites itself with the same rows, and nothing
passes through the driver but counts.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args

from raymask.cluster import connect, own_error
from raymask.data.format.crop_index import INDEX, IndexWriter, locate_crops
from raymask.data.format.schema import dropped_schema, parquet_file, prepared_schema
from raymask.data.format.splits import SPLITS, Split, SplitConfig, draw_splits, given_splits, read_splits
from raymask.data.prepare.photos import (
    Dropped,
    Photo,
    choose_people,
    leave_people_out,
    list_photos,
    read_identities,
    read_left_out,
)
from raymask.errors import ConfigError, DataError, ImageError, NoFaceError, check_choice
from raymask.faces.detection.names import DEFAULT_DETECTOR, absolute_detector, check_detector
from raymask.faces.landmarks.engines import Landmarks
from raymask.faces.masks.looks import TRAIN_LOOKS, check_looks
from raymask.progress import Progress
from raymask.storage import Folder, UnreadableError, absolute

if TYPE_CHECKING:
    import numpy as np

    from raymask.faces.masks import Textures

PhotoWork = Callable[[Photo, Split, bytes], dict[str, Any]]
"""Makes the row of a photo; named here, since `--help` must not load what does it."""

PLAN, RECORDS, SUMMARY, SPLITS_FILE, DROPPED = "plan.json", "_parts", "summary.json", "splits.json", "dropped.parquet"

FORMAT = 6
"""Version of what lies in OUT; 2 brought the index of crops, 3 drew and found faces a little differently,
4 finds harder ones, 5 keeps the detector's points, 6 draws masks by the names of what there is."""

Faces = Literal["subject", "all"]


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What to prepare, and how."""

    images: str
    """Folder (or URI) with the photos as ROOT/IDENTITY/photo.jpg."""
    out: str
    """Folder (or URI) for the prepared faces; shared by all machines of the cluster."""
    min_photos: int = 1
    """Photos a person needs to be prepared at all."""
    identities: str | None = None
    """Text file of the people to prepare, one a line; null: all."""
    leave_out: str | None = None
    """JSON file of people who are not prepared, even if identities names them: a list of names, a mapping of person to
    anything, or lists under headings, as benchmarks/strangers.json is; null: nobody is left out."""
    limit_identities: int | None = None
    """Prepare only the first so many people by name; null: all."""
    splits: str | None = None
    """JSON file of person to split (train, val, test) to use instead of drawing; who is not named is train."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """How people are drawn for validation and test."""
    masks: tuple[str, ...] = TRAIN_LOOKS
    """Masks to draw, each as KIND[:TEXTURE[~STRENGTH]][#RRGGBB[~SHARE]][@below-nose|@chin]: cloth, cloth:gingham,
    cloth:plain#2244aa, surgical@chin. Each photo wears one of them; one named twice is worn twice as often."""
    textures: str | None = None
    """Folder (or URI) with your own pictures (JPEG, PNG, WebP), which masks of the look cloth:own are made of; every
    worker must reach it. null: off."""
    faces: Faces = "subject"
    """Whose faces in a photo wear masks: that of its subject, which is cropped, or all. With all, small faces are
    looked for in every photo, and the subject's box may differ by a few pixels."""
    detector: str = DEFAULT_DETECTOR
    """What finds faces: yunet[:FILE] or mtcnn, as the paper has it."""
    landmarks: Landmarks = "dlib68"
    """What finds the 68 landmarks: dlib's model, whose data excludes commercial use, or mean-head, which is free."""
    seed: int = 0
    """Decides each photo's mask."""
    preview: int | None = None
    """Draw so many photos into OUT/preview.png, and prepare nothing; null: prepare."""
    workers: int | None = None
    """Processes that work on photos; null: one a CPU of the cluster."""
    photos_per_file: int = 100
    """Photos in a Parquet file, and in a unit of work."""

    def __post_init__(self) -> None:
        check_choice("faces", self.faces, get_args(Faces))
        check_detector(self.detector)
        check_choice("landmarks", self.landmarks, get_args(Landmarks))
        for name in ("min_photos", "limit_identities", "workers", "photos_per_file", "preview"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be 1 or more, not {value}")
        check_looks(self.masks, self.textures)


class Repainter(Protocol):
    """What takes masks off again, as it travels to the workers."""

    @property
    def digests(self) -> list[str]:
        """Of the weights that it paints by."""
        ...

    def load(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Read them; what comes is a `Repaint` of photo_work, which is not named here, since `--help` loads this."""
        ...


class Part(NamedTuple):
    """Photos that become one Parquet file."""

    name: str
    """File name under OUT, such as split=train/00012.parquet."""
    split: Split
    photos: list[Photo]

    @property
    def record(self) -> str:
        """Name of the record that marks the part as done."""
        return f"{RECORDS}/{self.name.replace('/', '-')}.json"


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
    config = replace(
        config,
        images=absolute(config.images),
        out=absolute(config.out),
        detector=absolute_detector(config.detector),
        textures=config.textures and absolute(config.textures),
    )
    out = Folder(config.out)
    photos, strangers = list_photos(Folder(config.images))
    chosen, unchosen = _chosen(photos, config)
    counts = Counter(photo.identity for photo in chosen)
    splits = draw_splits(counts, config.split) if config.splits is None else given_splits(counts, config.splits)
    parts = cut_parts(chosen, splits, config.photos_per_file)

    if repainter is not None:
        repainter.load()  # what is damaged is told before OUT is begun
    if _claim(out, config, photos, repainter, _textures(config, quiet=False)):
        out.delete_folder(RECORDS)  # a run may have ended between its summary and this
        return dict(json.loads(out.read(SUMMARY)))
    out.write(SPLITS_FILE, _json(splits))
    _run_parts(parts, config, repainter, out)
    return _finish(out, parts, splits, [*strangers, *unchosen], left_out=_count_left_out(photos, config))


def _textures(config: PrepareConfig, *, quiet: bool) -> Textures | None:
    from raymask.data.prepare.textures import load_textures

    return load_textures(config.textures, quiet=quiet)


def _chosen(photos: list[Photo], config: PrepareConfig) -> tuple[list[Photo], list[Dropped]]:
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


def _count_left_out(photos: Sequence[Photo], config: PrepareConfig) -> dict[str, int]:
    """How many people `leave_out` leaves out, and how many photos of theirs."""
    names = frozenset[str]() if config.leave_out is None else read_left_out(config.leave_out).people
    counts = Counter(photo.identity for photo in photos if photo.identity in names)
    return {"people": len(counts), "photos": counts.total()}


def preview(config: PrepareConfig, count: int, repainter: Repainter | None = None) -> str:
    """Draw `count` photos, or all, spread evenly, as `prepare` would, into OUT/preview.png.

    Returns:
        The picture's address.

    Raises:
        DataError: no photos, or a picture that cannot be written.
        NoFaceError: there is a face in none of them.
    """
    from raymask.data.prepare.sheet import draw_sheet

    images, out = Folder(config.images), Folder(config.out)
    photos, _ = list_photos(images)
    chosen, _ = _chosen(photos, config)
    chosen = [chosen[place * len(chosen) // count] for place in range(count)] if count < len(chosen) else chosen
    work = _photo_worker(config, repainter, _textures(config, quiet=False))
    rows = []
    with Progress("preview", total=len(chosen), unit="photos") as progress:
        for photo in chosen:
            row = _row(work, photo, "train", partial(images.read, photo.image_id))
            if not isinstance(row, Dropped):
                rows.append(row)
            progress.add(1)
    if not rows:
        raise NoFaceError(f"no face was found in {len(chosen):,} photos of {config.images}; preview more of them")
    out.write("preview.png", draw_sheet(rows))
    return out / "preview.png"


def cut_parts(photos: Iterable[Photo], splits: dict[str, Split], photos_per_file: int) -> list[Part]:
    """Consecutive photos of each split, in order of their paths, so that rows lie clustered by person."""
    photos_of: dict[Split, list[Photo]] = {split: [] for split in SPLITS}
    for photo in photos:
        photos_of[splits[photo.identity]].append(photo)
    return [
        Part(f"split={split}/{number:05}.parquet", split, group[start : start + photos_per_file])
        for split, group in photos_of.items()
        for number, start in enumerate(range(0, len(group), photos_per_file))
    ]


def _claim(
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
    plan = json.loads(json.dumps(plan))
    if not out.exists(PLAN):
        if any(name.startswith("split=") for name in out.names()):
            raise DataError(f"{out.uri} holds prepared faces but no {PLAN}; choose another --out")
        out.write(PLAN, _json(plan))
        return False
    earlier = json.loads(out.read(PLAN))
    changed = [key for key in plan if plan[key] != earlier.get(key)]
    if "format" in changed:
        raise DataError(f"{out.uri} was prepared by another version of raymask; prepare into another --out")
    if changed:
        what = "the photos under --images" if changed == ["photos"] else ", ".join(changed)
        raise DataError(f"{out.uri} was prepared with other options ({what} changed); choose another --out")
    return out.exists(SUMMARY)


def _photo_worker(config: PrepareConfig, repainter: Repainter | None, textures: Textures | None) -> PhotoWork:
    from raymask.data.prepare.photo_work import PhotoWorker

    return PhotoWorker(
        masks=config.masks,
        seed=config.seed,
        everybody=config.faces == "all",
        detector=config.detector,
        landmarks=config.landmarks,
        repaint=None if repainter is None else repainter.load(),
        textures=textures,
    )


def _row(work: PhotoWork, photo: Photo, split: Split, read: Callable[[], bytes]) -> dict[str, Any] | Dropped:
    """A photo's row, or why it has none. Raises DataError where storage fails."""
    try:
        return work(photo, split, read())
    except (ImageError, NoFaceError, UnreadableError) as error:
        return Dropped(photo.image_id, str(error))
    except DataError:
        raise
    except Exception as error:  # whatever a library throws at one photo must not cost the others
        return Dropped(photo.image_id, f"{photo.image_id}: {type(error).__name__}: {error}")


class PartWorker:
    """A Ray Data actor: makes the Parquet file and the record of one part at a time."""

    def __init__(self, config: PrepareConfig, repainter: Repainter | None = None) -> None:
        import cv2
        import torch

        torch.set_num_threads(1)  # one actor a CPU: more threads only get in each other's way
        cv2.setNumThreads(1)
        self._images, self._out = Folder(config.images), Folder(config.out)
        if repainter is not None and repainter.digests != json.loads(self._out.read(PLAN))["unmask"]:
            raise DataError("the bundles of unmask are not the same on all machines; copy them anew")
        textures = _textures(config, quiet=True)
        if textures is not None and textures.digest != json.loads(self._out.read(PLAN))["textures"]:
            raise DataError("the pictures in textures are not the same on all machines; copy them anew")
        self._work = _photo_worker(config, repainter, textures)

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Do one part; returns the number of its photos, and what went wrong if it could not be done."""
        part = Part(item["name"], item["split"], [Photo(*photo) for photo in json.loads(item["photos"])])
        try:
            self._do(part)
        except DataError as error:  # storage failed; as an exception it would lose its text on the way to the driver
            return {"photos": 0, "error": str(error)}
        return {"photos": len(part.photos), "error": ""}

    def _do(self, part: Part) -> None:
        if self._out.exists(part.record):
            return  # done by an actor that died before it could say so: the record holds for its file alone
        rows: list[dict[str, Any]] = []
        dropped: list[Dropped] = []
        for photo in part.photos:
            row = _row(self._work, photo, part.split, partial(self._images.read_patiently, photo.image_id))
            if isinstance(row, Dropped):
                dropped.append(row)
            else:
                rows.append(row)
        crops: list[dict[str, Any]] = []
        if rows:
            data = parquet_file(rows, prepared_schema())
            crops = locate_crops(data, rows, part.name)
            self._out.write(part.name, data)
        self._out.write(part.record, _json({"crops": crops, "dropped": dropped}))


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


def _finish(
    out: Folder, parts: Sequence[Part], splits: dict[str, Split], dropped: list[Dropped], *, left_out: dict[str, int]
) -> dict[str, Any]:
    """Gather the parts' records into index, dropped.parquet, summary.json and sheet.png, then drop the records."""
    from raymask.data.prepare.sheet import draw_sheet, sample_rows

    rows: Counter[str] = Counter()
    index = IndexWriter()
    for part in parts:
        record = json.loads(out.read(part.record))
        rows[part.split] += len(record["crops"])
        index.add(record["crops"])
        dropped.extend(Dropped(*item) for item in record["dropped"])
    if dropped and not rows.total():
        out.delete_folder(RECORDS)  # so that the next run tries again
        raise DataError(f"no photo could be prepared; the first of {len(dropped):,}: {min(dropped).reason}")
    listing = [item._asdict() for item in sorted(dropped)]
    out.write(DROPPED, parquet_file(listing, dropped_schema()))
    out.write(INDEX, index.finish())
    people = Counter(splits.values())
    summary = {
        "photos": sum(rows.values()) + len(dropped),
        "rows": sum(rows.values()),
        "dropped": len(dropped),
        "left_out": left_out,
        "splits": {split: {"people": people[split], "rows": rows[split]} for split in SPLITS},
    }
    if summary["rows"]:
        sample = sample_rows(out, [part.name for part in parts if out.exists(part.name)])
        out.write("sheet.png", draw_sheet(sample))
    out.write(SUMMARY, _json(summary))
    out.delete_folder(RECORDS)
    return summary


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
