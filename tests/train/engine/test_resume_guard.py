"""Which settings keep a run from being continued."""

from dataclasses import asdict

from raymask.train.engine.config import LoopConfig
from raymask.train.engine.resume_guard import changed_settings


def test_settings_that_an_earlier_version_did_not_know_differ_only_if_they_are_on():
    now = asdict(LoopConfig(data="a"))
    earlier = {
        key: value for key, value in asdict(LoopConfig(data="b", epochs=3)).items() if key not in ("remask", "masks")
    }
    assert changed_settings(now, earlier, free=("data", "epochs")) == []
    assert changed_settings(now, earlier, free=("data",)) == ["epochs"]
    fresh = asdict(LoopConfig(data="a", remask=True, masks=("cloth",)))
    assert changed_settings(fresh, earlier, free=("data", "epochs")) == ["remask", "masks"]
    assert changed_settings(now, fresh, free=("data",)) == ["remask", "masks"]


def test_so_do_settings_of_parts():
    now = asdict(LoopConfig(data="a"))
    earlier = now | {"model": {key: value for key, value in now["model"].items() if key != "mirrored"}}
    assert changed_settings(now, earlier, free=()) == []
    mirrored = now | {"model": now["model"] | {"mirrored": True}}
    assert changed_settings(mirrored, earlier, free=()) == ["model"]
    assert changed_settings(earlier, mirrored, free=()) == ["model"]
    assert changed_settings(now, now | {"model": now["model"] | {"dropout": 0.1}}, free=()) == ["model"]
