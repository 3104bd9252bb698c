"""Morphs lie between two people's faces, are the same each time, and stand behind the photos of a store."""

import numpy as np
import pytest

from raymask.data.augment.morphs import MorphedStore, bend
from raymask.data.reading.crops import CropStore
from raymask.data.reading.sampler import BatchPhoto
from raymask.errors import ConfigError

COUNT = 40


@pytest.fixture(scope="module")
def store(prepared) -> CropStore:
    return CropStore(str(prepared), "train")


@pytest.fixture(scope="module")
def morphed(store) -> MorphedStore:
    return MorphedStore(store, COUNT, 7, quiet=True)


def shots(rows, masked=False):
    return [BatchPhoto(row, masked) for row in rows]


def test_photos_come_first_and_each_morph_is_a_person(store, morphed):
    count = len(store)
    assert len(morphed) == count + COUNT == len(morphed.identities)
    assert np.array_equal(morphed.identities[:count], store.identities)
    assert len(set(morphed.identities[count:])) == COUNT
    assert morphed.identities.max() + 1 == len(morphed.people) == len(set(morphed.people))
    mixed = morphed.pixels(
        [BatchPhoto(count, masked=False), BatchPhoto(2, masked=True), BatchPhoto(1, masked=False)], 96
    )
    assert np.array_equal(mixed[1:], store.pixels([BatchPhoto(2, masked=True), BatchPhoto(1, masked=False)], 96))
    for column in ("landmarks", "points"):
        found = getattr(morphed, column)()
        assert np.array_equal(found[:count], getattr(store, column)(quiet=True))
        assert len(found) == len(morphed)


@pytest.mark.parametrize("masked", [False, True])
def test_a_morph_lies_between_two_people(store, morphed, masked):
    """Of bare faces, or of what their masked crops were prepared as."""
    count, marks = len(store), morphed.landmarks().astype(float)
    for number in range(COUNT):
        first, second = morphed._pairs[number]
        assert store.identities[first] != store.identities[second]
        assert 0.3 <= morphed._shares[number] <= 0.7
        low, high = (edge(marks[[first, second]], axis=0) for edge in (np.min, np.max))
        assert ((marks[count + number] >= low - 0.1) & (marks[count + number] <= high + 0.1)).all()
    made = morphed.pixels(shots(range(count, count + 8), masked), 224).astype(float)
    for number, face in enumerate(made):
        rows, share = morphed._pairs[number].tolist(), float(morphed._shares[number])
        crops = [np.ascontiguousarray(crop.transpose(1, 2, 0)) for crop in store.pixels(shots(rows, masked), 224)]
        bent = [bend(crop, marks[row], marks[count + number]) for crop, row in zip(crops, rows, strict=True)]
        wanted = (1 - share) * bent[0] + share * bent[1].astype(float)
        assert np.abs(face.transpose(1, 2, 0) - wanted).mean() < 1, "as much of each as the share says"
        assert np.abs(bent[0].astype(float) - bent[1]).mean() > 5


def test_whoever_has_most_of_the_photos_meets_others(store):
    class Lopsided:
        people, identities = ["a", "b"], np.array([1] * 31 + [0])
        landmarks, points = store.landmarks, store.points

    morphed = MorphedStore(Lopsided(), 200, 0, quiet=True)
    assert (Lopsided.identities[morphed._pairs[:, 0]] != Lopsided.identities[morphed._pairs[:, 1]]).all()
    Lopsided.identities = np.zeros(32, int)
    with pytest.raises(ConfigError, match="at least two people"):
        MorphedStore(Lopsided(), 5, 0, quiet=True)


def test_the_seed_decides(store, morphed):
    again, other = MorphedStore(store, COUNT, 7, quiet=True), MorphedStore(store, COUNT, 8, quiet=True)
    wanted = shots(range(len(store), len(store) + 5))
    assert np.array_equal(morphed.pixels(wanted, 64), again.pixels(wanted, 64))
    assert not np.array_equal(morphed.pixels(wanted, 64), other.pixels(wanted, 64))


def test_bending_brings_landmarks_where_they_should_lie(store):
    """Where another person's lie; seen by a picture whose colours say which pixel they are of."""
    own, to = store.landmarks(quiet=True)[[0, int(np.flatnonzero(store.identities)[0])]].astype(float)
    y, x = np.mgrid[:224, :224].astype(np.uint8)
    bent = bend(np.stack([x, y, x], axis=-1), own, to).astype(float)
    inside = ((to > 4) & (to < 219) & (own > 4) & (own < 219)).all(axis=1)
    columns, rows = np.rint(to[inside]).astype(int).T
    away = np.linalg.norm(bent[rows, columns, :2] - own[inside], axis=1)
    before = np.linalg.norm(to[inside] - own[inside], axis=1)
    assert inside.sum() > 40
    assert before.mean() > 5
    assert away.mean() < 0.2 * before.mean()
    assert np.quantile(away, 0.9) < 0.4 * before.mean()
