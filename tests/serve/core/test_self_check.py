"""Whether a gallery keeps what its thresholds promise, on galleries of which that is known."""

import numpy as np
import pytest
from support.galleries import alike, calibrated, people_of, unlike

from raymask.gallery.reader import GalleryReader
from raymask.gallery.rows import Enrolment, photo_key
from raymask.gallery.store import GalleryStore
from raymask.gallery.table import Space
from raymask.serve.core import self_check as self_check_module
from raymask.serve.core.self_check import NearPair, _share, self_check

SPACE = Space(digest="d" * 64, size=64, recogniser="dlib")


@pytest.fixture
def enrolled(tmp_path):
    """The gallery of some people, to be searched."""

    def made(people: list[Enrolment]) -> GalleryReader:
        with GalleryStore(tmp_path, SPACE) as store:
            store.enrol(people)
        return GalleryReader(str(tmp_path), SPACE)

    return made


def promised(embeddings: int) -> dict[float, float]:
    return calibrated(embeddings + 1)


def test_people_like_those_of_the_calibration_keep_the_promise(enrolled):
    asked = []
    found = self_check(enrolled(people_of(unlike(250))), lambda n: asked.append(n) or promised(n), seed=0)
    assert asked == [249], "a photo is not searched beside itself"
    assert (found.people, found.embeddings, found.searched) == (250, 250, 250)
    assert [share.expected for share in found.shares] == [0.1, 0.01]
    assert 0.03 < found.shares[0].observed < 0.2
    assert not found.exceeds


def test_people_who_look_alike_do_not(enrolled):
    found = self_check(enrolled(people_of(alike(250))), promised, seed=0)
    assert [share.exceeds for share in found.shares] == [True, True]
    assert found.shares[0].observed > 0.5
    assert found.exceeds


def test_few_people_are_not_checked(enrolled, tmp_path):
    reader = enrolled(people_of(alike(199)))
    assert self_check(reader, promised, seed=0) is None
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment_of("p0000", "another photo", unlike(1, 9))])
        reader.refresh()
        assert self_check(reader, promised, seed=0) is None, "photos are not people"
        store.enrol(people_of(unlike(1, 8), ["one more"]))
    reader.refresh()
    assert self_check(reader, promised, seed=0).people == 200


def enrolment_of(name: str, photo: str, rows: np.ndarray) -> Enrolment:
    looks = ("", *(f"cloth:{place}" for place in range(1, len(rows))))
    return Enrolment(identity=name, key=photo_key(name, photo), embeddings=rows, looks=looks)


def test_where_nothing_is_promised_nothing_is_checked(enrolled):
    assert self_check(enrolled(people_of(alike(250))), lambda n: {}, seed=0) is None


def test_a_persons_own_photos_are_not_somebody_else(enrolled):
    """Three photos each, one of them with a mask drawn on it."""
    rows, spread = unlike(220), 0.1 * unlike(660, 5)
    near = np.repeat(rows, 3, axis=0) + spread
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    photos = [
        enrolment_of(f"p{place:04}", str(number), near[3 * place :][chosen])
        for place in range(220)
        for number, chosen in enumerate(([0, 1], [2]))
    ]
    found = self_check(enrolled(photos), promised, seed=0)
    assert (found.people, found.embeddings, found.searched) == (220, 660, 220)
    assert not found.exceeds
    assert all(pair.first != pair.second for pair in found.nearest)


def test_who_is_enrolled_twice_is_among_the_nearest_and_not_printed(enrolled):
    rows = unlike(251)
    twice = people_of(0.05 * rows[250:] + rows[:1] * np.sqrt(1 - 0.05**2), ["Ann Again"])
    twice[0].embeddings[:] /= np.linalg.norm(twice[0].embeddings)
    found = self_check(enrolled([*people_of(rows[:250]), *twice]), promised, seed=0)
    assert found.nearest[0][:2] == ("Ann Again", "p0000")
    assert found.nearest[0].score > 0.99
    assert len(found.nearest) == len({pair[:2] for pair in found.nearest}) == 5
    assert [pair.score for pair in found.nearest] == sorted((pair.score for pair in found.nearest), reverse=True)
    assert not found.exceeds, "one pair may be"
    assert "Ann" not in repr(found)


