"""The entry points as a person runs them: real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.jobs import job_here

ROOT = Path(__file__).parent.parent.parent


def job(name: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | environment,
    )


def test_demo_faces_writes_the_tree_that_prepare_reads(tmp_path):
    done = job("demo_faces", "--out", str(tmp_path / "faces"), "--people", "2", "--photos", "1")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "faces").glob("person_*/*.jpg"))) == 2
    assert "demo faces: 2/2 photos" in done.stdout


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("prepare", ["--images", "{tmp}", "--out", "{tmp}/out"], "{tmp} holds no photo; it takes a tree"),
        ("prepare", ["--images", "{tmp}/none", "--out", "{tmp}/out"], "none holds no photo"),
        ("prepare", ["--images", "{faces}", "--out", "{tmp}/file/out"], "cannot be written"),
        ("prepare", ["--images", "{faces}", "--out", "{tmp}/out", "--maks", "cloth"], "--maks"),
        ("prepare", ["--images", "{faces}", "--out", "{tmp}/out", "--masks", "[paper]"], "paper"),
        ("prepare", ["--images", "{faces}", "--out", "{tmp}/out", "--min-photos", "99"], "no person has 99 photos"),
        (
            "prepare",
            ["--images", "{faces}", "--out", "{tmp}/out", "--splits", "{tmp}/no.json"],
            "no.json cannot be read",
        ),
        ("prepare", ["--images", "{faces}", "--out", "{tmp}/out", "--unmask", "{tmp}"], "unmask takes two bundles"),
        ("prepare", ["--images", "{faces}", "--out", "{tmp}/out", "--unmask", "{tmp},{tmp}"], "is no bundle"),
        ("train", ["--data", "{tmp}", "--storage", "{tmp}", "--name", "a"], "no prepared training faces"),
        ("train", ["--data", "{tmp}", "--storage", "{tmp}", "--name", "a", "--loss.margin", "-1"], "margin"),
        ("train", ["--data", "{tmp}", "--storage", "{tmp}", "--name", "a", "--los.margin", "1"], "--los.margin"),
        ("looks", ["--out", "{tmp}/looks.png", "--seed", "-1"], "seed must be 0 or more"),
        ("looks", ["--out", "{tmp}/looks.png", "--masks", "[]"], "masks must name at least one"),
        ("demo", ["--people", "2"], "people must be 8 or more"),
    ],
)
def test_mistakes_end_in_a_sentence(name, options, sentence, demo_faces, tmp_path):
    (tmp_path / "file").write_text("in the way")
    places = {"tmp": str(tmp_path), "faces": str(demo_faces)}
    done = job_here(name, *(option.format(**places) for option in options))
    assert done.returncode == 2
    assert sentence.format(**places) in done.stderr
    assert done.stderr.startswith("error: ")


def test_a_mistake_leaves_no_traceback(tmp_path):
    done = job("train", "--data", str(tmp_path), "--storage", str(tmp_path), "--name", "a")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "no prepared training faces" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
