import numpy as np
import pytest

from raymask.faces.crop import CROP_SIZE, Square


def test_square_is_centred_and_a_fifth_larger_than_the_longer_side():
    square = Square.around(np.array([100.0, 50.0, 200.0, 150.0]))
    assert (square.left, square.top, square.side) == (90, 40, 120)
    tall = Square.around(np.array([100.0, 50.0, 150.0, 150.0]))
    assert (tall.left + tall.side / 2, tall.top + tall.side / 2, tall.side) == (125, 100, 120)


def test_crop_at_its_own_size_is_the_photo_untouched():
    photo = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    crop = Square(left=30, top=40, side=CROP_SIZE).cut(photo)
    np.testing.assert_array_equal(crop, photo[40 : 40 + CROP_SIZE, 30 : 30 + CROP_SIZE])


@pytest.mark.parametrize(("left", "top"), [(-50, 20), (20, -50), (120, 120), (-400, -400), (600, 600)])
def test_outside_the_photo_is_its_reflection(left, top):
    photo = np.random.default_rng(0).integers(0, 256, (200, 180, 3), dtype=np.uint8)
    pad = 800
    wide = np.pad(photo, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    expected = wide[pad + top : pad + top + 100, pad + left : pad + left + 100]
    np.testing.assert_array_equal(Square(left=left, top=top, side=100).cut(photo, size=100), expected)


def test_faces_are_never_squeezed():
    photo = np.zeros((300, 300, 3), np.uint8)
    photo[100:140, 100:140] = 255  # a square thing stays square
    crop = Square.around(np.array([80.0, 60.0, 160.0, 180.0])).cut(photo)
    covered = crop[:, :, 0] > 127
    assert abs(int(covered.any(0).sum()) - int(covered.any(1).sum())) <= 1


def test_points_land_on_what_they_marked():
    photo = np.zeros((300, 300, 3), np.uint8)
    photo[151, 133] = 255
    square = Square.around(np.array([90.0, 100.0, 180.0, 210.0]))
    x, y = square.to_crop(np.array([[133.0, 151.0]]))[0]
    crop = square.cut(photo)[:, :, 0].astype(float)
    rows, columns = np.indices(crop.shape)
    assert (crop * columns).sum() / crop.sum() == pytest.approx(x, abs=0.3)
    assert (crop * rows).sum() / crop.sum() == pytest.approx(y, abs=0.3)


def test_mask_maps_stay_binary():
    mask_map = np.zeros((100, 100), np.uint8)
    mask_map[50:, 30:70] = 255
    crop = Square(left=0, top=0, side=100).cut_map(mask_map)
    assert set(np.unique(crop)) == {0, 255}
    assert (crop > 0).mean() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("box", [(40, 30, 90, 110), (-20, -30, 60, 80), (60, 50, 150, 170)])
def test_put_back_changes_covered_pixels_only(box):
    photo = np.random.default_rng(0).integers(0, 256, (120, 100, 3), dtype=np.uint8)
    square = Square.around(np.array(box, np.float32))
    covered = np.zeros((224, 224), np.uint8)
    covered[100:180, 60:160] = 255
    made = square.put_back(photo, np.full((224, 224, 3), 255, np.uint8), covered)
    changed = (made != photo).any(axis=2)
    inside = np.zeros(photo.shape[:2], bool)
    for y, x in np.ndindex(*inside.shape):
        place = square.to_crop(np.array([[x, y]]))[0]
        inside[y, x] = 60 - 1 <= place[0] <= 160 and 100 - 1 <= place[1] <= 180
    assert changed.any()
    assert not (changed & ~inside).any()
    assert (made[changed] == 255).all()


def test_put_back_is_the_inverse_of_cut():
    photo = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    square = Square(left=20, top=30, side=224)
    back = square.put_back(photo, square.cut(photo), np.full((224, 224), 255, np.uint8))
    assert np.array_equal(back, photo)