def test_who_is_erased_is_in_no_later_result(enrolled, tmp_path):
    rows = unlike(250)
    reader = enrolled(people_of(np.concatenate([rows, rows[:1]]), [*(f"p{n:04}" for n in range(250)), "again"]))
    assert self_check(reader, promised, seed=0).nearest[0][:2] == ("again", "p0000")
    with GalleryStore(tmp_path, SPACE) as store:
        store.erase("again")
    reader.refresh()
    found = self_check(reader, promised, seed=0)
    assert found.people == 250
    assert "again" not in {name for pair in found.nearest for name in pair[:2]}


def pairs(reaching: int, *, mutual: bool, searched: int) -> list[NearPair | None]:
    """`reaching` of the searches reach 0.5: two people each other, or all of them the same one."""
    near = [NearPair(f"{n // 2 if mutual else n}", "z", 0.6) for n in range(reaching)]
    return [*near, *[NearPair("a", "b", 0.4)] * (searched - reaching - 1), None]


@pytest.mark.parametrize(
    ("reaching", "mutual", "searched", "exceeds"),
    [
        (4, False, 200, False),  # 2 are expected, and 4 are no more than twice as many
        (6, False, 200, False),  # so many come by chance in 1.6%
        (7, False, 200, True),  # in 0.4%
        (8, True, 200, False),  # four pairs among 100: in 1.8%
        (10, True, 200, True),  # five: in 0.3%
        (20, False, 1000, False),  # hardly by chance, but not more than twice as many
        (21, False, 1000, True),
        (0, False, 1000, False),
    ],
)
def test_more_than_twice_as_many_and_not_by_chance(reaching, mutual, searched, exceeds):
    found = _share(0.01, 0.5, pairs(reaching, mutual=mutual, searched=searched))
    assert found == (0.01, reaching / searched, exceeds)


@pytest.mark.parametrize(("longest", "searched"), [(449, 225), (350, None)])
def test_slow_searches_end_the_check(enrolled, monkeypatch, longest, searched):
    class Clock:
        """Two seconds a search."""

        now = 0.0
        slept = 0.0

        def monotonic(self) -> float:
            self.now += 1
            return self.now

        def sleep(self, seconds: float) -> None:
            self.slept += seconds

    reader, clock = enrolled(people_of(unlike(250))), Clock()
    monkeypatch.setattr(self_check_module, "time", clock)
    monkeypatch.setattr(self_check_module, "_LONGEST", longest)
    found = self_check(reader, promised, seed=0)
    assert (found and found.searched) == searched
    assert clock.slept == 4 * (searched or 175), "it rests four seconds for each of searching"


def test_people_are_drawn_by_chance_and_by_seed(enrolled, tmp_path):
    rows = unlike(300)
    many = [enrolment_of("p0000", str(place), rows[:1]) for place in range(40)]
    reader = enrolled([*people_of(rows), *many, enrolment_of("masked", "1", unlike(2, 7))])
    everybody = reader.draw(1000, 0)
    assert (everybody.people, len(set(everybody.names)), len(everybody.names)) == (301, 301, 301)
    one, again, other = (reader.draw(30, seed) for seed in (1, 1, 2))
    assert one.names == again.names != other.names
    np.testing.assert_array_equal(one.vectors, again.vectors)
    drawn = [reader.draw(30, seed).names for seed in range(40)]
    assert sum("p0000" in names for names in drawn) < 20, "who has many photos is not drawn more often"
    assert len({name for names in drawn for name in names}) > 250
    with GalleryStore(tmp_path, SPACE) as store:
        store.erase("p0007")  # whose row leaves the others with other numbers
    reader.refresh()
    everybody = reader.draw(1000, 0)
    assert everybody.people == reader.people == 300
    at = dict(zip(everybody.names, everybody.vectors, strict=True))
    assert "p0007" not in at
    np.testing.assert_array_equal(at["p0123"], rows[123])
    np.testing.assert_array_equal(at["masked"], unlike(2, 7)[0], "the bare photo")
    assert reader.enrolled_of({"p0007", "p0008", "O'Hara"}) == {"p0008"}
    assert reader.enrolled_of(set()) == set()


def test_an_empty_gallery_has_nobody_to_draw(enrolled, tmp_path):
    with GalleryStore(tmp_path, SPACE):
        pass
    reader = GalleryReader(str(tmp_path), SPACE)
    assert reader.draw(1000, 0).people == reader.people == 0
    assert self_check(reader, promised, seed=0) is None
