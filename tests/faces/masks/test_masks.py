"""Masks drawn onto a face made of paint: no photo of a person is needed to tell where a mask must lie."""

import hashlib
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from raymask.errors import ConfigError, ImageError
from raymask.faces.masks import KINDS, TEST_LOOKS, TRAIN_LOOKS, UNCOVERED_LOOKS, draw_mask, parse_look
from raymask.faces.masks.kinds.registry import REGISTRY
from raymask.faces.masks.looks import VARIANTS, choose
from raymask.faces.masks.shapes import pattern
from raymask.faces.masks.textures import PAINTERS, paint

Photo = NDArray[np.uint8]
Points = NDArray[np.float64]

NOSE_MOUTH_CHIN = np.r_[30:36, 48:68, 6:11]
NOSE, MOUTH, CHIN = np.r_[27:31], np.r_[48:68], np.r_[7:10]
MASKS = [kind for kind in KINDS if kind != "hand"]
EYES = np.r_[36:48]
SKIN = (205, 160, 135)


def head_points() -> Points:
    """68 landmarks (x, y, depth) of a plain head, half a face wide = 1, not the drawer's own model of one."""
    angle = np.linspace(-1.5, 1.5, 17)
    drop = 1.0 - np.abs(angle / 1.5) ** 1.6
    jaw = np.column_stack([np.sin(angle) * (1.02 - 0.1 * drop), 0.15 + 1.55 * drop, 0.95 * np.cos(angle) - 1.0])
    brow = [(x, -0.18 - 0.12 * np.sin(np.pi * (x - 0.15) / 0.65), -0.2 * x) for x in np.linspace(0.15, 0.8, 5)]
    brows = [(-x, y, z) for x, y, z in brow[::-1]] + brow
    nose = [(0.0, y, z) for y, z in ((0.0, 0.02), (0.17, 0.1), (0.34, 0.2), (0.5, 0.3))]
    nostrils = [(x, 0.66 - 0.2 * abs(x), 0.15 - 0.4 * abs(x)) for x in (-0.2, -0.1, 0.0, 0.1, 0.2)]
    eye = [(-0.17, 0.0), (-0.06, -0.06), (0.06, -0.06), (0.17, 0.0), (0.06, 0.05), (-0.06, 0.05)]
    eyes = [(middle + x, 0.03 + y, -0.18) for middle in (-0.43, 0.43) for x, y in eye]
    turns = np.pi + np.arange(12) * np.pi / 6
    lips = np.column_stack([0.38 * np.cos(turns), 1.02 + 0.15 * np.sin(turns), 0.12 - 0.15 * np.cos(turns) ** 2])
    inner = np.pi + np.arange(8) * np.pi / 4
    mouth = np.column_stack([0.3 * np.cos(inner), 1.02 + 0.05 * np.sin(inner), 0.1 - 0.12 * np.cos(inner) ** 2])
    return np.vstack([jaw, brows, nose, nostrils, eyes, lips, mouth])


def landmarks(
    yaw: float = 0.0, roll: float = 0.0, half: float = 50.0, middle: tuple[float, float] = (125.0, 100.0)
) -> Points:
    """The head turned to its left by `yaw` and rolled by `roll` degrees, `half` pixels for half its width."""
    x, y, z = head_points().T
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    flat = np.column_stack([c * x + s * (z + 0.5), y - 0.5])
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return half * flat @ np.array([[c, s], [-s, c]]) + np.array(middle)


def portrait(points: Points, size: int = 250, skin: tuple[int, int, int] = SKIN, side_light: float = 0.0) -> Photo:
    """A face with these landmarks before a cluttered wall; `side_light` brightens its right and darkens its left."""
    rng = np.random.default_rng(3)
    wall = cv2.resize(rng.integers(40, 200, (9, 9, 3)).astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST)
    photo = wall.astype(np.float64)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    middle, spread = points.mean(axis=0), np.ptp(points, axis=0) * [0.56, 0.72]
    face = ((x - middle[0]) / spread[0]) ** 2 + ((y - middle[1] + 0.1 * spread[1]) / spread[1]) ** 2 < 1
    light = 1.0 + side_light * (x - middle[0]) / spread[0]
    photo[face] = (np.array(skin) * light[..., None])[face]
    drawn = np.clip(photo + rng.normal(0, 2, photo.shape), 0, 255).astype(np.uint8)
    for eye in (points[36:42], points[42:48]):
        cv2.fillPoly(drawn, [np.round(eye).astype(np.int32)], (30, 25, 25))
    cv2.polylines(drawn, [np.round(points[48:60]).astype(np.int32)], True, (140, 70, 70), 2)
    return drawn


