"""P x K batches: what may never happen in one, and what happens over the epochs."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from raymask.data.reading.sampler import BatchPhoto, PKSampler, SamplerConfig, rank_slice
from raymask.errors import ConfigError

RAGGED = [0] * 53 + [1] * 2 + [2] * 1 + [3] * 7 + [n for n in range(4, 40) for _ in range(6)]


def people_of(counts) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


WILD = people_of([530, 236, 144, 71] + [30] * 10 + [9, 8, 7] * 8 + [5] * 90 + [4] * 150 + [2] * 30 + [1] * 30)
"""Photos of people as the web has them."""


def epoch_of(sampler: PKSampler, epoch: int) -> list[list[BatchPhoto]]:
    return [sampler.batch(epoch, step) for step in range(sampler.steps)]


def rows_of(sampler: PKSampler, epoch: int) -> list[int]:
    return [shot.row for batch in epoch_of(sampler, epoch) for shot in batch]


def first_epochs(sampler: PKSampler, photos: int, epochs: int) -> np.ndarray:
    """In which epoch each photo came first; `epochs` if in none."""
    first = np.full(photos, epochs)
    for epoch in reversed(range(epochs)):
        first[rows_of(sampler, epoch)] = epoch
    return first


def test_the_papers_batch_is_twenty_people_with_three_bare_and_three_masked():
    identities = np.repeat(np.arange(40), 12)
    sampler = PKSampler(identities, SamplerConfig(), seed=0)
    assert sampler.steps == 4
    for batch in epoch_of(sampler, 0):
        assert len(batch) == 120
        per_person = Counter((int(identities[shot.row]), shot.masked) for shot in batch)
        assert len({person for person, _ in per_person}) == 20
        assert set(per_person.values()) == {3}


@pytest.mark.parametrize("identities", [RAGGED, WILD, [0, 0, 1, 1], [0, 1]], ids=["ragged", "wild", "tiny", "singles"])
def test_no_shot_twice_in_a_batch_bare_or_masked(identities):
    sampler = PKSampler(identities, SamplerConfig(people=5), seed=1)
    for epoch in range(5):
        for batch in epoch_of(sampler, epoch):
            rows = [shot.row for shot in batch]
            assert len(rows) == len(set(rows))
            people = Counter(identities[row] for row in rows)
            assert len(people) <= 5
            assert max(people.values()) <= 6


@pytest.mark.parametrize(("bare", "masked"), [(1, 1), (3, 3), (4, 1), (2, 5)])
def test_whatever_the_number_of_photos_all_come_before_any_comes_again(bare, masked):
    """Photos of 1 to 40 a person, so that most groups begin in one round through the photos and end in the next."""
    identities = people_of(range(1, 41))
    sampler = PKSampler(identities, SamplerConfig(people=7, bare=bare, masked=masked), seed=2)
    visits = np.zeros(len(identities), dtype=int)
    for epoch in range(30):
        for batch in epoch_of(sampler, epoch):
            rows = [shot.row for shot in batch]
            assert len(set(rows)) == len(rows)
            visits[rows] += 1
        own = np.split(visits, np.cumsum(range(1, 40)))
        assert max(np.ptp(times) for times in own) == 1
    assert min(times.min() for times in own) > 3


def test_people_with_many_photos_go_on_in_the_next_epoch_with_those_not_yet_seen():
    """530 photos, of which an epoch takes at most 6 a step."""
    sampler = PKSampler(WILD, SamplerConfig(), seed=0)
    most = 6 * sampler.steps
    assert most < 530
    epochs = [{row for row in rows_of(sampler, epoch) if row < 530} for epoch in range(530 // most)]
    assert [len(rows) for rows in epochs] == [most] * len(epochs)
    assert len(set.union(*epochs)) == most * len(epochs)


@pytest.mark.parametrize("seed", range(6))
def test_no_photo_waits_longer_than_the_bound(seed):
    random = np.random.default_rng(seed)
    counts = [random.integers(1, 9, 90), np.minimum(random.zipf(1.6, 90), 600), random.integers(1, 60, 90)][seed % 3]
    config = SamplerConfig(people=int(random.integers(2, 20)))
    sampler = PKSampler(people_of(counts), config, seed=seed)
    groups = counts / np.minimum(counts, 6)
    bound = np.maximum(np.ceil(groups.sum() / (sampler.steps * config.people)), np.ceil(groups / sampler.steps)) + 1
    first = first_epochs(sampler, counts.sum(), int(bound.max()))
    assert (first < np.repeat(bound, counts)).all()


def test_in_the_wild_two_epochs_bring_every_photo_of_all_but_the_most_photographed():
    config = SamplerConfig()
    sampler = PKSampler(WILD, config, seed=0)
    groups = np.bincount(WILD) / np.minimum(np.bincount(WILD), 6)
    assert groups.sum() / (sampler.steps * config.people) < 2
    assert (first_epochs(sampler, len(WILD), 3)[WILD > 0] < 3).all()


@pytest.mark.parametrize("identities", [RAGGED, WILD, [0, 1]], ids=["ragged", "wild", "singles"])
def test_what_an_epoch_visits_is_counted_exactly(identities):
    sampler = PKSampler(identities, SamplerConfig(people=5), seed=3)
    for epoch in (0, 1, 5, 11):
        rows = rows_of(sampler, epoch)
        assert sampler.visited(epoch) == len(set(rows)) <= len(identities)
        assert sampler.photos(epoch) == len(rows)


def test_an_epoch_meets_few_photos_twice_though_others_are_left_out():
    sampler = PKSampler(WILD, SamplerConfig(), seed=0)
    for epoch in range(10):
        assert sampler.visited(epoch) > 0.92 * sampler.photos(epoch)


def test_batches_are_evenly_filled():
    sampler = PKSampler(WILD, SamplerConfig(people=8), seed=0)
    for epoch in range(4):
        people = [len({WILD[shot.row] for shot in batch}) for batch in epoch_of(sampler, epoch)]
        assert max(people) == 8
        assert min(people) >= 7
    uneven = PKSampler([0] * 50 + [1] * 20, SamplerConfig(people=2), seed=0)
    people = [len({shot.row < 50 for shot in batch}) for batch in epoch_of(uneven, 0)]
    assert max(people) - min(people) <= 1


def test_every_photo_comes_about_equally_often():
    """Also those of people with few photos, and those of people with many."""
    counts = [3] * 60 + [15] * 14 + [45] * 2
    identities = people_of(counts)
    sampler = PKSampler(identities, SamplerConfig(people=5), seed=0)
    visits = np.bincount([row for epoch in range(40) for row in rows_of(sampler, epoch)], minlength=len(identities))
    assert sampler.steps * 5 < 60 + 3 * 14 + 8 * 2  # there are fewer places than groups
    assert visits.max() - visits.min() <= 2


def test_a_short_last_group_is_filled_with_photos_of_the_same_person():
    identities = [0] * 8 + [1] * 6
    sampler = PKSampler(identities, SamplerConfig(people=2), seed=0)
    for epoch in range(6):
        for batch in epoch_of(sampler, epoch):
            assert set(Counter(identities[shot.row] for shot in batch).values()) == {6}


def test_two_photos_of_a_person_are_one_bare_and_one_masked():
    identities = people_of([2] * 30)
    sampler = PKSampler(identities, SamplerConfig(people=5), seed=0)
    for epoch in range(10):
        for batch in epoch_of(sampler, epoch):
            dresses = Counter((int(identities[shot.row]), shot.masked) for shot in batch)
            assert set(dresses.values()) == {1}
            assert len(dresses) == len(batch)


def test_each_photo_wears_its_mask_about_half_of_the_time():
    sampler = PKSampler(RAGGED, SamplerConfig(people=5), seed=0)
    shots = [shot for epoch in range(200) for batch in epoch_of(sampler, epoch) for shot in batch]
    visits = np.bincount([shot.row for shot in shots])
    masked = np.bincount([shot.row for shot in shots if shot.masked], minlength=len(visits))
    assert visits.min() > 100
    assert np.abs(masked / visits - 0.5).max() < 0.2


def test_groups_are_mixed_anew_from_round_to_round():
    identities = people_of([12, 12])
    sampler = PKSampler(identities, SamplerConfig(people=2), seed=0)
    company: set[int] = set()
    for epoch in range(20):
        for batch in epoch_of(sampler, epoch):
            rows = {shot.row for shot in batch if shot.row < 12}
            company |= rows if 0 in rows else set()
    assert company == set(range(12))


def test_a_batch_depends_on_seed_epoch_and_step_alone():
    config = SamplerConfig(people=5)
    wanted = {
        at: PKSampler(RAGGED, config, seed=4).batch(*at)
        for at in product(range(4), range(PKSampler(RAGGED, config, seed=4).steps))
    }
    one = PKSampler(RAGGED, config, seed=4)
    order = list(wanted)
    np.random.default_rng(0).shuffle(order)
    for epoch, step in order:
        assert one.batch(epoch, step) == wanted[epoch, step]
        one.visited(epoch)
    assert len({tuple(batch) for batch in wanted.values()}) == len(wanted)
    assert PKSampler(RAGGED, config, seed=5).batch(2, 1) != wanted[2, 1]


def test_one_that_starts_late_goes_on_as_the_undisturbed_one():
    """Twenty epochs in, where everybody is in the middle of another round."""
    undisturbed, late = (PKSampler(WILD, SamplerConfig(), seed=0) for _ in range(2))
    for epoch in range(20):
        for step in range(undisturbed.steps):
            undisturbed.batch(epoch, step)
    half = undisturbed.steps // 2
    wanted = [undisturbed.batch(20, step) for step in range(undisturbed.steps)]
    assert [late.batch(20, step) for step in range(half, late.steps)] == wanted[half:]
    assert late.batch(21, 0) == undisturbed.batch(21, 0)


def test_names_of_identities_do_not_matter_and_rows_need_no_order():
    config = SamplerConfig(people=5)
    shuffled = np.random.default_rng(0).permutation(len(RAGGED))
    rows = shuffled[[shot.row for shot in PKSampler(np.array(RAGGED)[shuffled] * 7 - 3, config, seed=0).batch(0, 0)]]
    people = Counter(RAGGED[row] for row in rows)
    assert len(people) == 5
    assert max(people.values()) == 6


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_ranks_share_a_batch_without_gap_or_overlap(world):
    batch = PKSampler(RAGGED, SamplerConfig(people=5), seed=0).batch(0, 0)
    shares = [rank_slice(batch, rank, world) for rank in range(world)]
    assert [shot for share in shares for shot in share] == batch
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


SINGLES = people_of([1] * 500)
MIXED = people_of([1] * 700 + [2] * 60 + [3] * 20 + [7] * 15 + [90])
"""As two data sets of which one holds a single photo a person."""


@pytest.mark.parametrize(("bare", "masked"), [(1, 1), (1, 2), (3, 3)])
def test_people_of_a_single_photo_fill_batches_and_all_come_once_an_epoch(bare, masked):
    sampler = PKSampler(SINGLES, SamplerConfig(people=64, bare=bare, masked=masked), seed=0)
    assert sampler.steps == 8
    dressed = Counter()
    for epoch in range(12):
        batches = epoch_of(sampler, epoch)
        assert {len(batch) for batch in batches} == {62, 63}
        assert sorted(shot.row for batch in batches for shot in batch) == list(range(500))
        dressed.update(shot.masked for batch in batches for shot in batch)
        assert sampler.people(epoch) == sampler.visited(epoch) == sampler.photos(epoch) == 500
    assert dressed[True] / dressed.total() == pytest.approx(masked / (bare + masked), abs=0.03)


@pytest.mark.parametrize("people", [5, 64, 1000])
def test_nobody_is_left_out_of_an_epoch_beside_people_of_many_photos(people):
    sampler = PKSampler(MIXED, SamplerConfig(people=people, bare=1, masked=2), seed=0)
    few = {person for person, count in enumerate(np.bincount(MIXED)) if count <= 3}
    for epoch in range(12):
        batches = epoch_of(sampler, epoch)
        seen = {int(MIXED[shot.row]) for batch in batches for shot in batch}
        assert few <= seen
        assert sampler.people(epoch) == len(seen) >= 0.99 * (MIXED[-1] + 1)
        for batch in batches:
            of_each = Counter(MIXED[shot.row] for shot in batch)
            assert len(of_each) <= people
            assert max(of_each.values()) <= 3
            assert len({shot.row for shot in batch}) == len(batch)
    assert sampler.people(0) == MIXED[-1] + 1


def test_where_everybody_has_photos_enough_an_epoch_is_as_many_steps_as_its_photos_fill():
    counts = [6, 7, 8, 530, 31] * 20
    assert PKSampler(people_of(counts), SamplerConfig(), seed=0).steps == -(-sum(counts) // 120)


def test_the_first_batch_of_an_epoch_of_millions_needs_no_photo_of_the_others():
    """An epoch's plan holds groups, not shots, and only people who have been met hold an order of their photos."""
    sampler = PKSampler(people_of([20] * 50_000), SamplerConfig(), seed=0)
    assert sampler.steps == 8334
    assert len(sampler.batch(3, 1000)) == 120
    assert len(sampler._streams) == 20


