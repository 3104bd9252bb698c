"""FNIR at FPIR, and what a fusion's own thresholds do, on embeddings of known geometry."""

import numpy as np
import pytest

from raymask.calibration.fit import search_table
from raymask.calibration.searches import EDGES
from raymask.data.prepare.photos import Photo
from raymask.evaluate.bootstrap import draw_weights
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.protocols.gallery import GalleryTrial
from raymask.evaluate.strangers.faces import Faces, StrangerFaces
from raymask.evaluate.strangers.measured import OwnScores, det, measure, sizes_of, stranger_table

SIZE = 48
PEOPLE, PHOTOS, STRANGERS = 12, 4, 240


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def trial() -> GalleryTrial:
    photos = [Photo(f"p{person:02}", f"p{person:02}/{shot}.jpg") for person in range(PEOPLE) for shot in range(PHOTOS)]
    return GalleryTrial(photos, draws=3, seed=0)


@pytest.fixture(scope="module")
def answer(trial, random) -> Embedded:
    """Photos around their person; masked ones, the second half, farther away."""
    centres = unit(random.normal(size=(PEOPLE, SIZE)))
    noise = np.where(trial.masked, 1.5, 0.6)[:, None] * unit(random.normal(size=(len(trial.probes), SIZE)))
    return Embedded(unit(centres[trial.identities] + noise), np.ones(len(trial.probes), bool))


@pytest.fixture(scope="module")
def faces(random) -> StrangerFaces:
    names = [f"s{number}" for number in range(STRANGERS)]
    bare, drawn = (unit(random.normal(size=(STRANGERS, SIZE))) for _ in range(2))
    found = np.ones(STRANGERS, bool)
    worn = Faces(["w"] * 50, unit(random.normal(size=(50, SIZE))), np.arange(50) > 4)
    known = Faces(names, bare, found)
    return StrangerFaces(bare=known, drawn=Faces(names, drawn, found), enrolled=known, worn=worn)


@pytest.fixture(scope="module")
def own(trial, answer) -> OwnScores:
    return OwnScores(trial, answer, draw_weights(len(trial.people), 200, 0))


def test_strangers_are_compared_with_all_others_but_known_repeats(faces):
    searches = faces.searches([("s3", "s7"), ("s3", "nobody")])
    cosines = searches["bare"].cosines
    assert np.isnan(cosines[3, 7])
    assert np.isnan(cosines[7, 3])
    assert np.isnan(np.diag(cosines)).all()
    assert np.isnan(cosines).sum() == STRANGERS + 2
    assert cosines[0, 1] == pytest.approx(faces.bare.embeddings[0] @ faces.bare.embeddings[1], abs=1e-6)
    assert np.isnan(np.diag(searches["masked"].cosines)).all(), "nobody is searched among photos of themselves"
    assert searches["worn"].people == 45
    assert searches["worn"].most == STRANGERS


def test_strangers_without_a_face_are_neither_searched_nor_enrolled(faces):
    gone = Faces(faces.bare.names, faces.bare.embeddings, np.arange(STRANGERS) != 2)
    searches = StrangerFaces(bare=gone, drawn=faces.drawn, enrolled=gone, worn=None).searches([])
    assert set(searches) == {"bare", "masked"}
    assert searches["bare"].cosines.shape == (STRANGERS - 1, STRANGERS - 1)
    assert searches["masked"].cosines.shape == (STRANGERS, STRANGERS - 1)


def test_others_are_enrolled_and_not_searched(faces, random):
    more = Faces(["other", "s3"], unit(random.normal(size=(2, SIZE))), np.ones(2, bool))
    wider = StrangerFaces(bare=faces.bare, drawn=faces.drawn, enrolled=faces.bare.with_others(more), worn=None)
    searches = wider.searches([("s5", "other")])
    assert searches["bare"].cosines.shape == (STRANGERS, STRANGERS + 2)
    assert np.isnan(searches["bare"].cosines[5, STRANGERS])
    assert searches["masked"].cosines[6, STRANGERS] == pytest.approx(faces.drawn.embeddings[6] @ more.embeddings[0])
    assert searches["bare"].people == STRANGERS


