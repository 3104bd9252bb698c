"""Recognisers that others add, and bundles that name them."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from raymask import plugins
from raymask.errors import ConfigError, ModelError
from raymask.evaluate import load_recogniser
from raymask.faces.images import decode_photo
from raymask.models.bundle import bundle_config
from raymask.models.fusion import Fusion, FusionConfig
from raymask.models.shipped import SHIPPED
from raymask.models.spec import ModelSpec
from raymask.recognisers.fused_bundle import write_fused
from raymask.recognisers.kinds import KINDS, NAMED, check_named, embedding_digest, embedding_size
from raymask.recognisers.own import OwnRecogniser, aligned
from raymask.serve.core.plan import ModelsConfig, Plan

SPIES = ("spy", "python:spy_code:Embedder")
MADE_OF = "mrii:" + ",".join(str(SHIPPED / name) for name in ("segmenter", "inpainter"))


def fusion_of(folder, *parts, **training):
    """A fusion as jobs/fuse.py writes it."""
    write_fused(folder, Fusion(FusionConfig(parts=parts)), thresholds={}, metrics={}, training=training)
    return folder


def test_an_embedder_of_aligned_faces_is_a_recogniser_of_photos(outside, demo_faces):
    path = sorted(demo_faces.glob("*/*.jpg"))[0]
    photos = [decode_photo(path.read_bytes(), path.name), np.zeros((90, 90, 3), np.uint8)]
    rows, found = load_recogniser("acme").embed(photos)
    assert found.tolist() == [True, False]
    assert rows.shape == (2, 48)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 0], abs=1e-6)
    again, _ = load_recogniser("python:acme_faces:Embedder").embed(photos)
    assert np.array_equal(rows, again)
    assert embedding_size("acme") == 48


def test_its_space_is_that_of_its_version_whichever_way_it_is_named(outside, monkeypatch):
    digest = embedding_digest("acme")
    assert digest == embedding_digest("python:acme_faces:Embedder")
    import acme_faces

    monkeypatch.setattr(acme_faces.Embedder, "version", "2")
    aligned.cache_clear()
    assert embedding_digest("acme") != digest


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("alignment", "eyes", "alignment must be one of box, dlib, arcface, not 'eyes'"),
        ("version", None, "version must be a text"),
        ("input_size", 0, "input_size must be a whole number of 1 or more, not 0"),
        ("embedding_size", "48", "embedding_size must be a whole number"),
    ],
)
def test_what_does_not_say_how_it_wants_faces_is_told_so(field, value, said):
    wanted = {"alignment": "box", "version": "1", "input_size": 8, "embedding_size": 4} | {field: value}
    with pytest.raises(ConfigError, match=f"recogniser acme: its {said}"):
        OwnRecogniser("acme", SimpleNamespace(**wanted))


@pytest.mark.parametrize("made", [np.zeros((2, 3)), np.full((2, 4), np.nan), np.zeros(4)])
def test_embeddings_of_another_shape_or_of_no_numbers_are_refused(made):
    embedder = SimpleNamespace(
        alignment="box", version="1", input_size=8, embedding_size=4, embed_aligned=lambda faces: made
    )
    with pytest.raises(ModelError, match="recogniser acme: embed_aligned must give 2 rows of 4 finite values"):
        OwnRecogniser("acme", embedder).embed_cut(np.zeros((2, 8, 8, 3), np.uint8))


def test_a_recogniser_of_whole_photos_is_evaluated_only(outside, tmp_path, monkeypatch):
    (tmp_path / "whole_photos.py").write_text(
        "class Own:\n    def embed(self, photos):\n        raise NotImplementedError\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    load_recogniser("python:whole_photos:Own")
    for ask in (embedding_digest, embedding_size):
        with pytest.raises(ConfigError, match=r"embeds whole photos, .* it needs a method embed_aligned"):
            ask("python:whole_photos:Own")
    with pytest.raises(ConfigError, match="a part of routed: needs a method embed_aligned"):
        load_recogniser("routed:sface,python:whole_photos:Own")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acmee", r"recogniser 'acmee' is unknown; it takes one of .*; the nearest are acme\b"),
        ("sfac", "recogniser 'sfac' is unknown; it takes one of .*; the nearest are sface"),
        ("acme:x", "recogniser 'acme:x' is unknown"),
        (
            "acme_broken",
            "recogniser acme_broken: its package cannot be imported: RuntimeError: its driver is missing",
        ),
    ],
)
def test_unknown_and_broken_ones_are_named_and_the_others_work(outside, name, said):
    with pytest.raises(ConfigError, match=said):
        load_recogniser(name)
    assert load_recogniser("acme")


def test_every_kind_of_name_has_its_entry():
    kinds = {ModelSpec.of(name).kind for name in ("maskfacenet", "mrii", "fused", "sface", "dlib", "onnx:a")}
    assert kinds <= KINDS.keys()
    assert KINDS.keys() == {"sface", "dlib", "facenet", "onnx", "bundle", "mrii", "routed", "fused"}


@pytest.mark.parametrize("name", SPIES)
@pytest.mark.parametrize("form", ["{}", MADE_OF + ",{}", "routed:{0},{0}"])
def test_a_bundle_causes_no_import_unless_the_operator_names_the_same(spy, tmp_path, name, form):
    fusion = fusion_of(tmp_path / "fused", form.format(name))
    assert name in bundle_config(fusion)["arguments"]["parts"][0]
    for use in (
        lambda: load_recogniser(f"fused:{fusion}"),
        lambda: embedding_digest(f"fused:{fusion}"),
        lambda: Plan.of(ModelsConfig(fused=str(fusion))),
        lambda: Plan.of(ModelsConfig(fused=str(fusion), own=("acme",))),
    ):
        with pytest.raises(ModelError, match=re.escape(f"{fusion} names {name}, which is not raymask's")) as refused:
            use()
        assert f"--own {name}" in str(refused.value)
        assert not spy.exists()
    assert Plan.of(ModelsConfig(fused=str(fusion), own=(name,))).own == (name,)
    assert spy.exists()


@pytest.mark.parametrize("name", SPIES)
def test_nor_does_what_a_bundle_says_of_its_parts(spy, tmp_path, name):
    fusion = fusion_of(tmp_path / "fused", "sface", **{NAMED: {name: "0" * 64}})
    with pytest.raises(ModelError, match="is not raymask's"):
        check_named(fusion)
    assert not spy.exists()
    plugins.allow([name])
    with pytest.raises(ModelError, match=r"was calibrated for another .* than the one that is installed"):
        check_named(fusion)


def test_a_bundle_that_names_what_is_not_installed_says_so(outside, tmp_path):
    fusion = fusion_of(tmp_path / "fused", "acme")
    config = json.loads((fusion / "config.json").read_text())
    (fusion / "config.json").write_text(json.dumps(config | {"arguments": {"parts": ["acme_lost"]}}))
    with pytest.raises(ModelError, match="names acme_lost, which is not raymask's"):
        embedding_digest(f"fused:{fusion}")
