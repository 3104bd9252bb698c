import pytest

from raymask.errors import TrainingError
from raymask.train.health import PATIENCE, Health


def judge(health: Health, times: int, **values) -> None:
    for _ in range(times):
        health.judge("epoch 2, step 5", **({"loss": 0.2, "active": 9, "spread": 0.001} | values))


def test_a_loss_at_the_margin_with_all_faces_in_one_point_is_a_collapse():
    health = Health(margin=0.2)
    judge(health, PATIENCE - 1)
    assert not health.good
    with pytest.raises(
        TrainingError, match=r"collapsed by epoch 2, step 5: .*0\.001 apart.*margin of 0\.2; train under another --name"
    ):
        judge(health, 1)


@pytest.mark.parametrize("values", [{"loss": 0.15}, {"spread": 1.2}, {"active": 0, "loss": 0.0}])
def test_either_sign_alone_is_no_collapse(values):
    health = Health(margin=0.2)
    judge(health, 3 * PATIENCE, **values)
    assert health.good


def test_a_training_that_ends_collapsed_says_so():
    health = Health(margin=0.2)
    judge(health, 3)
    with pytest.raises(TrainingError, match="collapsed by the last step"):
        health.end("the last step")
    judge(health, 1, spread=1.0)
    health.end("the last step")


def test_a_recovery_starts_the_count_anew():
    health = Health(margin=0.2)
    for _ in range(3):
        judge(health, PATIENCE - 1)
        judge(health, 1, spread=1.0)
    assert health.good


@pytest.mark.parametrize("values", [{"loss": float("nan")}, {"loss": float("inf")}, {"spread": float("nan")}])
def test_what_is_no_number_ends_it_at_once(values):
    with pytest.raises(TrainingError, match=r"epoch 2, step 5.*lower --optimiser\.learning-rate"):
        judge(Health(margin=0.2), 1, **values)
