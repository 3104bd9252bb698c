"""A run that is no training: the bundle of published EdgeConnect weights."""

from __future__ import annotations

from raymask.errors import DataError
from raymask.faces.crop import CROP_SCALE, CROP_SIZE
from raymask.storage import Folder
from raymask.train.engine.export import leave_bundle
from raymask.train.on_ray.trainer import SETTINGS


def bundle_published(folder: str, storage: str, name: str) -> str:
    """Leave STORAGE/NAME/bundle with the weights in `folder`; returns its address.

    Raises:
        ModelError: they are not EdgeConnect's, or damaged.
        DataError: the bundle cannot be written, or a training has that name.
    """
    from raymask.models.networks.edgeconnect_weights import load_published

    run = Folder(f"{storage}/{name}")
    if run.exists(SETTINGS):
        raise DataError(f"{run.uri} is a run that was trained; choose another --name")
    return leave_bundle(
        run,
        load_published(folder),
        preprocessing={"crop_scale": CROP_SCALE, "crop_size": CROP_SIZE},
        metrics={},
        training={"source": "EdgeConnect's published weights (CC BY-NC 4.0)"},
    )
