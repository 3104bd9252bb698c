"""Who is nearest, and who is enrolled."""

import pytest
from support.galleries import SPACE, enrolment, unit

from raymask.gallery.reader import GalleryReader, KeptPhoto
from raymask.gallery.rows import photo_key
from raymask.gallery.store import GalleryStore


def test_a_person_counts_by_the_nearest_embedding_and_once(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", seed) for seed in range(40)] + [enrolment("bob", 99)])
        reader = GalleryReader(str(tmp_path), SPACE)
        found = reader.search(unit(7), 2)
        assert [one.identity for one in found] == ["ann", "bob"]
        assert found[0].score == pytest.approx(1, abs=1e-6)
        assert found[1].score == pytest.approx(float(unit(7) @ unit(99)), abs=1e-6)


def test_people_and_photos_are_listed(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1, looks=("", "cloth:plain"), picture=b"JPEG"), enrolment("O'Hara", 2)])
        store.enrol([enrolment("ann", 3)])
        reader = GalleryReader(str(tmp_path), SPACE)
        assert reader.identities() == [("O'Hara", 1), ("ann", 2)]
        assert reader.identities(after="O'Hara", limit=1) == [("ann", 2)]
        first, second = reader.photos("ann")
        assert (first.looks, first.kept, second.looks, second.kept) == (("cloth:plain",), True, (), False)
        assert reader.picture("ann", first.key) == b"JPEG"
        assert reader.picture("ann", second.key) is None
        assert reader.pictures("ann") == [KeptPhoto(key=first.key, added=first.added, size=4)]
        assert reader.pictures("O'Hara") == reader.pictures("nobody") == []
        assert [photo.key for photo in reader.photos("O'Hara")] == [photo_key("O'Hara", "2")]
        assert reader.photos("nobody") == []
