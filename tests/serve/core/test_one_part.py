"""A service whose fusion has one part: nothing is painted that is not asked for, and nothing runs for nobody."""

import asyncio

import numpy as np
import pytest
from support.tables import small_table, with_table

from raymask.errors import ConfigError
from raymask.evaluate import load_recogniser
from raymask.faces.images import decode_photo, encode_png
from raymask.models.fusion import Fusion, FusionConfig
from raymask.models.shipped import SHIPPED
from raymask.recognisers.fused_bundle import write_fused
from raymask.serve.core.config import Policy
from raymask.serve.core.in_process import LocalGallery, LocalStages
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.serve.core.service import Service

MRII = f"mrii:{SHIPPED / 'segmenter'},{SHIPPED / 'inpainter'},dlib"


class Counted(LocalStages):
    """Notes which stages are asked."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.asked: set[str] = set()

    async def _run(self, act, *arguments):
        self.asked.add(act.__class__.__name__ if act is not self._bare_embedder else "BareEmbedder")
        return await super()._run(act, *arguments)


def alone(folder, part: str) -> str:
    """A fusion of one part."""
    write_fused(folder, Fusion(FusionConfig(parts=(part,))), thresholds={}, metrics={}, training={})
    return str(with_table(folder))


@pytest.fixture
def serve(tmp_path):
    """A service with a fusion of one part, and its stages."""
    galleries = []

    def make(part: str) -> tuple[Service, Counted]:
        plan = Plan.of(ModelsConfig(fused=alone(tmp_path / "fused", part)))
        stages = Counted(plan)
        galleries.append(LocalGallery(str(tmp_path / "gallery"), plan.space))
        return Service(plan, stages, galleries[-1], Policy()), stages

    yield make
    for gallery in galleries:
        gallery.close()


def test_without_an_mrii_part_nothing_is_painted_but_pictures(serve, faces_of, masked_png):
    service, stages = serve("sface")
    assert service.plan.idle == ("BareEmbedder",)
    assert service.plan.searches == small_table()
    bare, masked = faces_of(1)[0].read_bytes(), masked_png(1, 1)

    async def ask():
        enrolled = await service.enrol("ann", bare, key=None, with_masks=True, keep=False)
        identified = await service.identify(masked, below_review=True)
        verified = await service.verify(bare, masked)
        return enrolled, identified, verified, await service.embed(masked), await service.stages.states()

    enrolled, identified, verified, embedded, states = asyncio.run(ask())
    assert stages.asked == {"Detector", "Segmenter", "Embedder"}
    assert set(states) == {"Detector", "Segmenter", "Inpainter", "MaskedEmbedder"}
    assert enrolled.looks, "drawn masks are embedded too"
    assert identified.faces[0].masked
    assert identified.faces[0].candidates[0].identity == "ann"
    assert set(identified.seconds) == {"detector", "segmenter", "masked_embedder", "gallery"}
    assert set(verified.seconds) == set(embedded.seconds) == {"detector", "segmenter", "masked_embedder"}
    wanted, _ = load_recogniser("sface").embed([decode_photo(masked, "masked")])
    assert np.abs(np.array(embedded.faces[0].embedding) - wanted[0]).max() < 1e-4

    picture, masks = asyncio.run(service.unmask(masked))
    assert masks == 1
    assert "Inpainter" in stages.asked
    assert (picture != decode_photo(masked, "masked")).any()


def test_with_an_mrii_part_alone_no_face_is_embedded_as_it_came(serve, faces_of, masked_png):
    service, stages = serve(MRII)
    assert service.plan.idle == ("MaskedEmbedder",)
    photo = masked_png(1, 1)
    embedded = asyncio.run(service.embed(photo))
    assert stages.asked == {"Detector", "Segmenter", "Inpainter", "BareEmbedder"}
    assert set(embedded.seconds) == {"detector", "segmenter", "inpainter", "bare_embedder"}
    wanted, _ = load_recogniser(MRII).embed([decode_photo(photo, "masked")])
    assert np.abs(np.array(embedded.faces[0].embedding) - wanted[0]).max() < 1e-4
    bare = asyncio.run(service.embed(faces_of(1)[0].read_bytes()))
    assert set(bare.seconds) == {"detector", "segmenter", "bare_embedder"}


def test_a_routed_part_asks_one_network_about_masked_faces_and_another_about_bare_ones(serve, faces_of, masked_png):
    routed = "routed:dlib,sface"
    service, stages = serve(routed)
    assert service.plan.idle == ()
    assert service.plan.searches == small_table()
    recogniser = load_recogniser(routed)
    bare, masked = (decode_photo(data, "photo") for data in (faces_of(0)[0].read_bytes(), masked_png(1, 1)))
    height = min(bare.shape[0], masked.shape[0])
    both = encode_png(np.concatenate([bare[:height], masked[:height]], axis=1))
    for photo, embedders in (
        (faces_of(0)[0].read_bytes(), {"bare_embedder"}),
        (masked_png(1, 1), {"masked_embedder"}),
        (both, {"bare_embedder", "masked_embedder"}),
    ):
        embedded = asyncio.run(service.embed(photo))
        assert set(embedded.seconds) == {"detector", "segmenter", *embedders}
        if len(embedders) == 1:
            wanted, _ = recogniser.embed([decode_photo(photo, "photo")])
            assert np.abs(np.array(embedded.faces[0].embedding) - wanted[0]).max() < 1e-4
    left, right = sorted(embedded.faces, key=lambda face: face.box[0])
    assert (left.masked, right.masked) == (False, True)
    for face, alone_ in ((left, bare), (right, masked)):
        assert float(recogniser.embed([alone_])[0][0] @ np.array(face.embedding)) > 0.95
    assert stages.asked == {"Detector", "Segmenter", "Embedder", "BareEmbedder"}, "nothing is painted"


def test_a_routed_part_is_served_alone_and_its_networks_can_be_others(tmp_path, fused_bundle):
    fused = alone(tmp_path / "fused", "routed:dlib,sface")
    plan, other = Plan.of(ModelsConfig(fused=fused)), Plan.of(ModelsConfig(fused=fused, masked_embedder="sface"))
    assert [network.spec for network in (*other.masked_networks, *other.bare_networks)] == ["sface", "sface"]
    assert other.searches is None
    assert other.space.digest != plan.space.digest
    assert plan.space.size == other.space.size == 128
    two = Fusion(FusionConfig(parts=("routed:dlib,sface", "dlib")))
    write_fused(tmp_path / "two", two, thresholds={}, metrics={}, training={})
    with pytest.raises(ConfigError, match="a part routed:MASKED,BARE must be the only one"):
        Plan.of(ModelsConfig(fused=str(tmp_path / "two")))
    with pytest.raises(ConfigError, match="embeddings of two sizes"):
        Plan.of(ModelsConfig(fused=fused, masked_embedder=f"bundle:{fused_bundle}/parts/0"))


def test_a_deployment_that_has_nothing_to_do_stays_in_the_list_without_replicas(tmp_path):
    from raymask.serve.on_ray.graph import build

    replicas = {}
    for part in ("sface", MRII):
        models = {"fused": alone(tmp_path / part.partition(":")[0], part)}
        api = build({"models": models, "gallery": str(tmp_path / "gallery")})._bound_deployment
        _, _, handles = api.init_args
        scaled = {name: one._bound_deployment._deployment_config.autoscaling_config for name, one in handles.items()}
        assert len(handles) == 7
        replicas[part] = {name: one.max_replicas for name, one in scaled.items() if one and not one.min_replicas}
    assert replicas == {"sface": {"BareEmbedder": 1}, MRII: {"MaskedEmbedder": 1}}


def test_another_embedder_for_an_idle_deployment_is_refused(tmp_path):
    fused = alone(tmp_path / "fused", "sface")
    with pytest.raises(ConfigError, match="bare_embedder would do nothing"):
        Plan.of(ModelsConfig(fused=fused, bare_embedder="dlib"))
    with pytest.raises(ConfigError, match="masked_embedder would do nothing"):
        Plan.of(ModelsConfig(fused=alone(tmp_path / "mrii", MRII), masked_embedder="dlib"))


def test_evaluation_with_one_part_loads_neither_segmenter_nor_inpainter(tmp_path, monkeypatch, faces_of, masked_png):
    """Neither is read at all, so that neither can cost time."""

    def read(*_):
        raise AssertionError("a bundle of the unmasker was read")

    for name in ("MaskFinder", "MaskRemover"):
        monkeypatch.setattr(f"raymask.models.unmasker.{name}.load", read)
    recogniser = load_recogniser(f"fused:{alone(tmp_path / 'fused', 'sface')}")
    photos = [decode_photo(data, "photo") for data in (faces_of(1)[0].read_bytes(), masked_png(1, 1))]
    embeddings, found = recogniser.embed(photos)
    assert found.all()
    assert embeddings.shape == (2, 128)
    with pytest.raises(AssertionError, match="was read"):
        load_recogniser(f"fused:{alone(tmp_path / 'mrii', MRII)}")
