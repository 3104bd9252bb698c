"""Protocols on people and photos: which probes count, and recognisers that know everything or nothing."""

import numpy as np
import pytest

from raymask.data.prepare.photos import Photo
from raymask.evaluate.bootstrap import Sampled, draw_weights
from raymask.evaluate.embedding import Embedded
from raymask.evaluate.probes import Probe
from raymask.evaluate.protocols.batch import BatchTrial
from raymask.evaluate.protocols.gallery import GalleryTrial
from raymask.evaluate.protocols.pairs import PairsTrial
from raymask.evaluate.protocols.pairs_file import Pair

PHOTOS = [Photo(f"p{who}", f"p{who}/{number}.jpg") for who in range(6) for number in range(7)]
PAIRS = [
    Pair(PHOTOS[7 * who + number], PHOTOS[7 * ((who + other) % 6) + 6], fold=number % 2, line=1)
    for who in range(6)
    for number in range(4)
    for other in (0, 1)
]
TRIALS = {
    "batch": lambda: BatchTrial(PHOTOS, batches=20, seed=0),
    "gallery": lambda: GalleryTrial(PHOTOS, draws=3, seed=0),
    "pairs": lambda: PairsTrial(PAIRS, mask="one"),
}


MASKED = [Photo(f"p{who}", f"p{who}/{number}{'cr'[number % 2]}.jpg") for who in range(5) for number in range(who)]
"""Of p0 and p5 none, of p4 four; every other one is clean."""


def real(**options):
    return GalleryTrial(PHOTOS, **{"draws": 3, "seed": 0, "in_real_masks": MASKED, **options})


def figures(trial, answer):
    weights = draw_weights(len(trial.people), 100, 0)
    return {
        measure.key: Sampled.of(measure.statistic, weights).figure().value for measure in trial.score(answer).measures
    }


def perfect(trial):
    people = np.array([int(probe.photo.identity[1:]) for probe in trial.probes])
    return Embedded(np.eye(6, dtype=np.float32)[people], np.ones(len(people), bool))


@pytest.mark.parametrize("name", TRIALS)
def test_a_perfect_recogniser(name):
    trial = TRIALS[name]()
    for key, value in figures(trial, perfect(trial)).items():
        if key == "dprime_masked":
            assert np.isnan(value)  # equal scores have no variance
        else:
            assert value == (0 if key[:4] in ("fpir", "fnir") or key.startswith("eer") else 1), key
    matcher = trial.matcher(perfect(trial))
    assert all(matcher(query)[0].right for query in trial.queries())


@pytest.mark.parametrize("name", TRIALS)
def test_a_blind_recogniser(name):
    trial = TRIALS[name]()
    blind = Embedded(np.zeros((len(trial.probes), 4), np.float32), np.zeros(len(trial.probes), bool))
    expected = {"accuracy": 0.5 if name == "pairs" else 0, "eer": 0.5, "eer_masked": 0.5}
    expected |= {"fnir_bare": 1, "fnir_masked": 1, "dprime_masked": np.nan}
    for key, value in figures(trial, blind).items():
        assert value == pytest.approx(expected.get(key, 0), nan_ok=True), key
    scored = trial.score(blind)
    assert len(scored.same) == len(scored.different) == 0
    assert trial.matcher(blind)(trial.queries()[0]) == []


def test_a_gallery_probe_is_never_the_enrolled_shot_bare_or_masked():
    trial = TRIALS["gallery"]()
    enrolled = {trial.probes[row].photo for row in trial.enrolled[0]}
    assert len(enrolled) == 6
    queries = trial.queries()
    assert len(queries) == 42 - 6
    assert all(trial.probes[query.probe].masked for query in queries)
    assert not {trial.probes[query.probe].photo for query in queries} & enrolled
    assert not any(trial.probes[row].masked for row in queries[0].candidates)


def test_who_is_enrolled_without_a_face_is_named():
    trial = GalleryTrial(PHOTOS, draws=1, seed=0)
    answer = perfect(trial)
    answer.found[trial.enrolled[0][2]] = False
    assert "p2" in " ".join(trial.score(answer).notes)
    assert figures(trial, answer)["rank1_masked"] == pytest.approx(5 / 6)


CROWD = [Photo(f"q{who}", f"q{who}/0.jpg") for who in range(3)]


