"""The way of a photo through the stages gives what evaluation gives."""

import asyncio
import json
import shutil

import numpy as np
import pytest
import torch
from support.tables import small_table

from raymask.errors import ConfigError, ModelError, NoFaceError
from raymask.evaluate import load_recogniser
from raymask.faces import detect, draw_mask, subject
from raymask.faces.images import decode_photo
from raymask.models.bundle import save_bundle
from raymask.models.config import MaskFaceNetConfig, SegmenterConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.segmenter import MaskSegmenter
from raymask.models.shipped import SHIPPED
from raymask.serve.core.enrolment import subject_of
from raymask.serve.core.in_process import LocalStages
from raymask.serve.core.pipeline import Pipeline, side_by_side
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.serve.core.stages import Embedder, Fuser, Segmenter, same_face


@pytest.fixture(scope="module")
def photos(demo_faces) -> list[np.ndarray]:
    paths = [sorted(person.glob("*.jpg"))[0] for person in sorted(demo_faces.iterdir())[:4]]
    return [decode_photo(path.read_bytes(), path.name) for path in paths]


@pytest.fixture(scope="module")
def masked(photos) -> list[np.ndarray]:
    faces = [subject(detect(photo), photo.shape) for photo in photos]
    return [
        draw_mask(photo, face.landmarks, "surgical", seed)[0]
        for seed, (photo, face) in enumerate(zip(photos, faces, strict=True))
    ]


def embed(plan: Plan, photo: np.ndarray):
    async def ask():
        pipeline = Pipeline(plan, LocalStages(plan))
        seen = await pipeline.find(photo, 8)
        return seen, await pipeline.embed(photo, seen)

    return asyncio.run(ask())


def test_every_photo_is_embedded_as_evaluation_embeds_it(plan, fused_bundle, photos, masked):
    recogniser = load_recogniser(f"fused:{fused_bundle}")
    compared = {True: 0, False: 0}
    for photo, is_masked in [*((one, False) for one in photos), *((one, True) for one in masked)]:
        expected, found = recogniser.embed([photo])
        if not found[0]:
            with pytest.raises(NoFaceError):
                embed(plan, photo)
            continue
        seen, embeddings = embed(plan, photo)
        assert np.abs(embeddings[0] - expected[0]).max() < 1e-4
        assert seen.masks[0].masked == is_masked
        assert (seen.unmasked is not None) == is_masked, "bare faces skip the inpainter"
        assert ("inpainter" in seen.seconds) == is_masked
        compared[is_masked] += 1
    assert min(compared.values()) >= 2


def test_several_faces_of_a_photo_are_embedded_each_as_if_alone(plan, photos, masked):
    height = min(photos[0].shape[0], masked[1].shape[0])
    together = np.concatenate([photos[0][:height], masked[1][:height]], axis=1)
    seen, embeddings = embed(plan, together)
    assert len(seen.faces) == 2
    left_first = sorted(range(2), key=lambda place: seen.faces[place].box[0])
    assert [seen.masks[place].masked for place in left_first] == [False, True]
    for place, alone in zip(left_first, (photos[0], masked[1]), strict=True):
        assert embeddings[place] @ embed(plan, alone)[1][0] > 0.99


def test_the_subject_among_others_is_embedded_as_evaluation_embeds_it(plan, fused_bundle, masked):
    """Two masked people so close together that the square around one face holds some of the other's mask."""
    height = min(masked[0].shape[0], masked[1].shape[0])
    left, right = subject(detect(masked[0]), masked[0].shape), subject(detect(masked[1]), masked[1].shape)
    close = np.concatenate(
        [masked[0][:height, : int(left.box[2]) + 8], masked[1][:height, max(0, int(right.box[0]) - 8) :]], axis=1
    )
    expected, found = load_recogniser(f"fused:{fused_bundle}").embed([close])
    assert found[0]
    seen, others = asyncio.run(subject_of(Pipeline(plan, LocalStages(plan)), close))
    assert others == 1
    assert len(seen.faces) == 1, "nobody else is embedded"
    assert np.abs(seen.embeddings[0] - expected[0]).max() < 1e-4


def test_where_one_fails_the_others_are_given_up():
    ended = []

    async def fails():
        await asyncio.sleep(0)
        raise NoFaceError("nobody")

    async def works():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    with pytest.raises(NoFaceError, match="nobody"):
        asyncio.run(side_by_side(works(), fails(), works()))
    assert ended == [True, True]


def test_a_photo_without_a_face_is_said(plan):
    async def ask():
        await Pipeline(plan, LocalStages(plan)).find(np.zeros((100, 100, 3), np.uint8), 8)

    with pytest.raises(NoFaceError, match="no face was found"):
        asyncio.run(ask())