def covered(mask_map: Photo, points: Points) -> NDArray[np.bool_]:
    nearest = np.round(points).astype(int)
    return mask_map[nearest[:, 1], nearest[:, 0]] == 255


def core(mask_map: Photo) -> NDArray[np.bool_]:
    """The map without its rim of soft edge and shadow."""
    return cv2.erode(mask_map, np.ones((9, 9), np.uint8)) == 255


@pytest.mark.parametrize("look", [*MASKS, *TRAIN_LOOKS, *TEST_LOOKS, *UNCOVERED_LOOKS[:-1]])
def test_every_look_draws_inside_its_map_only(look: str) -> None:
    points = landmarks()
    photo = portrait(points)
    before = photo.copy()
    masked, mask_map = draw_mask(photo, points, look, 5)
    assert np.array_equal(photo, before)
    assert masked.shape == photo.shape
    assert masked.dtype == np.uint8
    assert mask_map.shape == photo.shape[:2]
    assert mask_map.dtype == np.uint8
    assert set(np.unique(mask_map)) == {0, 255}
    outside = mask_map == 0
    assert np.array_equal(masked[outside], photo[outside])
    changed = (masked != photo).any(axis=2)
    assert changed[core(mask_map)].mean() > 0.97
    assert changed[~outside].mean() > 0.9


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(
    ("yaw", "roll"),
    [(0, 0), (25, 0), (-25, 0), (50, 0), (-50, 0), (0, 30), (0, -30), (0, 90), (0, -90), (20, 180), (30, 45)],
)
def test_covers_nose_mouth_and_chin_but_no_eye(kind: str, yaw: float, roll: float) -> None:
    points = landmarks(yaw, roll)
    expected = np.r_[NOSE_MOUTH_CHIN[:-5], CHIN] if kind == "respirator" else NOSE_MOUTH_CHIN  # it leaves the jaw free
    for seed in range(3):
        _, mask_map = draw_mask(portrait(points), points, kind, seed)
        missed = expected[~covered(mask_map, points[expected])]
        assert missed.size == 0, f"seed {seed} leaves landmarks {missed} bare"
        assert not covered(mask_map, points[EYES]).any()


@pytest.mark.parametrize("kind", ["surgical", "n95", "kn95", "cloth", "sponge", "n95valve"])
@pytest.mark.parametrize("yaw", [0, 30, -45])
def test_a_mask_can_be_worn_under_the_nose_or_on_the_chin(kind: str, yaw: float) -> None:
    points = landmarks(yaw)
    photo = portrait(points)
    for worn, bare, under in (("below-nose", NOSE, MOUTH), ("chin", np.r_[NOSE, MOUTH], CHIN)):
        look = parse_look(f"{kind}@{worn}")
        assert (look.is_mask, look.covers) == (True, worn == "below-nose")
        for seed in range(3):
            _, mask_map = draw_mask(photo, points, look.name, seed)
            assert not covered(mask_map, points[bare]).any()
            assert covered(mask_map, points[under]).mean() > 0.9


def test_a_hand_over_the_mouth_is_no_mask() -> None:
    look = parse_look("hand")
    assert not look.is_mask
    assert not look.covers
    assert look.name in UNCOVERED_LOOKS
    points = landmarks()
    photo = portrait(points)
    masked, mask_map = draw_mask(photo, points, "hand", 0)
    assert not mask_map.any()
    changed = (masked != photo).any(axis=2)
    assert changed[tuple(np.round(points[MOUTH]).astype(int).T[::-1])].mean() > 0.9
    assert not changed[tuple(np.round(points[EYES]).astype(int).T[::-1])].any()
    assert changed[-1].any(), "its arm reaches out of the photo"
    hand = np.median(masked[changed], axis=0)
    assert np.abs(hand - SKIN).max() < 45, "of the face's skin"
    dark, _ = draw_mask(portrait(points, skin=(92, 62, 48)), points, "hand", 0)
    assert np.median(dark[changed], axis=0).mean() < hand.mean() - 60