def test_fnir_is_the_share_of_probes_below_the_threshold(own, trial, answer):
    scores, is_probe = trial.own_scores(answer)
    for state, rows in (("bare", ~trial.masked), ("masked", trial.masked)):
        kept = scores[is_probe & rows]
        assert own.all_of(state) == pytest.approx(np.sort(kept))
        threshold = float(np.quantile(kept, 0.3))
        found = own.fnir(state, threshold)
        assert found.value == pytest.approx((kept < threshold).mean())
        assert found.low <= found.value <= found.high


def test_a_person_without_a_face_in_the_enrolled_photo_is_missed_at_any_threshold(trial, answer):
    found = answer.found.copy()
    found[trial.enrolled[0][0]] = False
    scores, is_probe = trial.own_scores(Embedded(answer.embeddings, found))
    assert np.isneginf(scores[0][is_probe[0] & (trial.identities == 0)]).all()


def test_rows_hold_for_each_size_and_rate_and_the_promise_beside_them(own, faces):
    searches = faces.searches([])
    table = search_table({"bare": [searches["bare"]], "masked": [searches["masked"], searches["worn"]]})
    found = measure(own, searches, {"bare": "bare", "masked": "masked"}, table)
    assert [(row.searched, row.enrolled, row.rate) for row in found.rows[:4]] == [
        ("bare", 100, 0.1),
        ("bare", 100, 0.01),
        ("bare", STRANGERS - 1, 0.1),
        ("bare", STRANGERS - 1, 0.01),
    ]
    assert sizes_of(searches["worn"]) == [100, STRANGERS]
    for row in found.rows:
        assert row.promise is not None
        if row.searched != "worn" and not row.promise.extrapolated:
            assert 0.5 * row.rate < row.promise.fpir <= 1.0 * row.rate, "calibrated on these very strangers"
        assert (row.fnir is None) == (row.searched == "worn")
    bare, masked = (next(row for row in found.rows if row.searched == name) for name in ("bare", "masked"))
    assert bare.fnir.value < masked.fnir.value
    assert [line.label for line in found.curves] == ["bare", "masked"]
    assert "strangers reach; their share is below" in found.notes[0]


def test_of_strangers_without_any_face_it_is_said(own, faces):
    unseen = Faces(faces.drawn.names, faces.drawn.embeddings, np.zeros(STRANGERS, bool))
    searches = StrangerFaces(bare=faces.bare, drawn=unseen, enrolled=faces.bare, worn=None).searches([])
    found = measure(own, searches, {"bare": "bare", "masked": "masked"}, None)
    assert {row.searched for row in found.rows} == {"bare"}
    assert found.notes[1] == "masked strangers: no face is found in any of their photos"


def test_without_a_table_nothing_is_promised(own, faces):
    found = measure(own, faces.searches([]), {"bare": "bare"}, None)
    assert all(row.promise is None for row in found.rows)
    heads, columns = stranger_table(found.rows)
    assert heads[0] == "bare, 100 enrolled, FPIR 10%"
    assert [title for title, _ in columns] == ["threshold", "FNIR, %"]
    assert {len(cells) for _, cells in columns} == {len(found.rows)}


def test_the_curve_falls_to_one_strangers_share():
    fpir = np.clip(1 - (EDGES + 1) / 1.5, 0, 1)
    line = det(np.array([-np.inf, 0.2, 0.4]), fpir, "bare", strangers=10)
    assert line.x.min() >= 0.1
    assert np.all(np.diff(line.x) <= 0)
    assert np.all(np.diff(line.y) >= 0)
    assert line.y[0] == pytest.approx(1 / 3), "one probe has no face"
