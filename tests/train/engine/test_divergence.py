import pytest

from raymask.errors import TrainingError
from raymask.train.engine.config import OptimiserConfig
from raymask.train.engine.divergence import PATIENCE, Health


def health_of(margin: float = 0.2, **optimiser) -> Health:
    return Health(margin, OptimiserConfig(**optimiser))


def judge(health: Health, times: int, *, loss: float = 0.2, active: int = 9, spread: float = 0.001) -> None:
    for _ in range(times):
        health.judge("epoch 2, step 5", {"quintuplets": loss}, active=active, spread=spread)


def test_a_loss_at_the_margin_with_all_faces_in_one_point_is_a_collapse():
    health = health_of()
    judge(health, PATIENCE - 1)
    assert not health.good
    with pytest.raises(
        TrainingError, match=r"collapsed by epoch 2, step 5: .*0\.001 apart.*margin of 0\.2; train under another --name"
    ):
        judge(health, 1)


@pytest.mark.parametrize("values", [{"loss": 0.15}, {"spread": 1.2}, {"active": 0, "loss": 0.0}])
def test_either_sign_alone_is_no_collapse(values):
    health = health_of()
    judge(health, 3 * PATIENCE, **values)
    assert health.good


def test_a_training_that_ends_collapsed_says_so():
    health = health_of()
    judge(health, 3)
    with pytest.raises(TrainingError, match="collapsed by the last step"):
        health.end("the last step")
    judge(health, 1, spread=1.0)
    health.end("the last step")


def test_a_recovery_starts_the_count_anew():
    health = health_of()
    for _ in range(3):
        judge(health, PATIENCE - 1)
        judge(health, 1, spread=1.0)
    assert health.good


@pytest.mark.parametrize("values", [{"loss": float("nan")}, {"loss": float("inf")}, {"spread": float("nan")}])
def test_what_is_no_number_ends_it_at_once(values):
    with pytest.raises(TrainingError, match=r"epoch 2, step 5.*lower --optimiser\.learning-rate"):
        judge(health_of(), 1, **values)


def test_every_loss_that_is_on_is_judged_by_name_and_advised_what_its_schedule_takes():
    losses = {"pull": 1.0, "contrast": float("nan")}
    with pytest.raises(
        TrainingError, match=r"the loss contrast became nan in epoch 1, .*rate or more --optimiser\.warm"
    ):
        health_of().judge("epoch 1, step 1", losses, active=0, spread=1.0)
    with pytest.raises(TrainingError, match=r"lower --optimiser\.learning-rate$"):
        health_of(schedule="cycle").judge("epoch 1, step 1", losses, active=0, spread=1.0)
    health = health_of()
    for _ in range(2 * PATIENCE):
        health.judge("epoch 1, step 1", {"pull": 0.2}, active=9, spread=0.0)
    assert health.good, "what teachers are to be told by does not collapse to a margin"
