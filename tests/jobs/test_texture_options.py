"""`--textures` wherever masks are drawn by a configuration: only beside a look that uses it, and not without it."""

import sys
from pathlib import Path

import pytest

from raymask.data.prepare.config import PrepareConfig
from raymask.errors import ConfigError
from raymask.evaluate.calibrate_config import FuseConfig
from raymask.evaluate.config import EvaluateConfig
from raymask.train.engine.config import TrainConfig
from raymask.train.staged.aligner_config import TrainAlignerConfig
from raymask.train.staged.inpainter_config import TrainInpainterConfig
from raymask.train.staged.segmenter_config import TrainSegmenterConfig

ROOT = Path(__file__).parent.parent.parent
RUN = {"data": "data", "storage": "runs", "name": "one"}


def looks_config(**options):
    sys.path.insert(0, str(ROOT))
    try:
        from jobs.looks import LooksConfig
    finally:
        sys.path.remove(str(ROOT))
    return LooksConfig(out="looks.png", **options)


CONFIGS = {
    "prepare": lambda **options: PrepareConfig(images="images", out="out", **options),
    "evaluate": lambda **options: EvaluateConfig(
        recognisers=("dlib",), images="images", out="out", protocol="gallery", people="splits.json", **options
    ),
    "fuse": lambda **options: FuseConfig(
        recognisers=("dlib", "facenet"), images="images", out="out", people="splits.json:val", **options
    ),
    "train": lambda **options: TrainConfig(**RUN, remask=True, **options),
    "train_aligner": lambda **options: TrainAlignerConfig(**RUN, **options),
    "train_segmenter": lambda **options: TrainSegmenterConfig(**RUN, **options),
    "train_inpainter": lambda **options: TrainInpainterConfig(**RUN, **options),
    "looks": looks_config,
}


@pytest.mark.parametrize("job", CONFIGS)
def test_textures_and_looks_of_them_come_together(job):
    make = CONFIGS[job]
    assert make(masks=("cloth", "cloth:own"), textures="pictures").textures == "pictures"
    assert make().textures is None
    with pytest.raises(ConfigError, match="masks names cloth:own@chin, so textures must name the folder"):
        make(masks=("cloth", "cloth:own@chin"))
    for masks in ({}, {"masks": ("cloth",)}):
        with pytest.raises(ConfigError, match="textures has no effect on these masks; name cloth:own among masks"):
            make(textures="pictures", **masks)


def test_textures_have_no_effect_on_masks_that_faces_were_prepared_with():
    with pytest.raises(ConfigError, match="for remask to draw"):
        TrainConfig(**RUN, masks=("cloth:own",), textures="pictures")
