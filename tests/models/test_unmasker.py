"""Taking masks off whole photos with networks that were trained for seconds."""

import numpy as np
import pytest

from raymask.errors import ImageError, ModelError
from raymask.faces import detect, draw_mask, subject
from raymask.faces.crop import Square
from raymask.faces.images import decode_photo
from raymask.models.unmasker import MASKED_FROM, Unmasker


@pytest.fixture(scope="module")
def unmasker(unmask_bundles):
    return Unmasker.load(*unmask_bundles)


@pytest.fixture(scope="module")
def face(demo_faces):
    path = sorted(demo_faces.glob("*/*.jpg"))[3]
    photo = decode_photo(path.read_bytes(), path.name)
    return photo, subject(detect(photo), photo.shape)


@pytest.fixture(scope="module")
def masked(face):
    return draw_mask(face[0], face[1].landmarks, "surgical", 1)


class Told(Unmasker):
    """Finds what it is told; how well a segmenter finds is not the matter."""

    def __init__(self, unmasker, mask_map):
        super().__init__(unmasker.finder.segmenter, unmasker.remover.inpainter)
        self.mask_map = mask_map

    def find(self, crop):
        return self.mask_map


def test_a_mask_is_found_and_taken_off(unmasker, face, masked):
    photo, mask_map = masked
    before = photo.copy()
    result = unmasker.unmask(photo, face[1].box)
    assert result.had_mask
    true = Square.around(face[1].box).cut_map(mask_map) > 0
    found = result.mask_map > 0
    assert (true & found).sum() / (true | found).sum() > 0.5
    assert result.coverage == pytest.approx(found.mean())
    assert result.coverage > MASKED_FROM
    assert (result.hole >= found).all()
    assert np.array_equal(result.filled[~result.hole], result.crop[~result.hole])
    assert np.array_equal(photo, before)
    square = Square.around(face[1].box)
    whole = square.put_back(np.zeros_like(photo), np.full((224, 224, 3), 255, np.uint8), result.hole_map)[..., 0] > 0
    changed = (result.photo != photo).any(axis=2)
    assert changed.any()
    assert not (changed & ~whole).any()


def test_a_photo_without_a_mask_comes_back_as_it_is_and_it_is_said(unmasker, face):
    found = np.zeros((224, 224), np.uint8)
    found[:20, :20] = 255  # less than counts as a mask
    result = Told(unmasker, found).unmask(face[0], face[1].box)
    assert not result.had_mask
    assert result.edges is None
    assert np.array_equal(result.photo, face[0])
    assert np.array_equal(result.filled, result.crop)
    assert not result.hole.any()


def test_faces_go_through_the_network_together_as_they_go_alone(unmasker, face, masked):
    photo, mask_map = masked
    crop_map = Square.around(face[1].box).cut_map(mask_map)
    turned, turned_map = np.ascontiguousarray(photo[:, ::-1]), np.ascontiguousarray(crop_map[:, ::-1])
    left, top, right, bottom = face[1].box
    width = photo.shape[1]
    turned_box = np.array([width - right, top, width - left, bottom], np.float32)
    none = np.zeros_like(crop_map)
    asked = [(photo, face[1].box, crop_map), (face[0], face[1].box, none), (turned, turned_box, turned_map)]
    for (before, box, found), together in zip(asked, unmasker.remover.remove_all(asked), strict=True):
        alone = unmasker.remover.remove(before, box, found)
        assert together.had_mask == alone.had_mask == found.any()
        assert np.abs(together.photo.astype(int) - alone.photo).max() <= 1  # rounding
        assert (together.photo != before).any() == found.any()
    assert unmasker.remover.remove_all([]) == []


@pytest.mark.parametrize("where", ["over the eyes", "two masks"])
def test_masks_worn_otherwise_are_taken_off_whole(unmasker, face, where):
    photo, landmarks = face[0], face[1].landmarks.copy()
    square = Square.around(face[1].box)
    if where == "over the eyes":
        landmarks[:, 1] -= 0.5 * (landmarks[8, 1] - landmarks[27, 1])
        masked, worn = draw_mask(photo, landmarks, "cloth", 2)
    else:
        once, inner = draw_mask(photo, landmarks, "n95", 2)
        masked, outer = draw_mask(once, landmarks, "cloth:tartan", 3)
        worn = np.maximum(inner, outer)
    true = square.cut_map(worn)
    result = Told(unmasker, true).unmask(masked, face[1].box)
    assert result.had_mask
    assert result.hole[true > 0].all()
    changed = (result.filled != result.crop).any(axis=2)
    assert changed[true > 0].mean() > 0.9
    assert not changed[~result.hole].any()


@pytest.mark.parametrize("every", [3, 6])
def test_a_map_that_leaves_nothing_to_paint_from_is_left_alone(unmasker, face, every):
    """As a segmenter finds that has hardly learned: specks, which together, made wider, are everywhere."""
    specks = np.zeros((224, 224), np.uint8)
    specks[::every, ::every] = 255
    result = Told(unmasker, specks).unmask(face[0], face[1].box)
    assert not result.had_mask
    assert result.coverage == pytest.approx(1 / every**2, rel=0.05)
    assert np.array_equal(result.photo, face[0])


def test_faces_at_the_rim_are_unmasked_within_the_photo(unmasker, masked, face):
    photo, box = masked[0], face[1].box
    cut = photo[: int(box[3]) - 5, int(box[0]) + 8 :]
    moved = box - np.array([int(box[0]) + 8, 0] * 2, np.float32)
    assert unmasker.unmask(cut, moved).photo.shape == cut.shape


def test_crops_of_another_kind_are_refused(unmasker):
    for crop in (np.zeros((224, 224), np.uint8), np.zeros((200, 200, 3), np.uint8), np.zeros((224, 224, 3))):
        with pytest.raises(ImageError, match="C a multiple of 32"):
            unmasker.find(crop)


def test_bundles_in_the_wrong_place_are_named(unmask_bundles, tmp_path):
    segmenter, inpainter = unmask_bundles
    with pytest.raises(ModelError, match=r"holds Inpainter, not MaskSegmenter; make one with jobs/train_segmenter"):
        Unmasker.load(inpainter, segmenter)
    with pytest.raises(ModelError, match=r"make one with jobs/train_segmenter\.py"):
        Unmasker.load(tmp_path, inpainter)