def test_a_crowd_is_enrolled_and_not_asked_about():
    """Of whom one looks like p2: its probes are lost, and, known to both halves, it keeps their thresholds high."""
    trial = GalleryTrial(PHOTOS, draws=3, seed=0, crowd=CROWD)
    assert [probe.photo for probe in trial.probes[-3:]] == CROWD
    assert trial.asked == GalleryTrial(PHOTOS, draws=3, seed=0).probes
    assert trial.people == [f"p{who}" for who in range(6)]
    assert len(trial.queries()) == 42 - 6
    embeddings = np.concatenate([np.eye(6, dtype=np.float32)[np.tile(np.arange(42) // 7, 2)], np.eye(6)[[2, 0, 0]]])
    embeddings[-2:] = 6**-0.5  # somebody like nobody
    answer = Embedded(embeddings.astype(np.float32), np.ones(len(embeddings), bool))
    found = figures(trial, answer)
    assert found["rank1_bare"] == found["rank1_masked"] == pytest.approx(5 / 6)
    assert found["rank5_masked"] == 1
    assert found["fnir_masked"] > 0
    lost = next(query for query in trial.queries() if trial.probes[query.probe].photo.identity == "p2")
    nearest = trial.matcher(answer)(lost)[:2]
    assert {trial.probes[match.probe].photo.identity for match in nearest} == {"p2", "q0"}
    assert [match.right for match in nearest] == [trial.probes[match.probe].photo.identity == "p2" for match in nearest]

    answer.found[-1] = False
    assert "no face is found in 1 of the crowd's photos" in trial.score(answer).notes


def test_nobody_of_a_crowd_that_looks_like_none_is_found():
    trial = GalleryTrial(PHOTOS, draws=3, seed=0, crowd=CROWD)
    embeddings = np.zeros((len(trial.probes), 7), np.float32)
    embeddings[:-3, :6] = perfect(TRIALS["gallery"]()).embeddings
    embeddings[-3:, 6] = 1
    answer = Embedded(embeddings, np.ones(len(embeddings), bool))
    assert figures(trial, answer) == pytest.approx(
        figures(TRIALS["gallery"](), perfect(TRIALS["gallery"]())), nan_ok=True
    )


def test_all_photos_in_real_masks_are_probes_in_every_draw_and_none_is_drawn():
    trial = real()
    assert [probe for probe in trial.probes if probe.masked] == [Probe(one, True, "masked_images") for one in MASKED]
    assert not any(probe.is_drawn for probe in trial.probes)
    for enrolled in trial.enrolled:
        is_probe = trial.is_probe(enrolled)
        assert is_probe[trial.masked].all()
        assert is_probe[~trial.masked].sum() == 42 - 6
        assert not is_probe[enrolled].any()
        assert not trial.masked[enrolled].any()
    counted = {measure.key: measure.n for measure in trial.score(perfect(trial)).measures}
    assert counted["rank1_masked"] == counted["fnir_masked"] == 3 * 10
    assert counted["rank1_bare"] == 3 * 36
    assert counted["eer_masked"] == counted["dprime_masked"] == 10 * 42  # no twins to leave out
    assert len(trial.queries()) == 10


def test_clean_photos_have_figures_of_their_own():
    trial = real(clean="*c.*")
    answer = perfect(trial)
    clean = np.array([probe.masked and probe.photo.image_id.endswith("c.jpg") for probe in trial.probes])
    assert clean.sum() == 6
    answer.embeddings[trial.masked & ~clean] = np.eye(6, dtype=np.float32)[5]  # taken for p5
    scored = trial.score(answer)
    found, counted = figures(trial, answer), {measure.key: measure.n for measure in scored.measures}
    assert counted["rank1_clean"] == 3 * 6
    assert counted["eer_clean"] == 6 * 42
    assert (found["rank1_clean"], found["rank1_masked"], found["rank1_bare"]) == (1, 0.6, 1)
    assert found["eer_clean"] == 0 < found["eer_masked"]
    assert found["fnir_clean"] < found["fnir_masked"]
    assert [line.label for line in scored.lines] == ["bare", "masked", "clean"]
    assert "rank-1, masked, *c.*" in [measure.title for measure in scored.measures]


def test_one_bare_photo_is_enough_beside_masked_ones():
    """Nobody has a second: there are no bare probes, and no curve of them."""
    trial = GalleryTrial(PHOTOS[::7], draws=2, seed=0, in_real_masks=MASKED)
    scored = trial.score(perfect(trial))
    found = figures(trial, perfect(trial))
    assert {measure.key: measure.n for measure in scored.measures}["rank1_bare"] == 0
    assert np.isnan(found["rank1_bare"])
    assert found["rank1_masked"] == 1
    assert [line.label for line in scored.lines] == ["masked"]


def test_a_crowd_may_lie_in_a_folder_of_its_own():
    trial = real(crowd=CROWD, crowd_source="crowd_images")
    assert trial.probes[-3:] == [Probe(photo, False, "crowd_images") for photo in CROWD]
    assert trial.asked == real().probes
    embeddings = np.concatenate([perfect(real()).embeddings, np.eye(6, dtype=np.float32)[[3, 3, 3]]])
    found = figures(trial, Embedded(embeddings, np.ones(len(embeddings), bool)))
    assert found["rank1_masked"] == pytest.approx(7 / 10)  # p3's three are lost to the crowd
    assert found["eer_masked"] == 0  # which is compared with nobody's masked photos


def test_too_many_pairs_are_left_out_and_said(monkeypatch):
    monkeypatch.setattr("raymask.evaluate.protocols.gallery.MOST", 419)
    scored = real().score(perfect(real()))
    assert "no EER and d': 420 pairs are over 419; take fewer photos by --max-photos" in scored.notes
    assert not [measure.key for measure in scored.measures if measure.key.startswith(("eer", "dprime"))]


def test_pairs_in_real_masks_and_the_clean_ones_apart():
    """Each person's first bare photo with each of their masked ones, and with the next person's; p4's are wrong."""
    pairs = [
        Pair(PHOTOS[7 * ((who + other) % 6)], one, fold=place % 2, line=1, in_truth=(False, True))
        for other in (0, 1)
        for place, one in enumerate(MASKED)
        for who in (int(one.identity[1:]),)
    ]
    trial = PairsTrial([*pairs, PAIRS[0]], mask="none", clean="*c.*")
    for pair, (first, second) in zip(pairs, trial.rows[:-1], strict=True):
        assert trial.probes[first] == Probe(pair.first, False)
        assert trial.probes[second] == Probe(pair.second, True, "masked_images")
    assert "20 of them with a real mask" in trial.title
    answer = perfect(trial)
    for row, probe in enumerate(trial.probes):
        if probe.photo.image_id in ("p4/1r.jpg", "p4/3r.jpg"):
            answer.embeddings[row] = np.eye(6)[0]
    scored = trial.score(answer)
    found, counted = figures(trial, answer), {measure.key: measure.n for measure in scored.measures}
    assert counted["accuracy"] == 21
    assert counted["accuracy_clean"] == counted["eer_clean"] == 12
    assert found["accuracy_clean"] == found["tar_1e-2_clean"] == 1
    assert found["eer_clean"] == 0
    assert found["accuracy"] < 1
    assert found["tar_1e-2"] == pytest.approx(9 / 11)


def test_batches_never_hold_a_shot_both_bare_and_masked():
    trial = TRIALS["batch"]()
    for rows in trial.batches:
        assert len({trial.probes[row].photo for row in rows}) == len(rows) == 36
        assert trial.masked[rows].sum() == 18


@pytest.mark.parametrize(("mask", "worn"), [("none", (False, False)), ("one", (False, True)), ("both", (True, True))])
def test_which_photos_of_a_pair_are_masked(mask, worn):
    trial = PairsTrial(PAIRS, mask=mask)
    for pair, (first, second) in zip(PAIRS, trial.rows, strict=True):
        assert trial.probes[first] == Probe(pair.first, worn[0])
        assert trial.probes[second] == Probe(pair.second, worn[1])
    assert len(set(trial.probes)) == len(trial.probes)


def test_one_fold_has_no_accuracy():
    trial = PairsTrial([pair._replace(fold=0) for pair in PAIRS], mask="none")
    scored = trial.score(perfect(trial))
    assert [measure.key for measure in scored.measures] == ["eer", "tar_1e-2", "tar_1e-3"]
    assert "no accuracy" in scored.notes[0]
