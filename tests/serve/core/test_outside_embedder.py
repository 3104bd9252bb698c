"""An embedder from outside raymask, from its evaluation to a service that knows people by it."""

import asyncio
import json

import numpy as np
import pytest
from support.tables import with_table

from raymask.errors import ModelError
from raymask.evaluate import evaluate, load_recogniser
from raymask.evaluate.calibrate import fuse
from raymask.evaluate.calibrate_config import FuseConfig
from raymask.evaluate.config import EvaluateConfig
from raymask.faces.images import decode_photo
from raymask.recognisers.own import aligned
from raymask.serve.core.config import Policy
from raymask.serve.core.in_process import LocalGallery, LocalStages
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.serve.core.service import Service


@pytest.fixture
def fused(outside, demo_faces, tmp_path):
    """A fusion of the embedder alone."""
    people = dict.fromkeys(sorted(path.name for path in demo_faces.iterdir())[:2], "val")
    (tmp_path / "splits.json").write_text(json.dumps(people))
    config = FuseConfig(
        recognisers=("acme",),
        images=str(demo_faces),
        people=f"{tmp_path}/splits.json:val",
        out=str(tmp_path / "fused"),
        max_photos=2,
        draws=2,
    )
    return str(with_table(fuse(config).folder))


def test_it_is_fused_evaluated_enrolled_and_served(fused, demo_faces, tmp_path, monkeypatch):
    own = ("acme",)
    done = evaluate(
        EvaluateConfig(
            recognisers=("acme", f"fused:{fused}"),
            own=own,
            images=str(demo_faces),
            people=f"{tmp_path}/splits.json:val",
            protocol="gallery",
            max_photos=2,
            draws=1,
            out=str(tmp_path / "report"),
        )
    )
    alone, in_fusion = done.answers.values()
    assert np.allclose(alone.embeddings, in_fusion.embeddings, atol=1e-6)

    plan = Plan.of(ModelsConfig(fused=fused, own=own))
    assert plan.space.size == 48
    photo = sorted(demo_faces.glob("*/*.jpg"))[0].read_bytes()
    gallery = LocalGallery(str(tmp_path / "gallery"), plan.space)
    service = Service(plan, LocalStages(plan), gallery, Policy())

    async def ask():
        await service.enrol("ann", photo, key=None, with_masks=False, keep=False)
        return await service.identify(photo, below_review=True), await service.embed(photo)

    identified, embedded = asyncio.run(ask())
    gallery.close()
    assert identified.faces[0].candidates[0].identity == "ann"
    wanted, _ = load_recogniser("acme").embed([decode_photo(photo, "photo")])
    assert np.abs(np.array(embedded.faces[0].embedding) - wanted[0]).max() < 1e-4

    import acme_faces

    monkeypatch.setattr(acme_faces.Embedder, "version", "2")
    aligned.cache_clear()
    with pytest.raises(ModelError, match="was calibrated for another acme than the one that is installed"):
        Plan.of(ModelsConfig(fused=fused, own=own))


def test_it_serves_in_place_of_a_fusions_own(outside, fused):
    plan = Plan.of(ModelsConfig(fused=fused, own=("acme",), masked_embedder="python:acme_faces:Embedder"))
    assert [network.spec for network in plan.masked_networks] == ["python:acme_faces:Embedder"]
    assert plan.searches, "it is the same embedder by another name"
