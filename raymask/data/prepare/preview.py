"""A few photos as `prepare` would draw them, in one picture."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from raymask.data.prepare.config import PrepareConfig
from raymask.data.prepare.part_worker import make_row, photo_worker
from raymask.data.prepare.photos import Dropped, list_photos
from raymask.data.prepare.plan import chosen_photos
from raymask.errors import NoFaceError
from raymask.progress import Progress
from raymask.storage import Folder

if TYPE_CHECKING:
    from raymask.data.prepare.part_worker import Repainter


def preview(config: PrepareConfig, count: int, repainter: Repainter | None = None) -> str:
    """Draw `count` photos, or all, spread evenly, as `prepare` would, into OUT/preview.png.

    Returns:
        The picture's address.

    Raises:
        DataError: no photos, or a picture that cannot be written.
        NoFaceError: there is a face in none of them.
    """
    from raymask.data.prepare.sheet import draw_sheet
    from raymask.data.prepare.textures import load_textures

    images, out = Folder(config.images), Folder(config.out)
    photos, _ = list_photos(images)
    chosen, _ = chosen_photos(photos, config)
    chosen = [chosen[place * len(chosen) // count] for place in range(count)] if count < len(chosen) else chosen
    work = photo_worker(config, repainter, load_textures(config.textures))
    rows = []
    with Progress("preview", total=len(chosen), unit="photos") as progress:
        for photo in chosen:
            row = make_row(work, photo, "train", partial(images.read, photo.image_id))
            if not isinstance(row, Dropped):
                rows.append(row)
            progress.add(1)
    if not rows:
        raise NoFaceError(f"no face was found in {len(chosen):,} photos of {config.images}; preview more of them")
    out.write("preview.png", draw_sheet(rows))
    return out / "preview.png"
