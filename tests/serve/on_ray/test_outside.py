"""An embedder from outside raymask in the whole service: its package is installed where the replicas run."""

import os
import time
from collections.abc import Iterator

import httpx
import pytest
from support.ports import free_port
from support.tables import with_table

from raymask.errors import UnavailableError
from raymask.evaluate import load_recogniser
from raymask.faces.images import decode_photo
from raymask.models.fusion import Fusion, FusionConfig
from raymask.recognisers.fused_bundle import write_fused
from raymask.serve.on_ray import run_local


@pytest.fixture
def document(outside, tmp_path) -> dict:
    """What a configuration file says; a fusion of the embedder, by its installed name, serves."""
    fusion = Fusion(FusionConfig(parts=("acme",)))
    write_fused(tmp_path / "fused", fusion, thresholds={}, metrics={}, training={})
    models = {"fused": str(with_table(tmp_path / "fused")), "own": ["acme"]}
    paths = os.pathsep.join([str(outside), *filter(None, [os.environ.get("PYTHONPATH")])])
    application = {
        "name": "raymask-outside",
        "route_prefix": "/",
        "import_path": "raymask.serve.graph:build",
        "args": {"models": models, "gallery": str(tmp_path / "gallery")},
        "runtime_env": {"env_vars": {"PYTHONPATH": paths}},
    }
    return {"applications": [application]}


@pytest.fixture
def url(ray_cluster) -> Iterator[str]:
    from ray import serve

    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()


@pytest.mark.faults
def test_it_knows_people_over_http_once_the_operator_has_named_it(document, url, faces_of):
    models = document["applications"][0]["args"]["models"]
    own = models.pop("own")
    with pytest.raises(UnavailableError, match="names acme, which is not raymask's"):
        run_local.deploy(document)
    models["own"] = own
    run_local.deploy(document)
    run_local.ready(url)
    photo = faces_of(1)[0].read_bytes()
    with httpx.Client(base_url=url, timeout=60) as client:
        for person in (0, 1):
            files = {"photo": faces_of(person)[0].read_bytes()}
            assert client.post(f"/v1/identities/p{person}/photos", files=files).status_code == 201
        time.sleep(1)  # what is acknowledged is seen within a second
        face = client.post("/v1/identify", files={"photo": faces_of(1)[1].read_bytes()}).json()["faces"][0]
    recogniser = load_recogniser("acme")
    probe, enrolled = (
        recogniser.embed([decode_photo(data, "photo")])[0][0] for data in (faces_of(1)[1].read_bytes(), photo)
    )
    scores = {one["identity"]: one["score"] for one in face["candidates"]}
    assert scores["p1"] == pytest.approx(float(probe @ enrolled), abs=1e-4)