def test_a_look_can_be_dyed_and_its_pattern_softened() -> None:
    points = landmarks()
    photo = portrait(points)

    def inside(look: str) -> NDArray[np.float64]:
        masked, mask_map = draw_mask(photo, points, look, 4)
        return masked[core(mask_map)].astype(np.float64)

    for colour, channel in (("cc2233", 0), ("22aa33", 1), ("2233cc", 2)):
        mean = inside(f"cloth:plain#{colour}").mean(axis=0)
        assert mean[channel] > 1.8 * np.delete(mean, channel).max()
        half = inside(f"cloth:plain#{colour}~0.5").mean(axis=0)
        assert half[channel] / np.delete(half, channel).mean() < mean[channel] / np.delete(mean, channel).mean()
    strong, soft, none = (inside(f"cloth:gingham~{share}").std() for share in (1.0, 0.5, 0.0))
    assert strong > 1.2 * soft
    assert soft > none


@pytest.mark.parametrize("half", [15.0, 30.0, 120.0, 600.0])
def test_fits_faces_of_every_size(half: float) -> None:
    size = round(5 * half)
    points = landmarks(half=half, middle=(size / 2, size * 0.4))
    masked, mask_map = draw_mask(portrait(points, size), points, "surgical:spunbond", 1)
    assert covered(mask_map, points[NOSE_MOUTH_CHIN]).all()
    assert not covered(mask_map, points[EYES]).any()
    area = (mask_map == 255).sum() / half**2
    assert 1.8 < area < 3.2
    assert masked[core(mask_map)].std() > 1  # shaded, not flat


def test_turned_face_shows_more_of_the_near_side() -> None:
    for yaw in (35, -35):
        points = landmarks(yaw)
        _, mask_map = draw_mask(portrait(points), points, "n95", 0)
        _, columns = np.nonzero(mask_map[round(points[51, 1]) :])
        left, right = points[33, 0] - columns.min(), columns.max() - points[33, 0]
        near, far = (left, right) if yaw > 0 else (right, left)
        assert near > 1.8 * far


def test_look_and_seed_fix_every_byte() -> None:
    points = landmarks(15, 8)
    photo = portrait(points)
    masked, mask_map = draw_mask(photo, points, "cloth", 11)
    again, again_map = draw_mask(photo, points, "cloth", 11)
    assert np.array_equal(masked, again)
    assert np.array_equal(mask_map, again_map)
    seen = {draw_mask(photo, points, "cloth", seed)[0].tobytes() for seed in range(12)}
    assert len(seen) == 12


