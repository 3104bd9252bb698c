from dataclasses import asdict

from raymask.train.embedder.tally import Clock, Tally
from raymask.train.embedder.terms.base import Lost

NAMES = {"quintuplets": "loss", "pull": "pull"}


def test_an_epoch_is_the_mean_over_what_each_loss_counts():
    tally = Tally()
    for value, active, photos in ((0.5, 3, 10), (0.25, 1, 6)):
        totals = {"active": active, "empty_steps": 0}
        losses = {
            "quintuplets": Lost(value, active, totals=totals, note=f"{active} active"),
            "pull": Lost(value, photos),
        }
        tally.add(losses, photos)
    assert tally.means(NAMES) == {"loss": (1.5 + 0.25) / 4, "pull": (5 + 1.5) / 16}
    assert (tally.photos, tally.totals) == (16, {"active": 4, "empty_steps": 0})
    assert tally.sentence(NAMES, losses) == "loss 0.4375, 1 active, pull 0.4062"
    assert Tally.restored(asdict(tally), NAMES) == tally


def test_a_tally_of_an_earlier_version_goes_on():
    earlier = {
        "hinges": 1.5,
        "active": 3,
        "valid": 9,
        "photos": 10,
        "empty_steps": 1,
        "pull": 5.0,
        "contrast": 0.0,
        "softmax": 0.0,
        "seconds": 2.0,
    }
    tally = Tally.restored(earlier, {"quintuplets": 1.0, "pull": 1.0})
    assert tally.means(NAMES) == {"loss": 0.5, "pull": 0.5}
    assert (tally.photos, tally.seconds) == (10, 2.0)
    assert tally.totals == {"valid": 9, "active": 3, "empty_steps": 1}
    del earlier["softmax"]  # before there was one
    assert Tally.restored(earlier, {"softmax": 1.0}).means({"softmax": "softmax"}) == {"softmax": 0}


def test_a_clock_counts_steps_and_epochs():
    clock = Clock(2, 3)
    assert str(clock) == "epoch 3, step 4"
    assert clock.overall(10) == 23
    assert (clock.next_step(), clock.next_epoch()) == (Clock(2, 4), Clock(3, 0))
