"""Masks drawn afresh: the map says where, nothing else changes, each place of the order is drawn alike each time."""

import cv2
import numpy as np
import pytest

from raymask.data.augment.occlusions import photographed, recoloured, with_object
from raymask.data.augment.redraw import Redraw, row_at
from raymask.data.reading.crops import CropStore
from raymask.data.reading.sampler import BatchPhoto
from raymask.errors import DataError
from raymask.faces.alignment import MIRRORED, align
from raymask.faces.masks import Textures
from raymask.faces.masks.draw import draw_mask_layers
from raymask.faces.masks.looks import TRAIN_LOOKS


@pytest.fixture(scope="module")
def face(prepared):
    store = CropStore(str(prepared), "train")
    crop = np.ascontiguousarray(store.pixels([BatchPhoto(0, False)], 224)[0].transpose(1, 2, 0))
    return crop, store.landmarks(quiet=True)[0], store.points(quiet=True)[0]


def test_landmarks_and_points_are_those_of_the_rows(prepared):
    import pyarrow.parquet as pq

    store = CropStore(str(prepared), "train")
    landmarks, points = store.landmarks(quiet=True), store.points(quiet=True)
    rows = [
        row for file in sorted((prepared / "split=train").glob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]
    assert len(rows) == len(landmarks) == len(points) == 32
    for number, found in enumerate(landmarks):
        jpeg = store.jpeg(BatchPhoto(number, False))
        (row,) = (row for row in rows if row["image"] == jpeg)
        assert np.abs(found - np.array(row["landmarks"])).max() <= 1 / 8
        assert np.abs(points[number] - np.array(row["points"])).max() <= 1 / 8


def test_a_look_more_changes_only_the_draws_that_get_it(face, monkeypatch):
    worn = []
    spied = lambda *given, **more: worn.append(given[2]) or draw_mask_layers(*given, **more)  # noqa: E731
    monkeypatch.setattr("raymask.data.augment.redraw.draw_mask_layers", spied)
    before, after = (
        [Redraw(side=96, looks=looks, strong=True)(*face, np.random.default_rng(seed)) for seed in range(40)]
        for looks in (TRAIN_LOOKS[:4], ("sponge", *TRAIN_LOOKS[:4]))
    )
    on_it = [look == "sponge" for look in worn[40:]]
    assert 2 <= sum(on_it) <= 16
    for old, new, changed in zip(before, after, on_it, strict=True):
        assert np.array_equal(old.bare, new.bare)
        assert np.array_equal(old.masked, new.masked) == (not changed)


def test_masks_can_be_of_own_pictures(face):
    own = Textures.of({"red.png": np.full((30, 40, 3), (230, 20, 20), np.uint8)})
    drawn = Redraw(side=96, looks=("cloth:own",), textures=own)(*face, np.random.default_rng(0))
    red, green, blue = np.median(drawn.masked[drawn.mask_map > 0], axis=0)
    assert red > 2 * max(green, blue)


def test_a_file_with_other_rows_than_the_index_says_is_named(prepared, tmp_path):
    import shutil

    import pyarrow.parquet as pq

    copy = shutil.copytree(prepared, tmp_path / "copy")
    file = min((copy / "split=train").glob("*.parquet"))
    pq.write_table(pq.read_table(file).slice(1), file)
    with pytest.raises(DataError, match=rf"{file.name} has no points that can be read"):
        CropStore(str(copy), "train").points(quiet=True)


def test_what_is_not_covered_stays(face):
    redraw = Redraw(side=112, looks=TRAIN_LOOKS)
    drawn = redraw(*face, np.random.default_rng(0))
    differs = np.abs(drawn.masked.astype(int) - drawn.bare).max(axis=2)
    assert drawn.mask_map.mean() > 0.1 * 255
    assert set(np.unique(drawn.mask_map)) == {0, 255}
    assert np.median(differs[drawn.mask_map > 0]) > 10
    far = ~_grown(drawn.mask_map > 0, 4)  # enlarging blurs the border
    assert far.any()
    assert differs[far].max() == 0


def _grown(inside, by):
    grown = inside.copy()
    for dy in range(-by, by + 1):
        for dx in range(-by, by + 1):
            grown |= np.roll(inside, (dy, dx), (0, 1))
    return grown


def test_points_move_with_the_face_and_change_sides_in_a_mirror(face):
    crop, landmarks, points = face
    mirrored = 0
    for seed in range(10):
        point = seed % 5
        marked = np.zeros_like(crop)
        x, y = points[point].round().astype(int)
        marked[y - 4 : y + 5, x - 4 : x + 5] = 255
        redraw = Redraw(side=112, looks=TRAIN_LOOKS, bare=1.0, turn=15.0, alignment="dlib" if seed % 2 else None)
        moved = redraw(marked, landmarks, points, np.random.default_rng(seed))
        ys, xs = np.nonzero(moved.bare[..., 0] > 127)
        away = np.hypot(xs.mean() - moved.points[:, 0], ys.mean() - moved.points[:, 1])
        assert away.min() < 1.5
        mirrored += away.argmin() != point
        assert away.argmin() in (point, MIRRORED[point])
        assert moved.points[0, 0] < moved.points[1, 0]
    assert 1 <= mirrored <= 7


def test_the_same_generator_draws_the_same_and_another_differs(face):
    redraw = Redraw(side=96, looks=TRAIN_LOOKS, strong=True)
    first, again, other = (redraw(*face, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.masked, other.masked)


@pytest.mark.parametrize("alignment", [None, "dlib"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("strong", [False, True])
def test_the_face_alone_is_that_of_the_whole_drawing(face, strong, masked, alignment):
    redraw = Redraw(side=100, looks=TRAIN_LOOKS, strong=strong, alignment=alignment, stray=0.02)
    for seed in range(6):
        whole = redraw(*face, np.random.default_rng(seed), masked=masked)
        assert np.array_equal(redraw.face(*face, np.random.default_rng(seed), masked=masked), whole.masked)


def test_a_small_face_is_as_smooth_as_one_that_is_aligned_in_use(face):
    crop, landmarks, points = face
    checks = np.indices((224, 224)).sum(0) % 2 * 255  # a grey that sampling of single pixels turns into black and white
    fine = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    for side in (48, 64):
        steady = {"turn": 0.0, "shift": 0.0, "zoom": 0.0, "mirror": False, "smallest": 224}
        redraw = Redraw(side=side, looks=TRAIN_LOOKS, alignment="dlib", **steady)
        inner = slice(side // 4, -side // 4)
        for given, most in ((fine, 12), (crop, 4)):
            drawn = redraw.face(given, landmarks, points, np.random.default_rng(0), masked=False)[inner, inner]
            wanted = align(given, points, "dlib", side)[inner, inner]
            assert np.abs(drawn.astype(int) - wanted).mean() < most
        assert redraw.face(fine, landmarks, points, np.random.default_rng(0), masked=False)[inner, inner].std() < 16


def test_bare_faces_have_empty_maps(face):
    redraw = Redraw(side=96, looks=TRAIN_LOOKS, bare=0.5)
    worn = [redraw(*face, np.random.default_rng(seed)).mask_map.any() for seed in range(40)]
    assert 8 < sum(worn) < 32


def test_the_order_has_every_row_once_a_pass():
    first, second = ([row_at(place, 10, 3) for place in range(start, start + 10)] for start in (0, 10))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert [row_at(place, 10, 4) for place in range(10)] != first


def test_recolouring_stays_inside_the_mask_and_off_its_shadow(face):
    masked, mask_map, opaque = draw_mask_layers(*face[:2], "surgical", 0)
    assert ((opaque > 0) <= (mask_map > 0)).all()
    assert 0 < ((mask_map > 0) & (opaque == 0)).mean() < 0.05  # the shadow
    changed = 0
    for seed in range(12):
        made = recoloured(masked, opaque, np.random.default_rng(seed))
        assert np.array_equal(made[opaque == 0], masked[opaque == 0])
        changed += not np.array_equal(made, masked)
    assert 6 <= changed <= 11


def test_things_come_before_some_faces(face):
    crop, landmarks, _ = face
    seen = 0
    for seed in range(40):
        made = with_object(crop, landmarks, np.random.default_rng(seed))
        changed = (made != crop).any(axis=2)
        seen += bool(changed.any())
        assert changed.mean() < 0.6
        assert not changed[: int(landmarks[19:25, 1].min()) - 40].any()  # foreheads stay free
    assert 3 <= seen <= 18


def test_whole_photos_are_altered_in_every_way(face):
    masked, _, opaque = draw_mask_layers(*face[:2], "surgical", 0)
    made, softer = zip(*(photographed(masked, opaque, np.random.default_rng(seed)) for seed in range(30)), strict=True)
    assert all(one.shape == face[0].shape and one.dtype == np.uint8 for one in made)
    grey = sum(np.ptp(one.astype(int), axis=2).max() < 25 for one in made)
    same = sum(np.array_equal(one, masked) for one in made)
    assert grey >= 1
    assert 1 <= same <= 15
    blurred = [one for one in softer if not np.array_equal(one, opaque)]
    assert 1 <= len(blurred) <= 18
    for one in blurred:  # a soft edge reaches farther than a sharp one
        assert (one[opaque == 0] > 0).any()
        assert abs(one.mean() - opaque.mean()) < 0.5


def test_a_map_follows_the_blur_of_the_photo(face, monkeypatch):
    from raymask.data.augment import redraw as module

    maps = []
    for sigma in (0.0, 0.7, 1.5):

        def blurred(photo, opaque, rng, sigma=sigma):
            return photo, cv2.GaussianBlur(opaque, (0, 0), sigma) if sigma else opaque

        monkeypatch.setattr(module, "photographed", blurred)
        drawn = Redraw(side=224, looks=("surgical",), strong=True)(*face, np.random.default_rng(3))
        maps.append(drawn.mask_map > 0)
    sharp, soft, softer = maps
    assert sharp.mean() < soft.mean() < softer.mean() < 1.15 * sharp.mean()
    assert (sharp & ~soft).mean() < 0.002
    assert not (softer & ~_grown(sharp, 4)).any()
