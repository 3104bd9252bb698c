"""A new kind of mask is one object in the registry: its looks are named, drawn on faces and laid flat."""

import numpy as np
import pytest
from test_masks import NOSE_MOUTH_CHIN, core, covered, landmarks, portrait

from raymask.errors import ConfigError
from raymask.faces.masks import draw_mask, parse_look
from raymask.faces.masks.flat import draw_flat_mask
from raymask.faces.masks.kinds.mask_kind import MaskKind, StandOff
from raymask.faces.masks.kinds.registry import REGISTRY
from raymask.faces.masks.kinds.strokes import closed_curve, ear_loops
from raymask.faces.masks.looks import choose

GREEN, RED = ((40, 160, 60), (30, 120, 40), (60, 190, 90)), ((180, 40, 40), (140, 30, 30), (220, 70, 70))
BIB = MaskKind(
    name="bib",
    outline=closed_curve([(0.00, 0.25), (0.50, 0.35), (1.00, 0.45), (1.05, 0.90), (0.80, 1.70), (0.00, 1.98)]),
    detail=lambda x, y, edge, pixel: (0.02 * np.sin(40 * y), np.ones_like(x), None),
    straps=ear_loops(0.5, 0.9, 0.05),
    softness=0.8,
    stand_off=StandOff(heights=(0.1, 0.6, 1.2, 1.95), lengths=(0.0, 0.1, 0.2, 0.05), fade=0.5),
    textures={"plain": (GREEN,)},
    test_textures={"stripes": (RED,)},
    worn=("chin",),
)


@pytest.fixture(scope="module")
def face():
    points = landmarks()
    return portrait(points), points


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(REGISTRY, "bib", BIB)


@pytest.mark.parametrize("draw", [draw_mask, draw_flat_mask])
def test_it_is_drawn_in_its_colours_over_nose_mouth_and_chin(draw, face):
    photo, points = face
    masked, mask_map = draw(photo, points, "bib", 5)
    assert covered(mask_map, points[NOSE_MOUTH_CHIN]).mean() > 0.9
    assert np.array_equal(masked[mask_map == 0], photo[mask_map == 0])
    red, green, blue = np.median(masked[core(mask_map)], axis=0)
    assert green > 1.5 * max(red, blue)
    again, _ = draw(photo, points, "bib", 5)
    assert np.array_equal(masked, again)
    other, _ = draw(photo, points, "bib:stripes", 5)
    red, green, blue = np.median(other[core(mask_map)], axis=0)
    assert red > 1.5 * max(green, blue)


def test_its_looks_are_parsed_by_name_position_and_palette(face):
    photo, points = face
    look = parse_look("bib:stripes~0.5#2244aa@chin")
    assert (look.kind, look.textures, look.worn, look.is_mask, look.covers) == (
        "bib",
        ("stripes",),
        "chin",
        True,
        False,
    )
    assert choose(look, 3).palette[0] == (0x22, 0x44, 0xAA)
    assert choose(parse_look("bib"), 3).palette == GREEN
    _, worn = draw_mask(photo, points, "bib@chin", 5)
    _, usual = draw_mask(photo, points, "bib", 5)
    assert np.nonzero(worn)[0].mean() > np.nonzero(usual)[0].mean() + 10


@pytest.mark.parametrize(
    ("look", "why"),
    [
        ("bib:felt", "the textures of bib are plain, stripes"),
        ("bib:own", "the textures of bib are plain, stripes"),
        ("bib@below-nose", "it can be worn chin"),
        ("bob", "the kinds are .*hand, bib"),
    ],
)
def test_what_it_cannot_be_is_said(look, why):
    with pytest.raises(ConfigError, match=why):
        parse_look(look)


def test_a_kind_that_is_gone_is_unknown_again(monkeypatch):
    monkeypatch.delitem(REGISTRY, "bib")
    with pytest.raises(ConfigError, match="Unknown mask kind 'bib'"):
        parse_look("bib")