def test_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib, numpy as np; from raymask.faces.masks import draw_mask;"
        "photo = np.full((200, 200, 3), 150, np.uint8); photo[:, 100:] = (190, 150, 130);"
        "points = np.array(eval(input()));"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in draw_mask(photo, points, 'kn95', 4))).hexdigest())"
    )
    points = landmarks(10, half=40, middle=(100.0, 80.0))
    photo = np.full((200, 200, 3), 150, np.uint8)
    photo[:, 100:] = (190, 150, 130)
    here = hashlib.sha256(b"".join(a.tobytes() for a in draw_mask(photo, points, "kn95", 4))).hexdigest()
    there = subprocess.run(
        [sys.executable, "-c", code], input=repr(points.tolist()), capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here


def test_names_of_looks_import_without_opencv() -> None:
    code = "import sys, raymask.faces.masks; print('cv2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_training_never_draws_a_test_texture_or_colour() -> None:
    looks = {
        name: [parse_look(look) for look in names] for name, names in (("train", TRAIN_LOOKS), ("test", TEST_LOOKS))
    }
    textures = {name: {texture for look in of for texture in look.textures} for name, of in looks.items()}
    assert not textures["train"] & textures["test"]
    assert len(textures["train"] | textures["test"]) >= 24
    assert {look.kind for look in looks["train"]} == set(MASKS)
    colours = {
        name: {palette for look in of for texture in look.textures for palette in REGISTRY[look.kind].palettes(texture)}
        for name, of in looks.items()
    }
    assert not colours["train"] & colours["test"]
    drawn = {f"{kind}:{choose(parse_look(kind), seed).texture}" for kind in MASKS for seed in range(80)}
    assert drawn == {look for look in TRAIN_LOOKS if "@" not in look}
    assert all(parse_look(look).covers for look in (*TRAIN_LOOKS, *TEST_LOOKS))
    assert not any(parse_look(look).covers for look in UNCOVERED_LOOKS)


def test_mask_is_lit_like_the_face() -> None:
    points = landmarks()
    levels = []
    for share in (1.0, 0.6, 0.3):
        skin = tuple(int(c * share) for c in SKIN)
        masked, mask_map = draw_mask(portrait(points, skin=skin), points, "n95:felt", 2)
        levels.append(float(masked[core(mask_map)].mean()))
        assert levels[-1] > 1.1 * np.mean(skin)  # a white mask stays brighter than the skin
    assert levels[0] > 1.25 * levels[1] > 1.25 * 1.25 * levels[2]


@pytest.mark.parametrize("side_light", [-0.35, 0.35])
def test_mask_is_darker_on_the_face_s_dark_side(side_light: float) -> None:
    points = landmarks()
    masked, mask_map = draw_mask(portrait(points, side_light=side_light), points, "surgical:crepe", 3)
    columns = np.arange(250) - points[33, 0]
    inside = core(mask_map)
    left = masked[inside & (columns < -15)].mean()
    right = masked[inside & (columns > 15)].mean()
    dark, bright = (left, right) if side_light > 0 else (right, left)
    assert bright > 1.1 * dark


def test_light_of_a_colour_tints_the_mask() -> None:
    points = landmarks()
    warm, inside = draw_mask(portrait(points, skin=(220, 150, 90)), points, "n95:felt", 2)
    cold, _ = draw_mask(portrait(points, skin=(170, 160, 175)), points, "n95:felt", 2)
    ratio = [float(m[core(inside)][:, 0].mean() / m[core(inside)][:, 2].mean()) for m in (warm, cold)]
    assert ratio[0] > 1.1 * ratio[1]


@pytest.mark.parametrize("look", ["surgical:spunbond", "cloth:tiedye", "cloth:gingham"])
def test_black_and_white_photo_gets_a_grey_mask(look: str) -> None:
    points = landmarks()
    grey = cv2.cvtColor(portrait(points), cv2.COLOR_RGB2GRAY)
    masked, mask_map = draw_mask(np.dstack([grey] * 3), points, look, 3)
    spread = np.ptp(masked[mask_map == 255].astype(int), axis=1)
    assert spread.max() <= 3
    coloured, _ = draw_mask(portrait(points), points, look, 3)
    assert np.ptp(coloured[mask_map == 255].astype(int), axis=1).mean() > 15


def test_edge_is_soft_and_without_halo() -> None:
    points = landmarks()
    photo = np.full((250, 250, 3), 20, np.uint8)
    photo[60:170, 70:180] = (120, 90, 80)
    photo[140:] = 20
    masked, mask_map = draw_mask(photo, points, "n95:felt", 0)
    column = masked[:, round(points[8, 0])].astype(int).sum(axis=1)
    rows = np.flatnonzero(mask_map[:, round(points[8, 0])])
    bottom = column[rows[-1] - 14 : rows[-1] + 1]
    inside, outside = bottom.max(), 60
    between = ((bottom > outside + 0.1 * (inside - outside)) & (bottom < outside + 0.9 * (inside - outside))).sum()
    assert between >= 2  # the cover takes values between 0 and 1 across the edge
    assert between <= 10
    assert bottom.min() >= 0
    assert column[rows[-1] - 3 : rows[-1] + 1].max() <= inside


def test_mask_is_no_sharper_than_the_photo() -> None:
    points = landmarks()
    photo = portrait(points)
    blurred = cv2.GaussianBlur(photo, (0, 0), 3.0)
    energy = []
    for shown in (photo, blurred):
        masked, mask_map = draw_mask(shown, points, "cloth:gingham", 1)
        steps = np.abs(np.diff(masked.astype(int).sum(axis=2), axis=1))
        energy.append(steps[core(mask_map)[:, 1:]].mean())
    assert energy[1] < 0.6 * energy[0]


@pytest.mark.parametrize("middle", [(0.0, 100.0), (250.0, 100.0), (125.0, 0.0), (125.0, 250.0), (240.0, 240.0)])
def test_face_partly_outside_the_photo(middle: tuple[float, float]) -> None:
    points = landmarks(20, 10, middle=middle)
    photo = portrait(landmarks(20, 10))
    for kind in MASKS:
        masked, mask_map = draw_mask(photo, points, kind, 0)
        outside = mask_map == 0
        assert np.array_equal(masked[outside], photo[outside])
        inside = ((points >= 0) & (np.round(points) < 250)).all(axis=1)
        here = np.intersect1d(np.flatnonzero(inside), NOSE_MOUTH_CHIN)
        assert covered(mask_map, points[here]).all()


def test_face_wholly_outside_the_photo_is_left_alone() -> None:
    photo = portrait(landmarks())
    masked, mask_map = draw_mask(photo, landmarks(middle=(900.0, -700.0)), "surgical", 0)
    assert np.array_equal(masked, photo)
    assert masked is not photo
    assert not mask_map.any()


@pytest.mark.parametrize(
    ("look", "why"),
    [
        ("cloth@head", "below-nose or chin"),
        ("respirator@chin", "cannot be worn 'chin'"),
        ("hand@below-nose", "colour of its face"),
        ("hand#4a3020", "colour of its face"),
        ("cloth:gingham~1.5", "must be a share, 0 to 1"),
        ("cloth#2244aa~.", "must be a share"),
        ("cloth#2244a", "must be of the form KIND"),
        ("cloth~0.5", "must be of the form KIND"),
        ("cloth@chin#aa2233", "must be of the form KIND"),
    ],
)
def test_what_a_look_cannot_be_is_said(look: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        parse_look(look)
    assert repr(look) in str(caught.value)


@pytest.mark.parametrize("look", ["scarf", "cloth:", "cloth:spunbond", "", "surgical:SPUNBOND"])
def test_unknown_look_is_named_with_the_valid_ones(look: str) -> None:
    points = landmarks()
    valid = "surgical, n95, kn95, cloth" if look in ("scarf", "") else look.partition(":")[0]
    with pytest.raises(ConfigError, match=valid) as caught:
        draw_mask(portrait(points), points, look, 0)
    assert repr(look) in str(caught.value)
    with pytest.raises(ConfigError):
        parse_look(look)


def test_parse_look() -> None:
    forced = parse_look("cloth:tartan")
    assert (forced.kind, forced.textures) == ("cloth", ("tartan",))
    free = parse_look("n95")
    assert {f"n95:{texture}" for texture in free.textures} < set(TRAIN_LOOKS)


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((250, 250), np.uint8),
        np.zeros((250, 250, 4), np.uint8),
        np.zeros((250, 250, 3), np.float32),
        np.zeros((0, 0, 3), np.uint8),
        [[1, 2, 3]],
    ],
)
def test_bad_photos(photo: Any) -> None:
    with pytest.raises(ImageError, match="photo"):
        draw_mask(photo, landmarks(), "surgical", 0)


def test_bad_landmarks_and_seeds() -> None:
    photo = portrait(landmarks())
    broken = landmarks()
    broken[3, 1] = np.nan
    same = np.full((68, 2), 100.0)
    for points, why in ((broken, "finite"), (same, "extent"), (landmarks()[:5], "68"), (landmarks() * 1e6, "100,000")):
        with pytest.raises(ConfigError, match=why):
            draw_mask(photo, points, "surgical", 0)
    for seed in (-1, 1.5, True):
        with pytest.raises(ConfigError, match="seed"):
            draw_mask(photo, landmarks(), "surgical", seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("draw", "names"), [(pattern, REGISTRY.values()), (paint, PAINTERS)])
def test_what_ordinary_faces_wear_is_drawn_once(draw, names):
    """In all variants, in the sizes for faces of up to 570 pixels."""
    wanted = [(name, variant, size) for name in names for variant in range(VARIANTS) for size in (25, 50, 100, 200)]
    drawn = [draw(*key) for key in wanted]
    assert all(draw(*key) is kept for key, kept in zip(wanted, drawn, strict=True))
