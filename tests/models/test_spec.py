"""Names of recognisers: those that come with raymask stand for their bundles everywhere."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from raymask.errors import ConfigError, ModelError
from raymask.evaluate import load_recogniser
from raymask.evaluate.report.table import short_names
from raymask.models.bundle import bundle_config, save_bundle
from raymask.models.digest import weights_digest
from raymask.models.fusion import Fusion, FusionConfig
from raymask.models.shipped import SHIPPED, aligner_of
from raymask.models.spec import FORMS, ModelSpec, MriiParts, check_movable, resolved
from raymask.recognisers.fused_bundle import collect, moved, write_fused
from raymask.recognisers.kinds import NAMED, calibration_digest, check_named, embedding_digest

EMBEDDER = f"bundle:{SHIPPED / 'maskfacenet'}"
OF_MRII = "sface"


def test_names_stand_for_bundles():
    assert resolved("maskfacenet") == EMBEDDER
    assert resolved("fused") == f"fused:{SHIPPED / 'fused'}"
    assert resolved("mrii") == f"mrii:{SHIPPED / 'segmenter'},{SHIPPED / 'inpainter'},{OF_MRII}"
    assert resolved("dlib") == "dlib"
    assert resolved("bundle:maskfacenet") == "bundle:maskfacenet"


def test_mrii_alone_and_with_a_named_embedder_has_parts():
    assert MriiParts.of("mrii") == (str(SHIPPED / "segmenter"), str(SHIPPED / "inpainter"), OF_MRII)
    assert MriiParts.of("mrii:a,b,maskfacenet") == ("a", "b", EMBEDDER)
    with pytest.raises(ConfigError, match="it takes mrii:SEGMENTER,INPAINTER,EMBEDDER"):
        MriiParts.of("mrii:a,b")


def test_what_a_fusion_can_hold_or_name():
    for spec in (
        "maskfacenet",
        "mrii",
        "sface",
        "sface:a",
        "dlib",
        "onnx:a",
        "bundle:a",
        "mrii:a,b,sface",
        "python:a:b",
        "mrii:a,b,python:c:d",
    ):
        check_movable(spec)
    for spec, part in {
        "fused": "fused",
        "fused:a": "fused:a",
        "mrii:a,b,fused:c": "fused:c",
        "dlib:x": "dlib:x",
    }.items():
        with pytest.raises(ConfigError, match=f"^'{part}' cannot be a part of a bundle; a part is one of maskfacenet,"):
            check_movable(spec)


@pytest.mark.parametrize(
    ("name", "kind", "rest", "file"),
    [
        ("sface", "sface", "", None),
        ("sface:a/b.onnx", "sface", "a/b.onnx", "a/b.onnx"),
        ("dlib", "dlib", "", None),
        ("facenet:vggface2", "facenet", "vggface2", None),
        ("facenet:own.pt", "facenet", "own.pt", "own.pt"),
        ("bundle:s3://a/b", "bundle", "s3://a/b", "s3://a/b"),
        ("mrii:a,b,sface", "mrii", "a,b,sface", None),
        ("python:a:b", "python", "a:b", None),
    ],
)
def test_names_are_taken_apart_and_put_together(name, kind, rest, file):
    spec = ModelSpec.checked(name, "recogniser")
    assert spec == (kind, rest)
    assert spec.file == file
    assert str(spec) == name
    assert str(spec.at("else/where")) == f"{kind}:else/where"


def test_each_use_takes_what_it_lists_and_nothing_else():
    def examples(form: str) -> set[str]:
        """Names of that form, with and without what may be left out."""
        return {form.partition("[")[0], form.replace("[", "").replace("]", "")}

    known = set.union(*(examples(form) for forms in FORMS.values() for form in forms))
    wrong = {"", "arcface", "sface:", "bundle", "bundle:", "onnx", "dlib:x", "facenet:", "mrii:"}
    for use, forms in FORMS.items():
        fit = set.union(*map(examples, forms))
        for name in fit:
            assert str(ModelSpec.checked(name, use)) == resolved(name)
        for name in (known - fit) | wrong:
            with pytest.raises(ConfigError, match=f"^{use} '{re.escape(name)}' is unknown; it takes one of "):
                ModelSpec.checked(name, use)


def test_only_a_network_of_one_file_has_a_digest_of_weights(tmp_path):
    with pytest.raises(
        ConfigError, match="'mrii' names no single file of weights; name sface, dlib, facenet, onnx: or"
    ):
        weights_digest("mrii")
    for name in ("onnx:no.onnx", "sface:no.onnx"):
        with pytest.raises(ModelError, match=f"^{name}: there is no such file$"):
            weights_digest(name)
    (tmp_path / "a.onnx").write_bytes(b"a")
    assert weights_digest(f"onnx:{tmp_path}/a.onnx") == hashlib.sha256(b"a").hexdigest()


def test_a_fusion_names_what_comes_with_raymask_and_does_not_copy_it(tmp_path):
    for name in ("maskfacenet", "mrii"):
        assert collect(name, tmp_path, "parts/0") == name
        assert moved(name, tmp_path / "elsewhere") == resolved(name)
    assert list(tmp_path.iterdir()) == []
    assert moved("bundle:parts/0", tmp_path) == f"bundle:{tmp_path / 'parts/0'}"


def test_tables_show_the_names():
    assert short_names(["maskfacenet", "mrii", "fused", "fused:a/b"]) == {
        "maskfacenet": "maskfacenet",
        "mrii": "mrii",
        "fused": "fused",
        "fused:a/b": "fused:b",
    }


def copied(folder: Path, **changed: str) -> Path:
    """A copy of raymask's bundles in which some hold other weights, by their digests."""
    shutil.copytree(SHIPPED, folder)
    for name, digest in changed.items():
        file = folder / name / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"sha256": digest}))
    return folder