def test_one_person_cannot_be_trained_on():
    with pytest.raises(ConfigError, match="at least two people"):
        PKSampler([0, 0, 0], SamplerConfig(), seed=0)


@pytest.mark.parametrize("wrong", [{"people": 1}, {"bare": 0}, {"masked": 0}])
def test_impossible_batches_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SamplerConfig(**wrong)


def test_morphs_come_once_an_epoch_beside_the_same_people():
    config, photos, morphs = SamplerConfig(people=8, bare=1, masked=2), len(WILD), 1_000
    alone, beside = PKSampler(WILD, config, seed=0), PKSampler(WILD, config, seed=0, morphs=morphs)
    assert beside.steps == alone.steps
    a_step = -(-morphs // beside.steps)
    for epoch in (0, 1):
        seen, masked = Counter(), 0
        for step, batch in enumerate(epoch_of(beside, epoch)):
            people, own = batch[:-a_step], batch[-a_step:]
            assert people == alone.batch(epoch, step)
            assert len({shot.row for shot in own}) == a_step, "none twice in a batch"
            seen.update(shot.row for shot in own)
            masked += sum(shot.masked for shot in own)
        assert photos <= min(seen)
        assert max(seen) < photos + morphs
        assert len(seen) > 0.95 * morphs
        assert masked / seen.total() == pytest.approx(2 / 3, abs=0.01)
        assert beside.photos(epoch) == alone.photos(epoch) + a_step * alone.steps
        assert beside.visited(epoch) == alone.visited(epoch) <= beside.photos_in_all == photos
    assert PKSampler(WILD, config, seed=0, morphs=morphs).batch(1, 3) == beside.batch(1, 3)
    few = PKSampler(WILD, config, seed=0, morphs=3)
    assert all(len(few.batch(0, step)) == len(alone.batch(0, step)) + 1 for step in range(few.steps))
