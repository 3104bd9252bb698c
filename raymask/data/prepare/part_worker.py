"""The work on one part: its Parquet file, then its record, each of which appears whole or not at all. No Ray."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from raymask.data.format.crop_index import locate_crops
from raymask.data.format.schema import parquet_file, prepared_schema
from raymask.data.format.splits import Split
from raymask.data.prepare.config import PrepareConfig
from raymask.data.prepare.layout import PLAN, json_file
from raymask.data.prepare.parts import Part
from raymask.data.prepare.photos import Dropped, Photo
from raymask.errors import DataError, ImageError, NoFaceError
from raymask.storage import Folder, UnreadableError

if TYPE_CHECKING:
    import numpy as np

    from raymask.faces.masks import Textures

PhotoWork = Callable[[Photo, Split, bytes], dict[str, Any]]
"""Makes the row of a photo; named here, since `--help` must not load what does it."""


class Repainter(Protocol):
    """What takes masks off again, as it travels to the workers."""

    @property
    def digests(self) -> list[str]:
        """Of the weights that it paints by."""
        ...

    def load(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Read them; what comes is a `Repaint` of photo_work, which is not named here, since `--help` loads this."""
        ...


def photo_worker(config: PrepareConfig, repainter: Repainter | None, textures: Textures | None) -> PhotoWork:
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


def make_row(work: PhotoWork, photo: Photo, split: Split, read: Callable[[], bytes]) -> dict[str, Any] | Dropped:
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

        from raymask.data.prepare.textures import load_textures

        torch.set_num_threads(1)  # one actor a CPU: more threads only get in each other's way
        cv2.setNumThreads(1)
        self._images, self._out = Folder(config.images), Folder(config.out)
        if repainter is not None and repainter.digests != json.loads(self._out.read(PLAN))["unmask"]:
            raise DataError("the bundles of unmask are not the same on all machines; copy them anew")
        textures = load_textures(config.textures, quiet=True)
        if textures is not None and textures.digest != json.loads(self._out.read(PLAN))["textures"]:
            raise DataError("the pictures in textures are not the same on all machines; copy them anew")
        self._work = photo_worker(config, repainter, textures)

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
            row = make_row(self._work, photo, part.split, partial(self._images.read_patiently, photo.image_id))
            if isinstance(row, Dropped):
                dropped.append(row)
            else:
                rows.append(row)
        crops: list[dict[str, Any]] = []
        if rows:
            data = parquet_file(rows, prepared_schema())
            crops = locate_crops(data, rows, part.name)
            self._out.write(part.name, data)
        self._out.write(part.record, json_file({"crops": crops, "dropped": dropped}))