def named_fusion(target: Path, *parts: str) -> Path:
    """A fusion of parts that come with raymask, as jobs/fuse.py writes it."""
    training = {NAMED: {part: calibration_digest(part) for part in parts}}
    write_fused(target, Fusion(FusionConfig(parts=parts)), thresholds={}, metrics={}, training=training)
    return target


def test_a_fusion_of_another_network_than_todays_is_refused_with_both_ways_out(tmp_path, monkeypatch):
    check_named(SHIPPED / "fused")
    fusion = named_fusion(tmp_path / "own", "mrii", "maskfacenet")
    check_named(fusion)
    for changed, named in (("maskfacenet", "maskfacenet"), ("segmenter", "mrii"), ("inpainter", "mrii")):
        now = copied(tmp_path / f"new-{changed}", **{changed: "0" * 64})
        monkeypatch.setattr("raymask.models.spec.SHIPPED", now)
        with pytest.raises(ModelError, match=rf"own was calibrated for another {named} than") as refused:
            check_named(fusion)
        for way in ("jobs/fuse.py", "jobs/enroll.py", "previous raymask/bundles", "models: {fused: COPY/fused}"):
            assert way in str(refused.value)


def test_people_go_on_with_the_previous_models_in_a_copy_of_their_bundles(tmp_path, monkeypatch):
    fusion = named_fusion(tmp_path / "own", "maskfacenet", "mrii")
    before = embedding_digest(f"fused:{fusion}")
    previous = copied(tmp_path / "previous")
    monkeypatch.setattr("raymask.models.spec.SHIPPED", copied(tmp_path / "new", maskfacenet="0" * 64))
    assert embedding_digest(f"fused:{fusion}") != before
    moved_there = fusion.rename(previous / "own")
    for there in (moved_there, previous / "fused"):
        check_named(there)
    assert embedding_digest(f"fused:{moved_there}") == before, "its galleries stay of use"
    assert moved("maskfacenet", moved_there) == f"bundle:{previous / 'maskfacenet'}"


def test_mrii_embeds_by_sface_and_in_earlier_bundles_by_what_it_had_there(tmp_path):
    (tmp_path / "earlier" / "paintedfacenet").mkdir(parents=True)
    for folder, embedder in (("new", "sface"), ("earlier", f"bundle:{tmp_path / 'earlier' / 'paintedfacenet'}")):
        place = tmp_path / folder
        assert resolved("mrii", place) == f"mrii:{place / 'segmenter'},{place / 'inpainter'},{embedder}"


def test_the_aligner_counts_in_the_space_of_aligned_faces_alone(tmp_path):
    from raymask.models.config import MaskFaceNetConfig
    from raymask.models.networks.maskfacenet import MaskFaceNet

    small = MaskFaceNetConfig(backbone="resnet18", input_size=64)
    boxed = save_bundle(tmp_path / "boxed", MaskFaceNet(small), preprocessing={})
    assert embedding_digest(f"bundle:{boxed}") == bundle_config(boxed)["sha256"]
    assert embedding_digest("maskfacenet") != bundle_config(SHIPPED / "maskfacenet")["sha256"]


def test_a_network_that_looks_at_faces_otherwise_makes_a_space_of_its_own(tmp_path):
    bundle = shutil.copytree(SHIPPED / "maskfacenet", tmp_path / "copy")
    config = json.loads((bundle / "config.json").read_text())
    digests = set()
    for degrees, mirrored in ((0.0, True), (4.0, True), (4, True), (6.0, True), (0, False)):
        config["arguments"] |= {"tilted": degrees, "mirrored": mirrored}
        (bundle / "config.json").write_text(json.dumps(config))
        digests.add(embedding_digest(f"bundle:{bundle}"))
    assert len(digests) == 4


def test_a_copy_of_the_bundles_keeps_its_own_aligner(tmp_path):
    ours = embedding_digest("maskfacenet")
    copy = copied(tmp_path / "copy")
    assert embedding_digest(f"bundle:{copy / 'maskfacenet'}") == ours
    other = copied(tmp_path / "other", aligner="0" * 64)
    assert embedding_digest(f"bundle:{other / 'maskfacenet'}") != ours
    assert aligner_of(other / "maskfacenet") == other / "aligner"
    alone = shutil.copytree(SHIPPED / "maskfacenet", tmp_path / "alone" / "bundle")
    assert aligner_of(alone) == aligner_of() == SHIPPED / "aligner"
    with pytest.raises(ModelError, match=r"aligner/model\.safetensors is damaged"):
        load_recogniser(f"bundle:{other / 'maskfacenet'}")
