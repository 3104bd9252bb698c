import pytest

from raymask.train.engine.schedules import cosine_to, cycle, dropped, warm_cosine


def test_a_rate_that_warms_up_is_highest_after_a_twentieth_and_ends_near_0():
    shares = [warm_cosine(step, 100) for step in range(100)]
    assert shares[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert shares.index(max(shares)) in (4, 5)
    assert 0 < shares[-1] < 0.001


def test_a_rate_that_falls_to_a_share_begins_at_its_height():
    shares = [cosine_to(0.01, step, 50) for step in range(51)]
    assert (shares[0], shares[25], shares[50]) == pytest.approx((1.0, 0.505, 0.01))


def test_a_cycle_rises_for_a_fifth_and_falls_to_nothing():
    shares = [cycle(step, 1000) for step in range(1000)]
    assert shares[100] == pytest.approx(0.5025)
    assert max(shares) == pytest.approx(1, abs=0.01)
    assert shares.index(max(shares)) in (199, 200)
    assert shares[-1] < 1e-5


def test_drops_divide_and_a_warm_up_lessens():
    assert dropped(5, 0, every=2, factor=10.0, warmup=4) == (0.25, 100.0)
    assert dropped(5, 9, every=0, factor=10.0, warmup=0) == (1.0, 1.0)
