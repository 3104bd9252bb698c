import pytest

from raymask.data.photos import Photo, choose_people, list_photos
from raymask.data.storage import Folder
from raymask.errors import DataError


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return Folder(root)


def test_every_file_is_a_photo_or_is_listed_with_a_reason(tmp_path):
    root = tree(tmp_path, "b/1.JPG", "a/2.png", "a/1.webp", "a/x/3.jpeg", "a/notes.txt", "stray.jpg")
    photos, dropped = list_photos(root)
    assert photos == [Photo("a", "a/1.webp"), Photo("a", "a/2.png"), Photo("a", "a/x/3.jpeg"), Photo("b", "b/1.JPG")]
    assert {item.image_id for item in dropped} == {"a/notes.txt", "stray.jpg"}
    assert all(item.reason for item in dropped)


def test_empty_and_missing_folders_say_what_is_expected(tmp_path):
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match=r"holds no photo; it takes a tree ROOT/IDENTITY/photo\.jpg"):
            list_photos(Folder(root))


def test_people_are_chosen_by_photos_and_number():
    photos = [
        Photo(name, f"{name}/{n}.jpg") for name, count in {"a": 3, "b": 1, "c": 2, "d": 5}.items() for n in range(count)
    ]
    kept, dropped = choose_people(photos, min_photos=2, limit_identities=2)
    assert {photo.identity for photo in kept} == {"a", "c"}
    assert len(kept) + len(dropped) == len(photos)
    reasons = {item.image_id.split("/")[0]: item.reason for item in dropped}
    assert "has 1 photos" in reasons["b"]
    assert "--limit-identities 2" in reasons["d"]


def test_nobody_left_is_an_error():
    with pytest.raises(DataError, match="no person has 9 photos"):
        choose_people([Photo("a", "a/1.jpg")], min_photos=9, limit_identities=None)
