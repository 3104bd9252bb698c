"""The picture of a search, and the smooth function that it draws; no Ray."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from raymask.tune.picture import draw_surface
from raymask.tune.smooth import smooth
from raymask.tune.space import Choice, Range
from raymask.tune.trials import Trial

MARGIN = Range(name="loss.margin", low=0.05, high=1.0, log=False)
RATE = Range(name="optimiser.learning_rate", low=1e-4, high=0.1, log=True)
PEOPLE = Range(name="batch.people", low=4, high=40, log=False)
BACKBONE = Choice(name="model.backbone", values=("resnet18", "resnet50"))


def drawn_at(space, random) -> dict:
    values = {}
    for axis in space:
        if isinstance(axis, Choice):
            values[axis.name] = axis.values[int(random.integers(len(axis.values)))]
        elif isinstance(axis.low, int):
            values[axis.name] = int(random.integers(axis.low, axis.high + 1))
        else:
            values[axis.name] = float(np.exp(random.uniform(np.log(axis.low), np.log(axis.high))))
    return values


def trials_over(space, count: int) -> list[Trial]:
    random = np.random.default_rng(0)
    made = []
    for number in range(count):
        epochs = ({"epoch": 1.0, "val_masked": float(random.random())},)
        made.append(Trial(number=number, values=drawn_at(space, random), status="finished", epochs=epochs))
    return made


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


@pytest.mark.parametrize(
    "space",
    [(MARGIN,), (BACKBONE,), (MARGIN, RATE), (PEOPLE, RATE), (MARGIN, BACKBONE), (MARGIN, RATE, PEOPLE, BACKBONE)],
    ids=lambda space: str(len(space)),
)
def test_a_picture_for_any_number_of_fields(space):
    trials = trials_over(space, 7)
    trials[1] = replace(trials[1], status="stopped early")
    trials[2] = replace(trials[2], status="failed", epochs=())
    height, width, _ = pixels(draw_surface(space, trials, "val_masked")).shape
    assert 500 < height < 1300
    assert 800 < width < 1600


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_trials_are_enough(count):
    assert draw_surface((MARGIN, RATE), trials_over((MARGIN, RATE), count), "val_masked").startswith(b"\x89PNG")


def test_equal_scores_are_drawn_without_a_warning():
    same = [replace(one, epochs=({"epoch": 1.0, "val_masked": 0.5},)) for one in trials_over((MARGIN, RATE), 5)]
    assert draw_surface((MARGIN, RATE), same, "val_masked").startswith(b"\x89PNG")


def test_nothing_is_claimed_where_there_was_no_trial():
    """With trials in the lower left only, the lower left is coloured and the upper right is white."""
    where = [(0.1, 1e-3), (0.2, 3e-4), (0.3, 1e-3)]
    epochs = ({"epoch": 1.0, "val_masked": 0.5},)
    trials = [
        Trial(number=n, values={MARGIN.name: x, RATE.name: y}, status="finished", epochs=epochs)
        for n, (x, y) in enumerate(where)
    ]
    picture = pixels(draw_surface((MARGIN, RATE), trials, "val_masked"))
    height, width, _ = picture.shape
    colourful = picture.max(2) - picture.min(2) > 40
    assert colourful[int(0.5 * height) : int(0.8 * height), int(0.15 * width) : int(0.3 * width)].mean() > 0.8
    assert colourful[int(0.1 * height) : int(0.4 * height), int(0.55 * width) : int(0.8 * width)].mean() < 0.01


def test_the_smooth_function_finds_a_hill_in_noise_and_knows_where_it_knows():
    random = np.random.default_rng(1)
    at = random.random((40, 2)) * [1, 0.5]
    hill = np.exp(-((at - [0.6, 0.2]) ** 2).sum(1) / 0.1)
    places = np.array([[0.6, 0.2], [0.0, 0.5], [0.5, 1.0]])
    mean, deviation = smooth(at, hill + 0.05 * random.standard_normal(40), places)
    assert mean[0] == pytest.approx(1.0, abs=0.12)
    assert mean[1] < 0.3
    assert deviation[2] > 2 * deviation[0]
