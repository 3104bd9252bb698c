"""Who is nearest, and who is enrolled."""

import numpy as np
import pytest
from support.galleries import SPACE, enrolment, nearest, unit

from raymask.gallery.reader import GalleryReader, KeptPhoto
from raymask.gallery.rows import photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.view import Found, GallerySize


def test_a_person_counts_by_the_nearest_embedding_and_once(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", seed) for seed in range(40)] + [enrolment("bob", 99)])
        reader = GalleryReader(str(tmp_path), SPACE)
        found = nearest(reader, unit(7), 2)
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


def test_a_search_says_among_how_many_it_was(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        reader = GalleryReader(str(tmp_path), SPACE)
        assert reader.search(np.stack([unit(1), unit(2)]), 2) == Found([[], []], GallerySize(0, 0))
        store.enrol([enrolment("ann", 1, looks=("", "kn95")), enrolment("bob", 2)])
        store.enrol([enrolment("ann", 3)])
        assert reader.search(unit(1)[None], 1).enrolled == GallerySize(0, 0), "of what the search has seen"
        reader.refresh()
        found = reader.search(np.stack([unit(1), unit(2)]), 1)
        assert [[one.identity for one in people] for people in found.candidates] == [["ann"], ["bob"]]
        assert found.enrolled == GallerySize(people=2, embeddings=4)
        store.erase("ann")
        reader.refresh()
        assert reader.search(unit(1)[None], 1).enrolled == GallerySize(1, 1)


def test_one_person_is_compared_by_all_embeddings(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("O'Hara", 1, looks=("", "kn95")), enrolment("bob", 2), enrolment("O'Hara", 3)])
        reader = GalleryReader(str(tmp_path), SPACE)
        for seed in (1, 1001, 3):
            assert reader.compare(unit(seed), "O'Hara") == (pytest.approx(1, abs=1e-6), 3)
        others = (unit(1), unit(1001), unit(3))
        assert reader.compare(unit(2), "O'Hara") == (pytest.approx(max(unit(2) @ one for one in others), abs=1e-6), 3)
        assert reader.compare(unit(2), "bob") == (pytest.approx(1, abs=1e-6), 1)
        assert reader.compare(unit(2), "nobody") is None
        store.erase("bob")
        reader.refresh()
        assert reader.compare(unit(2), "bob") is None
