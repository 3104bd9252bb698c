"""Bulk enrolment on Ray Data: a folder of photos, or prepared faces, into a gallery that is not in service.

Workers see photos as the service does; this process is the gallery's writer. A photo is known by its bytes, as over
HTTP, a prepared face by those of its crop, so that an interrupted run, started again, goes on with those that are not
enrolled yet. Prepared faces are other photos than those that they were cut from.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from raymask.cluster import connect, own_error
from raymask.data.prepare.photos import Dropped, list_photos
from raymask.errors import DataError, RaymaskError
from raymask.faces import Face
from raymask.faces.crop import Square
from raymask.faces.images import decode_photo
from raymask.gallery.rows import Enrolment, check_identity, photo_key
from raymask.gallery.store import GalleryStore
from raymask.progress import Progress
from raymask.serve.core.enrolment import enrolment_of, subject_of
from raymask.serve.core.pipeline import Pipeline
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.serve.on_ray.bulk_config import EnrolConfig
from raymask.storage import Folder, UnreadableError, absolute, folder_and_name

if TYPE_CHECKING:
    import ray

_PHOTOS = 32
"""Photos of a unit of work, and of a commit."""
_PREPARED = "plan.json"


class BulkEnrolled(NamedTuple):
    """What became of the photos."""

    new: int
    known: int
    """Enrolled before."""
    dropped: list[Dropped]


class Found(NamedTuple):
    """A photo to enrol."""

    identity: str
    image_id: str
    data: bytes
    face: Face | None
    """Its face, where that is known already."""


def enrol(config: EnrolConfig) -> BulkEnrolled:
    """Enrol all photos; those that are enrolled stay as they are.

    Raises:
        DataError: no photos, a prepared file that is damaged, a gallery that another process writes, or dropped photos
            that cannot be listed where they are to be.
        ModelError: a model is missing, or the gallery is another recogniser's.
        UnsavedError: the gallery's disk is full or fails.
    """
    config = replace(
        config, images=absolute(config.images), gallery=absolute(config.gallery), fused=absolute(config.fused)
    )
    images = Folder(config.images)
    plan = Plan.of(ModelsConfig(fused=config.fused, own=config.own))
    units, total, dropped = _units(images)
    new = known = 0
    with (
        GalleryStore(config.gallery, plan.space) as store,
        Progress("enrol", total=total, unit="photos") as progress,
    ):
        _check_dropped(config.dropped)  # now, for hours of work must not end where it cannot be written
        for unit in _on_ray(units, config, store.photos()):
            enrolments = [_unpacked(row) for row in unit["enrolments"]]
            fresh = store.enrol(enrolments)
            store.maintain()
            new, known = new + sum(fresh), known + unit["known"] + len(fresh) - sum(fresh)
            dropped += [Dropped(*pair) for pair in json.loads(unit["dropped"])]
            progress.add(unit["known"] + len(fresh) + len(json.loads(unit["dropped"])))
        store.finish_index()
    _write_dropped(config.dropped, dropped)
    return BulkEnrolled(new, known, sorted(dropped))


def _check_dropped(path: str | None) -> None:
    """Raise DataError if the list of the dropped cannot be written; one that is there stays until it can be."""
    if path is not None:
        folder, name = folder_and_name(path)
        folder.write(name, folder.read(name) if folder.exists(name) else b"[]\n")


def _write_dropped(path: str | None, dropped: Sequence[Dropped]) -> None:
    if path is not None:
        folder, name = folder_and_name(path)
        listed = [item._asdict() for item in sorted(dropped)]
        folder.write(name, (json.dumps(listed, indent=1, ensure_ascii=False) + "\n").encode())


def _units(images: Folder) -> tuple[list[str], int, list[Dropped]]:
    """Units of work as JSON: lists of photos, or names of prepared files; how many photos; what is none."""
    if images.exists(_PREPARED):
        if not images.exists("summary.json"):
            raise DataError(f"{images.uri} is not prepared to the end; run jobs/prepare.py again, and it goes on")
        try:
            rows = int(json.loads(images.read("summary.json"))["rows"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{images / 'summary.json'} is damaged; prepare again into another --out") from None
        files = [name for name in images.names() if name.startswith("split=") and name.endswith(".parquet")]
        return [json.dumps(name) for name in files], rows, []
    photos, strangers = list_photos(images)
    units = [json.dumps(photos[start : start + _PHOTOS]) for start in range(0, len(photos), _PHOTOS)]
    return units, len(photos), strangers


def _on_ray(units: Sequence[str], config: EnrolConfig, known: set[bytes]) -> Iterator[dict[str, Any]]:
    import ray

    connect()
    ray.data.DataContext.get_current().enable_progress_bars = False  # ours knows the photos; Ray's counts blocks
    workers = min(len(units), config.workers or int(ray.cluster_resources().get("CPU", 1)))
    done = ray.data.from_items([{"unit": unit} for unit in units], override_num_blocks=len(units)).map(
        EnrolWorker,
        fn_constructor_args=(config, ray.put(known)),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
    )
    try:
        for unit in done.iter_rows():
            if unit["error"]:
                raise DataError(unit["error"])
            yield unit
    except ray.exceptions.RayError as error:
        raise own_error(error) from error


class EnrolWorker:
    """A Ray Data actor: sees the photos of one unit at a time."""

    def __init__(self, config: EnrolConfig, known: ray.ObjectRef[set[bytes]]) -> None:
        import ray
        import torch

        from raymask.serve.core.in_process import LocalStages

        torch.set_num_threads(1)  # one actor a CPU: more threads only get in each other's way
        plan = Plan.of(ModelsConfig(fused=config.fused, own=config.own))
        self._config, self._images = config, Folder(config.images)
        self._pipeline = Pipeline(plan, LocalStages(plan))
        self._known = ray.get(known)

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """The enrolments of a unit, the number of its photos that are known, and those dropped."""
        unit = json.loads(item["unit"])
        enrolments: list[dict[str, Any]] = []
        dropped: list[Dropped] = []
        known = 0
        try:
            photos = _prepared(self._images, unit) if isinstance(unit, str) else [self._photo(*pair) for pair in unit]
        except DataError as error:
            return _failed(error)
        for image_id, photo in photos:
            try:
                found = photo()
                identity = check_identity(found.identity)
                key = photo_key(identity, found.data)
                if key in self._known:
                    known += 1
                else:
                    enrolments.append(_packed(asyncio.run(self._enrolment(found, identity, key))))
            except DataError as error:
                if not isinstance(error, UnreadableError):  # storage that fails is no fault of the photo's
                    return _failed(error)
                dropped.append(Dropped(image_id, str(error)))
            except RaymaskError as error:
                dropped.append(Dropped(image_id, str(error)))
            except Exception as error:  # whatever a library throws at one photo must not cost the others
                dropped.append(Dropped(image_id, f"{image_id}: {type(error).__name__}: {error}"))
        return {"enrolments": enrolments, "known": known, "dropped": json.dumps(dropped), "error": ""}

    def _photo(self, identity: str, image_id: str) -> tuple[str, Callable[[], Found]]:
        return image_id, lambda: Found(identity, image_id, self._images.read_patiently(image_id), None)

    async def _enrolment(self, found: Found, identity: str, key: bytes) -> Enrolment:
        pixels = decode_photo(found.data, found.image_id)
        if found.face is None:
            seen, _ = await subject_of(self._pipeline, pixels)
        else:
            seen = await self._pipeline.see_face(await self._pipeline.put(pixels), found.face)
        enrolment = await enrolment_of(
            self._pipeline, pixels, seen, identity=identity, key=key, with_masks=self._config.with_masks
        )
        return replace(enrolment, picture=found.data if self._config.keep else None)


def _failed(error: DataError) -> dict[str, Any]:
    """Of a unit that cannot be worked on, which ends the run."""
    return {"enrolments": [], "known": 0, "dropped": "[]", "error": str(error)}


def _prepared(images: Folder, name: str) -> list[tuple[str, Callable[[], Found]]]:
    """The bare crops of a prepared file; detector and landmarks have seen them in their photos. Raises DataError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ["identity", "image_id", "image", "box", "det_score", "points", "landmarks"]
    try:
        with images.seekable(name) as file:
            rows = pq.read_table(file, columns=columns).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{images / name} cannot be read ({error}); prepare again into another --out") from None
    return [(row["image_id"], lambda row=row: _crop(row)) for row in rows]  # type: ignore[misc]


def _crop(row: dict[str, Any]) -> Found:
    box, points, landmarks = (np.array(row[name], np.float32) for name in ("box", "points", "landmarks"))
    square = Square.around(box)
    height = decode_photo(row["image"], row["image_id"]).shape[0]
    inside = (box - np.array([square.left, square.top] * 2, np.float32)) * (height / square.side)
    face = Face(box=inside, score=row["det_score"], points=points, landmarks=landmarks)
    return Found(row["identity"], row["image_id"], row["image"], face)


def _packed(one: Enrolment) -> dict[str, Any]:
    """As Ray Data carries it."""
    return {
        "identity": one.identity,
        "key": one.key,
        "embeddings": one.embeddings.astype(np.float32).tobytes(),
        "looks": list(one.looks),
        "picture": one.picture,
    }


def _unpacked(row: dict[str, Any]) -> Enrolment:
    looks = tuple(row["looks"])
    embeddings = np.frombuffer(row["embeddings"], np.float32).reshape(len(looks), -1)
    return Enrolment(
        identity=row["identity"], key=row["key"], embeddings=embeddings, looks=looks, picture=row["picture"]
    )
