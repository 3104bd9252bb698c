"""The picture of masks, and the job that draws it."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raymask.data.look_sheet import ACROSS, TILE, draw_look_sheet
from raymask.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent


def test_every_look_is_shown_from_three_sides():
    looks = ("surgical", "cloth:plain#cc2233", "hand", "n95valve")
    sheet = np.asarray(Image.open(io.BytesIO(draw_look_sheet(looks))))
    assert sheet.shape[1] > ACROSS * 3 * TILE
    assert 2 * TILE < sheet.shape[0] < 3 * TILE, "two lines"
    red = (sheet[..., 0].astype(int) > 120) & (sheet[..., 0].astype(int) > 2 * sheet[..., 1])
    columns = np.flatnonzero(red[:TILE].sum(axis=0) > 20)
    assert len({(column - 3 * TILE) // TILE for column in columns.tolist()}) >= 3


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ConfigError, match="Unknown mask kind 'scarf'"):
        draw_look_sheet(["scarf"])


def test_the_job_writes_it(tmp_path):
    command = [sys.executable, "jobs/looks.py", "--out", str(tmp_path / "looks.png"), "--masks", "sponge"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"look at {tmp_path}/looks.png\n"), done.stderr
    assert (tmp_path / "looks.png").read_bytes().startswith(b"\x89PNG")
