from collections import Counter

import numpy as np
import pytest

from raymask.data.sampler import PKSampler, SamplerConfig, rank_slice
from raymask.errors import ConfigError

RAGGED = [0] * 53 + [1] * 2 + [2] * 1 + [3] * 7 + [n for n in range(4, 40) for _ in range(6)]


def test_the_papers_batch_is_twenty_people_with_three_bare_and_three_masked():
    identities = np.repeat(np.arange(40), 12)
    sampler = PKSampler(identities, SamplerConfig(), seed=0)
    assert sampler.steps == 4
    for batch in sampler.epoch(0):
        assert len(batch) == 120
        per_person = Counter((int(identities[shot.row]), shot.masked) for shot in batch)
        assert len({person for person, _ in per_person}) == 20
        assert set(per_person.values()) == {3}


@pytest.mark.parametrize("identities", [RAGGED, [0, 0, 1, 1], [0, 1]], ids=["ragged", "tiny", "singles"])
def test_no_shot_twice_in_a_batch_bare_or_masked(identities):
    sampler = PKSampler(identities, SamplerConfig(people=5), seed=1)
    for epoch in range(5):
        for batch in sampler.epoch(epoch):
            rows = [shot.row for shot in batch]
            assert len(rows) == len(set(rows))
            people = Counter(identities[row] for row in rows)
            assert len(people) <= 5
            assert max(people.values()) <= 6


def test_each_photo_comes_once_before_any_comes_again():
    identities = np.repeat(np.arange(10), 12)
    sampler = PKSampler(identities, SamplerConfig(people=5), seed=0)
    visits = Counter(shot.row for batch in sampler.epoch(0) for shot in batch)
    assert visits == Counter(range(120))


def test_who_sits_an_epoch_out_is_drawn_by_lot_not_by_number_of_photos():
    counts = [3] * 60 + [12] * 15
    identities = np.repeat(np.arange(len(counts)), counts)
    sampler = PKSampler(identities, SamplerConfig(people=5), seed=0)
    epochs = 40
    groups = Counter()
    for epoch in range(epochs):
        for batch in sampler.epoch(epoch):
            groups.update({int(identities[shot.row]) for shot in batch})
    few = np.mean([groups[person] / epochs for person in range(60)])
    many = np.mean([groups[person] / (2 * epochs) for person in range(60, 75)])
    assert sampler.steps * 5 < 60 + 2 * 15  # there are fewer places than groups
    assert few == pytest.approx(many, abs=0.08)
    assert min(groups[person] for person in range(75)) > 0


def test_a_short_last_group_is_filled_with_photos_of_the_same_person():
    identities = [0] * 8 + [1] * 6
    sampler = PKSampler(identities, SamplerConfig(people=2), seed=0)
    for batch in sampler.epoch(3):
        people = Counter(identities[shot.row] for shot in batch)
        assert set(people.values()) == {6}


def test_people_with_few_photos_appear_in_both_dresses_over_time():
    sampler = PKSampler(RAGGED, SamplerConfig(people=5), seed=0)
    dresses = {shot.masked for epoch in range(20) for batch in sampler.epoch(epoch) for shot in batch if shot.row == 55}
    assert dresses == {False, True}


def test_batches_depend_on_seed_and_epoch_alone():
    first = PKSampler(RAGGED, SamplerConfig(people=5), seed=4)
    second = PKSampler(RAGGED, SamplerConfig(people=5), seed=4)
    second.epoch(0)
    assert first.epoch(2) == second.epoch(2)
    assert first.epoch(2) != first.epoch(3)
    assert first.epoch(2) != PKSampler(RAGGED, SamplerConfig(people=5), seed=5).epoch(2)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_ranks_share_a_batch_without_gap_or_overlap(world):
    batch = PKSampler(RAGGED, SamplerConfig(people=5), seed=0).epoch(0)[0]
    shares = [rank_slice(batch, rank, world) for rank in range(world)]
    assert [shot for share in shares for shot in share] == batch
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_person_cannot_be_trained_on():
    with pytest.raises(ConfigError, match="at least two people"):
        PKSampler([0, 0, 0], SamplerConfig(), seed=0)


@pytest.mark.parametrize("wrong", [{"people": 1}, {"bare": 0}, {"masked": 0}])
def test_impossible_batches_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SamplerConfig(**wrong)
