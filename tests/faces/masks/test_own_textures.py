"""Masks of a user's own pictures: their colours, their place on the mask, the light, and what they cannot be."""

import cv2
import numpy as np
import pytest
from test_masks import SKIN, core, landmarks, portrait

from raymask.errors import ConfigError
from raymask.faces.masks import Textures, draw_mask, parse_look
from raymask.faces.masks.flat import draw_flat_mask
from raymask.faces.masks.kinds.cloth import CLOTH
from raymask.faces.masks.looks import check_looks, choose
from raymask.faces.masks.own import Picture
from raymask.faces.masks.shapes import pattern

RED, BLUE = (200, 40, 40), (40, 40, 200)


def plain(colour=(60, 160, 60), height=90, width=120) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def halves() -> np.ndarray:
    """Red on the left, blue on the right."""
    picture = plain(RED)
    picture[:, 60:] = BLUE
    return picture


@pytest.fixture(scope="module")
def face():
    points = landmarks()
    return portrait(points), points


@pytest.mark.parametrize("look", ["cloth:own", "cloth:own@below-nose", "cloth:own@chin"])
@pytest.mark.parametrize("draw", [draw_mask, draw_flat_mask])
def test_the_mask_has_the_picture_s_colours(look, draw, face):
    photo, points = face
    before = photo.copy()
    masked, mask_map = draw(photo, points, look, 3, textures=Textures.of({"green.png": plain()}))
    assert np.array_equal(photo, before)
    assert np.array_equal(masked[mask_map == 0], photo[mask_map == 0])
    red, green, blue = np.median(masked[core(mask_map)], axis=0)
    assert green > 1.5 * max(red, blue)
    assert 110 < green < 200


def test_a_picture_lies_on_the_whole_mask_once_and_is_mirrored_by_some_seeds(face):
    photo, points = face
    own, reds = Textures.of({"halves.png": halves()}), []
    for seed in range(8):
        masked, mask_map = draw_mask(photo, points, "cloth:own", seed, textures=own)
        inside = core(mask_map)
        redness = masked[..., 0].astype(int) - masked[..., 2]
        left, right = (inside & side for side in (np.arange(250) < 120, np.arange(250) > 130))
        assert np.sign(np.median(redness[left])) == -np.sign(np.median(redness[right]))
        assert (np.abs(redness[left | right]) > 30).mean() > 0.97, "no seam, no bare place"
        reds.append(np.median(redness[left]) > 0)
        assert reds[-1] != choose(parse_look("cloth:own"), seed, own).flip_texture
    assert 0 < sum(reds) < 8


@pytest.mark.parametrize(("height", "width"), [(600, 400), (300, 900), (2000, 3000), (60, 80)])
def test_pictures_are_cut_and_scaled_and_never_squeezed(height, width):
    """A disc in the middle stays round, whatever the picture's proportions and size."""
    picture, radius = plain(BLUE, height, width), min(height, width) // 4
    cv2.circle(picture, (width // 2, height // 2), radius, RED, -1)
    kept = Picture.of("disc.png", picture)
    assert kept.pixels.nbytes <= 2**19
    assert not kept.pixels.flags.writeable
    for ppu in (50, 200):
        tile = kept.tile(ppu)
        assert tile.shape[:2] == pattern(CLOTH, 0, ppu).alpha.shape
        disc = tile[..., 0] > tile[..., 2]
        wide, tall = disc.any(axis=0).sum(), disc.any(axis=1).sum()
        assert abs(wide / tall - 1) < 0.06
        worn = pattern(CLOTH, 0, ppu).alpha > 0
        middle = np.argwhere(disc).mean(axis=0) - np.argwhere(worn).mean(axis=0)
        assert np.abs(middle / ppu).max() < 0.1, "it lies in the middle of the mask"


def test_light_falls_on_pictures_as_on_other_fabrics(face):
    _, points = face
    own = Textures.of({"green.png": plain()})

    def inside(photo):
        masked, mask_map = draw_mask(photo, points, "cloth:own", 1, textures=own)
        return masked[core(mask_map)].astype(float)

    bright, dark = (inside(portrait(points, skin=tuple(int(share * c) for c in SKIN))) for share in (1.0, 0.4))
    assert bright.mean() > 1.5 * dark.mean()
    assert bright.std(axis=0).max() > 2, "folds and the face's shape shade it"
    grey = np.dstack([cv2.cvtColor(portrait(points), cv2.COLOR_RGB2GRAY)] * 3)
    assert np.ptp(inside(grey), axis=1).max() <= 3


def test_seeds_draw_among_the_pictures_and_cloth_alone_draws_none(face):
    photo, points = face
    own = Textures.of({"a.png": plain(), "b.png": halves(), "c.png": plain(RED)})
    assert own.names == ("a.png", "b.png", "c.png")
    names = [choose(parse_look("cloth:own"), seed, own).picture.name for seed in range(40)]
    assert set(names) == set(own.names)
    for seed in range(25):
        assert choose(parse_look("cloth"), seed, own).picture is None
    assert np.array_equal(
        draw_mask(photo, points, "cloth", 4)[0], draw_mask(photo, points, "cloth", 4, textures=own)[0]
    )


@pytest.mark.parametrize("draw", [draw_mask, draw_flat_mask])
def test_without_textures_there_is_nothing_to_draw(draw, face):
    with pytest.raises(ConfigError, match="'cloth:own' needs textures"):
        draw(*face, "cloth:own", 0)


@pytest.mark.parametrize(
    ("look", "why"),
    [
        ("cloth:own#aa2233", "your own pictures keep their colours; leave out ~ and #"),
        ("cloth:own~0.5", "your own pictures keep their colours"),
        ("surgical:own", "the textures of surgical are spunbond, crepe, diamond"),
        ("cloth:mine", "leopard, own"),
    ],
)
def test_what_own_looks_cannot_be_is_said(look, why):
    with pytest.raises(ConfigError, match=why):
        parse_look(look)


def test_what_is_no_picture_is_named():
    with pytest.raises(ConfigError, match="at least one picture"):
        Textures.of({})
    for pixels in (np.zeros((40, 40), np.uint8), np.zeros((40, 40, 3)), np.zeros((0, 40, 3), np.uint8), [[1]]):
        with pytest.raises(ConfigError, match=r"texture 'a.png' (must be an array|has no pixels)"):
            Textures.of({"a.png": pixels})


def test_masks_and_textures_must_go_together():
    check_looks(("cloth", "cloth:own@chin"), "pictures")
    check_looks(("cloth",))
    for masks, textures, why in (
        ((), None, "masks must name at least one"),
        (("cloth", "cloth:own"), None, "masks names cloth:own, so textures must name the folder"),
        (("cloth",), "pictures", "textures has no effect on these masks; name cloth:own"),
        (("paper",), None, "Unknown mask kind 'paper'"),
    ):
        with pytest.raises(ConfigError, match=why):
            check_looks(masks, textures)
