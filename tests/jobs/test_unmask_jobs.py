"""The jobs of the unmasking way as people call them."""

import pytest
import torch
from support import edgeconnect_layout as layout
from support.jobs import job_here

from raymask.models import load_bundle


def test_published_weights_become_a_bundle(tmp_path):
    torch.manual_seed(0)
    torch.save({"iteration": 1, "generator": layout.edge_generator()}, tmp_path / "EdgeModel_gen.pth")
    torch.save({"iteration": 1, "generator": layout.image_generator()}, tmp_path / "InpaintingModel_gen.pth")
    done = job_here(
        "train_inpainter", "--from-edgeconnect", str(tmp_path), "--storage", str(tmp_path / "runs"), "--name", "ec"
    )
    assert done.returncode == 0, done.stderr
    bundle = load_bundle(tmp_path / "runs" / "ec" / "bundle", "Inpainter")
    assert bundle.model.config.width == "full"
    assert "CC BY-NC" in bundle.config["training"]["source"]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("train_inpainter", ["--from-edgeconnect", "{tmp}", "--storage", "s", "--name", "n"], "EdgeModel_gen.pth is"),
        ("train_inpainter", ["--storage", "s", "--name", "n"], "data must name a folder made by jobs/prepare.py"),
        ("train_segmenter", ["--data", "{tmp}", "--storage", "{tmp}/s", "--name", "n"], "no prepared training faces"),
        ("train_segmenter", ["--data", "x", "--storage", "s", "--name", "n", "--smoke", "maybe"], "maybe"),
        ("train_aligner", ["--data", "{tmp}", "--storage", "{tmp}/s", "--name", "n"], "no prepared training faces"),
        ("train_aligner", ["--data", "x", "--storage", "s", "--name", "n", "--bare", "1"], "bare must be at least 0"),
        ("fuse", ["dlib", "dlib", "--images", "x", "--people", "s.json:val", "--out", "o"], "named twice"),
    ],
)
def test_mistakes_end_in_a_sentence(name, options, sentence, tmp_path):
    done = job_here(name, *(option.format(tmp=tmp_path) for option in options))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