def test_a_plan_names_every_model(plan, fused_bundle):
    assert plan.masked_parts == (0,)
    assert plan.bare_parts == (1,)
    assert [network.spec for network in plan.bare_networks] == ["dlib"]
    assert plan.searches == small_table()
    other = Plan.of(ModelsConfig(fused=str(fused_bundle), segmenter=str(SHIPPED / "segmenter")))
    assert other.space.digest == plan.space.digest, "a segmenter changes no embedding of a bare face"
    assert other.searches == plan.searches
    changed = Plan.of(ModelsConfig(fused=str(fused_bundle), masked_embedder="dlib"))
    assert changed.space.digest != plan.space.digest
    assert changed.searches is None, "thresholds hold for the networks that they were found with"


def test_a_fusion_without_thresholds_is_planned_and_a_damaged_table_is_refused(plan, fused_bundle, tmp_path):
    shutil.copytree(fused_bundle, tmp_path / "fused")
    config = json.loads((tmp_path / "fused" / "config.json").read_text())
    config["searches"]["bare"]["scores"].pop()
    (tmp_path / "fused" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="fused: its thresholds cannot be read"):
        Plan.of(ModelsConfig(fused=str(tmp_path / "fused")))
    del config["searches"]
    (tmp_path / "fused" / "config.json").write_text(json.dumps(config))
    bare = Plan.of(ModelsConfig(fused=str(tmp_path / "fused")))
    assert bare.searches is None
    assert bare.space.digest == plan.space.digest, "thresholds change no embedding: the gallery stays"


def test_weights_that_were_changed_behind_the_plan_are_not_loaded(fused_bundle, tmp_path):
    shutil.copytree(fused_bundle.parent, tmp_path, dirs_exist_ok=True)
    shutil.copytree(SHIPPED / "segmenter", tmp_path / "segmenter")
    plan = Plan.of(ModelsConfig(fused=str(tmp_path / "fused"), segmenter=str(tmp_path / "segmenter")))
    (masked,) = plan.masked_networks
    torch.manual_seed(1)
    network = MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", input_size=64))
    save_bundle(masked.folder, network, preprocessing={})
    save_bundle(tmp_path / "segmenter", MaskSegmenter(SegmenterConfig(channels=8)), preprocessing={})
    for load in (
        lambda: Embedder(plan.masked_networks),
        lambda: Segmenter(plan.segmenter),
        lambda: Fuser(plan.fused),
    ):
        with pytest.raises(ModelError, match="other weights than when the service was told"):
            load()
    Embedder(plan.bare_networks)  # as they were


@pytest.mark.parametrize(
    ("field", "command"),
    [("fused", "jobs/fuse.py"), ("segmenter", "jobs/train_segmenter.py"), ("inpainter", "jobs/train_inpainter.py")],
)
def test_a_missing_model_is_named_with_the_command_that_makes_it(fused_bundle, tmp_path, field, command):
    models = {"fused": str(fused_bundle), field: str(tmp_path / "nothing")}
    with pytest.raises(ModelError, match=rf"nothing is no bundle.*{command}"):
        Plan.of(ModelsConfig(**models))
    with pytest.raises(ModelError, match=r"jobs/train\.py"):
        Plan.of(ModelsConfig(fused=str(fused_bundle), bare_embedder=f"bundle:{tmp_path}"))
    bare = json.loads((fused_bundle / "config.json").read_text())
    bare["arguments"]["parts"] = ["dlib", "dlib"]
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text(json.dumps(bare))
    with pytest.raises(ConfigError, match="bare_embedder would do nothing"):
        Plan.of(ModelsConfig(fused=str(tmp_path / "bare"), bare_embedder="dlib"))
    with pytest.raises(ConfigError, match="is not served"):
        Plan.of(ModelsConfig(fused=str(fused_bundle), bare_embedder="facenet"))


def test_a_fusion_that_wants_two_segmenters_is_refused(fused_bundle, tmp_path):
    config = json.loads((fused_bundle / "config.json").read_text())
    config["arguments"]["parts"] = ["mrii:a,b,dlib", "mrii:c,b,dlib"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="2 bundles as segmenter"):
        Plan.of(ModelsConfig(fused=str(tmp_path)))


def test_the_same_face_is_the_one_that_overlaps(photos):
    face = subject(detect(photos[0]), photos[0].shape)
    assert same_face(face.box, [face]) is face
    assert same_face(face.box + face.box[2] - face.box[0], [face]) is None
    assert same_face(face.box, []) is None
