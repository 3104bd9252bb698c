"""Options: what is refused, and in which words."""

import dataclasses

import pytest

from raymask.errors import ConfigError
from raymask.evaluate.config import EvaluateConfig, people_split


def config(**changed):
    given = {"recognisers": ("dlib",), "images": "ROOT", "out": "OUT", "protocol": "gallery", "people": "splits.json"}
    return EvaluateConfig(**{**given, **changed})


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().seed = 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"protocol": "verify"}, "protocol 'verify' is unknown; choose one of batch, gallery, pairs"),
        ({"protocol": "pairs"}, "needs --pairs FILE"),
        ({"people": None}, "protocol gallery needs --people"),
        ({"people": "splits.json:tset"}, "'tset' is no split"),
        ({"recognisers": ()}, "at least one recogniser"),
        ({"recognisers": ("dlib", "dlib")}, "named twice"),
        ({"mask": "some"}, "mask 'some' is unknown"),
        ({"masks": ()}, "at least one mask"),
        ({"masks": ("scarf",)}, "scarf"),
        (
            {"protocol": "pairs", "pairs": "pairs.txt", "limit_people": 3},
            "limit_people has no effect on protocol pairs",
        ),
        ({"protocol": "pairs", "pairs": "30", "people": None}, "protocol pairs needs --people"),
        ({"protocol": "pairs", "pairs": "0"}, "pairs must be 1 to 100,000 to draw, not 0"),
        ({"drawing": "round"}, "drawing 'round' is unknown; choose one of fitted, flat"),
        ({"mask": "one"}, "mask has no effect on protocol gallery"),
        ({"pairs": "pairs.txt"}, "pairs has no effect on protocol gallery"),
        ({"protocol": "batch", "crowd": 5}, "crowd has no effect on protocol batch"),
        ({"protocol": "batch", "masked_images": "WORN"}, "masked_images has no effect on protocol batch"),
        ({"masked_images": "ROOT"}, "masked_images and images are both ROOT"),
        ({"masked_images": "WORN", "masks": ("surgical",)}, "masks has no effect with masked_images"),
        ({"masked_images": "WORN", "drawing": "flat"}, "drawing has no effect with masked_images"),
        (
            {"masked_images": "WORN", "protocol": "pairs", "pairs": "9", "mask": "one"},
            "mask has no effect with masked_images",
        ),
        ({"clean": "*c.*"}, "clean has no effect without masked_images"),
        ({"crowd_images": "LFW"}, "crowd_images has no effect without crowd"),
        ({"crowd": -1}, "crowd must be 0 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"draws": 0}, "draws must be 1 or more"),
        ({"batches": 0}, "batches must be 1 or more"),
        ({"limit_people": 0}, "limit_people must be 2 or more"),
        ({"max_photos": 1}, "max_photos must be 2 or more"),
        ({"resamples": 10}, "resamples must be 100 or more"),
    ],
)
def test_refused(changed, said):
    with pytest.raises(ConfigError, match=said):
        config(**changed)


@pytest.mark.parametrize(
    ("people", "meant"),
    [
        ("out/splits.json", ("out/splits.json", "test")),
        ("out/splits.json:val", ("out/splits.json", "val")),
        ("s3://bucket/splits.json", ("s3://bucket/splits.json", "test")),
        ("s3://bucket/splits.json:train", ("s3://bucket/splits.json", "train")),
        ("test", ("test", "test")),
    ],
)
def test_people_and_split(people, meant):
    assert people_split(people) == meant
