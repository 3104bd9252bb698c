import pytest

from raymask.data.photos import Photo, choose_people, list_photos, read_identities
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


def test_people_are_taken_from_a_list(tmp_path):
    photos = [Photo(name, f"{name}/{n}.jpg") for name in ("n000001", "n000002", "n000003") for n in range(2)]
    (tmp_path / "people.txt").write_text("\ufeffn000003\n\n n000001 \r\n")
    named = read_identities(str(tmp_path / "people.txt"))
    kept, dropped = choose_people(photos, min_photos=1, limit_identities=None, named=named)
    assert {photo.identity for photo in kept} == {"n000001", "n000003"}
    assert [item.reason for item in dropped] == ["its person is not named in --identities"] * 2
    kept, dropped = choose_people(photos, min_photos=1, limit_identities=1, named=named)
    assert {photo.identity for photo in kept} == {"n000001"}
    assert len(kept) + len(dropped) == len(photos)
    with pytest.raises(DataError, match="1 of the people named have no folder with photos, 'n000009' first"):
        choose_people(photos, min_photos=1, limit_identities=None, named=["n000001", "n000009"])


def test_a_list_that_is_none_is_named(tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "picture.txt").write_bytes(b"\xff\xd8\xff")
    for name, why in (("empty.txt", "names nobody"), ("picture.txt", "is not UTF-8 text"), ("none.txt", "none.txt")):
        with pytest.raises(DataError, match=why):
            read_identities(str(tmp_path / name))
