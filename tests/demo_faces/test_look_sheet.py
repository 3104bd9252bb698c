"""The picture of masks, and the job that draws it."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raymask.demo_faces.look_sheet import ACROSS, CAPTION, GAP, TILE, draw_look_sheet
from raymask.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent


def sheet(*looks: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_look_sheet(looks)))).astype(int)


def test_every_look_is_shown_from_three_sides():
    red, blue = (sheet("surgical", f"cloth:plain#{colour}", "hand", "n95valve") for colour in ("cc2233", "2233cc"))
    assert red.shape[1] > ACROSS * 3 * TILE
    assert 2 * TILE < red.shape[0] < 3 * TILE, "two lines"
    changed = np.abs(red - blue).max(axis=2) > 60
    left = GAP + 3 * TILE + GAP
    views = [changed[CAPTION : CAPTION + TILE, left + view * TILE : left + (view + 1) * TILE] for view in range(3)]
    assert all(view.mean() > 0.1 for view in views)
    changed[:, left : left + 3 * TILE] = False
    assert not changed.any(), "all others are as they were"


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ConfigError, match="Unknown mask kind 'scarf'"):
        draw_look_sheet(["scarf"])


def test_the_job_writes_it(tmp_path):
    (tmp_path / "own").mkdir()
    Image.new("RGB", (40, 30), "green").save(tmp_path / "own" / "green.webp")
    command = [
        *(sys.executable, "jobs/looks.py", "--out", str(tmp_path / "looks.png")),
        *("--masks", "sponge,cloth:own", "--textures", str(tmp_path / "own")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"look at {tmp_path}/looks.png\n"), done.stderr
    assert (tmp_path / "looks.png").read_bytes().startswith(b"\x89PNG")
