"""When a gallery is checked, and what is said of it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from support.galleries import alike, people_of, search_table, unlike

from raymask.gallery.reader import GalleryReader
from raymask.gallery.rows import photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space
from raymask.serve.core import self_check
from raymask.serve.core.gallery_checks import GalleryChecks, warning_of
from raymask.serve.core.self_check import SelfCheck, Share

SPACE = Space(digest="e" * 64, size=64, recogniser="dlib")


@pytest.fixture
def store(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol(people_of(alike(220)))
        yield store


@pytest.fixture
def reader(store, tmp_path) -> GalleryReader:
    return GalleryReader(str(tmp_path), SPACE)


def more(store: GalleryStore, people: int, first: int) -> None:
    store.enrol(people_of(unlike(people, first), [f"more {first + place}" for place in range(people)]))


def test_a_gallery_is_checked_again_once_a_tenth_has_changed(store, reader, monkeypatch):
    checks = GalleryChecks(reader, search_table())
    assert checks.state() == (220, 220, None)
    assert checks.update()
    assert checks.last.exceeds
    assert not checks.update(), "nothing has changed"
    more(store, 21, 0)
    reader.refresh()
    assert not checks.update(), "less than a tenth"
    assert checks.state()[:2] == (241, 241)
    assert checks.state().check.people == 220
    more(store, 1, 100)
    reader.refresh()
    assert checks.update()
    assert checks.last.people == 242
    for number in range(25):
        store.erase(f"p{number:04}")
    reader.refresh()
    assert checks.update(), "it has shrunk by a tenth"
    assert checks.last.people == 217
    monkeypatch.setattr(self_check, "LEAST_PEOPLE", 1000)
    more(store, 25, 200)
    reader.refresh()
    assert not checks.update(), "too few people for a check"
    assert checks.last is None


def test_people_are_counted_where_embeddings_hardly_grow(store, reader):
    again = [replace(one, key=photo_key(one.identity, photo)) for photo in "23" for one in people_of(alike(220))]
    store.enrol(again)
    reader.refresh()
    checks = GalleryChecks(reader, search_table())
    assert checks.update()
    assert (checks.last.people, checks.last.embeddings) == (220, 660)
    more(store, 22, 0)
    reader.refresh()
    assert checks.update(), "a tenth more people, and 3% more embeddings"


def test_without_a_table_and_beyond_it_nothing_is_checked(store, reader):
    unpromised = GalleryChecks(reader, None)
    assert not unpromised.update()
    assert unpromised.state() == (220, 220, None)
    more(store, 800, 0)
    reader.refresh()
    assert not GalleryChecks(reader, search_table()).update(), "the table ends at 1,000 embeddings"


def test_a_table_without_a_rate_is_held_to_its_own(store, reader):
    table = search_table()
    rows = {
        state: replace(table.state(state), scores=table.bare.scores[:1], extrapolated=((False, False),))
        for state in ("bare", "masked")
    }
    checks = GalleryChecks(reader, replace(table, rates=(0.1,), **rows))
    assert checks.update()
    assert [share.expected for share in checks.last.shares] == [0.1]


def test_an_erased_person_is_named_no_more(store, reader):
    checks = GalleryChecks(reader, search_table())
    checks.update()
    gone = checks.state().check.nearest[0]
    assert len(checks.state().check.nearest) == 5
    store.erase(gone.first)
    reader.refresh()
    left = checks.state().check
    assert left.people == 220, "it is the same check"
    assert left.nearest
    assert gone.first not in {name for pair in left.nearest for name in pair[:2]}


def test_the_warning_says_what_is_wrong_and_what_to_do():
    def check(*exceeds: bool) -> SelfCheck:
        shares = (Share(0.1, 0.2345, exceeds[0]), Share(0.01, 0.08, exceeds[1]))
        now = datetime.now(UTC)
        return SelfCheck(checked=now, people=5000, embeddings=5000, searched=1000, shares=shares, nearest=())

    assert warning_of(None) is None
    assert warning_of(check(False, False)) is None
    both = warning_of(check(True, True))
    assert "Of 1,000 people" in both
    assert "23.4% instead of 10% and 8.0% instead of 1%" in both
    assert "jobs/calibrate.py --fused DIR --strangers FOLDER --out DIR" in both
    assert "GET /v1/gallery" in both
    assert "10%" not in warning_of(check(False, True))
