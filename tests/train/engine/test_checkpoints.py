import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from raymask.errors import DataError
from raymask.storage import Folder
from raymask.train.engine.checkpoints import Checkpoints


def state(epoch: int, step: int, size: int = 10) -> dict:
    return {"epoch": epoch, "step": step, "model": {"weight": torch.full((size,), float(step))}}


def test_the_newest_two_are_kept_and_the_newest_is_read(tmp_path):
    kept = Checkpoints(Folder(tmp_path))
    assert kept.newest() is None
    for step in (5, 10, 15):
        address = kept.save(state(0, step))
    kept.save(state(1, 0))
    assert kept.names() == ["checkpoints/epoch-000-step-000015.pt", "checkpoints/epoch-001-step-000000.pt"]
    assert address == str(tmp_path / "checkpoints/epoch-000-step-000015.pt")
    name, newest = kept.newest()
    assert (name, newest["epoch"]) == ("checkpoints/epoch-001-step-000000.pt", 1)


def test_the_thousandth_epoch_comes_after_those_before(tmp_path):
    kept = Checkpoints(Folder(tmp_path))
    for epoch, step in ((999, 7), (1000, 0), (1000, 1_000_000), (1000, 999_999)):
        kept.save(state(epoch, step))
    assert [name.split("/")[1] for name in kept.names()] == [
        "epoch-1000-step-999999.pt",
        "epoch-1000-step-1000000.pt",
    ]
    assert kept.newest()[1]["step"] == 1_000_000


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"rubbish" * 9])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(damage, tmp_path, capsys):
    kept = Checkpoints(Folder(tmp_path))
    kept.save(state(0, 5))
    newest = tmp_path / "checkpoints/epoch-000-step-000010.pt"
    kept.save(state(0, 10))
    newest.write_bytes(damage(newest.read_bytes()))
    assert kept.newest()[1]["step"] == 5
    assert kept.agreed()["step"] == 5
    assert f"{newest} is damaged" in capsys.readouterr().out


def test_a_damaged_checkpoint_takes_no_place_of_those_that_are_kept(tmp_path):
    kept = Checkpoints(Folder(tmp_path))
    kept.save(state(0, 150))
    kept.save(state(0, 157))
    (tmp_path / "checkpoints/epoch-000-step-000157.pt").write_bytes(b"rubbish")
    assert kept.newest()[1]["step"] == 150
    kept.save(state(0, 152))
    assert kept.names() == ["checkpoints/epoch-000-step-000150.pt", "checkpoints/epoch-000-step-000152.pt"]
    (tmp_path / "checkpoints/epoch-000-step-000152.pt").write_bytes(b"rubbish")
    assert kept.newest()[1]["step"] == 150
    kept.save(state(0, 152))
    assert kept.newest()[1]["step"] == 152, "written again it is whole"


def test_nothing_but_tensors_numbers_and_strings_is_unpickled(tmp_path, capsys):
    kept = Checkpoints(Folder(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save({"epoch": 0, "evil": os.system}, tmp_path / "checkpoints/epoch-000-step-000001.pt")
    assert kept.newest() is None
    assert "is damaged (UnpicklingError)" in capsys.readouterr().out


WRITER = """
import sys, torch
from raymask.storage import Folder
from raymask.train.engine.checkpoints import Checkpoints
kept, step = Checkpoints(Folder(sys.argv[1])), 0
while True:
    step += 1
    kept.save({"epoch": 0, "step": step, "model": {"weight": torch.full((4_000_000,), float(step))}})
"""


@pytest.mark.faults
def test_a_writer_killed_at_any_moment_leaves_whole_checkpoints_only(tmp_path, capsys):
    for pause in (0.0, 0.03, 0.07):
        folder = tmp_path / str(pause)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)])
        try:
            deadline = time.monotonic() + 60
            while len(Checkpoints(Folder(folder)).names()) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(pause)
        finally:
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
        _, newest = Checkpoints(Folder(folder)).newest()
        assert newest["step"] >= 2
        assert (newest["model"]["weight"] == newest["step"]).all()
    assert "damaged" not in capsys.readouterr().out


def test_a_full_disk_says_so_and_the_checkpoint_before_stays(small_disk):
    kept = Checkpoints(Folder(small_disk))
    kept.save(state(0, 1, size=100_000))
    with pytest.raises(DataError, match=r"step-000002\.pt cannot be written \(No space left on device\)"):
        kept.save(state(0, 2, size=4_000_000))
    assert kept.newest()[1]["step"] == 1
    assert [path.name for path in (small_disk / "checkpoints").iterdir()] == ["epoch-000-step-000001.pt"]
