"""A service in this process: the real models, the real gallery, the real HTTP application; no Ray."""

from pathlib import Path

import pytest
from support.client import Client

from raymask.faces import detect, draw_mask, subject
from raymask.faces.images import decode_photo, encode_png
from raymask.serve.core.config import Policy
from raymask.serve.core.in_process import LocalGallery, LocalStages
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.serve.core.service import Service
from raymask.serve.http.app import create_app


@pytest.fixture(scope="session")
def plan(fused_bundle) -> Plan:
    return Plan.of(ModelsConfig(fused=str(fused_bundle)))


@pytest.fixture(scope="session")
def stages(plan) -> LocalStages:
    return LocalStages(plan)


@pytest.fixture(scope="session")
def faces_of(demo_faces):
    """A person's photo files by number."""

    def files(person: int) -> list[Path]:
        return sorted(sorted(demo_faces.iterdir())[person].glob("*.jpg"))

    return files


@pytest.fixture(scope="session")
def masked_png(faces_of):
    """A person's photo with a mask drawn on it, as PNG; one in which a face is still found."""

    def make(person: int, photo: int) -> bytes:
        path = faces_of(person)[photo]
        pixels = decode_photo(path.read_bytes(), path.name)
        face = subject(detect(pixels), pixels.shape)
        for seed in range(10):
            masked, _ = draw_mask(pixels, face.landmarks, "surgical", seed)
            if detect(masked):
                return encode_png(masked)
        raise AssertionError("no face is found under any mask")

    return make


@pytest.fixture
def service(plan, stages, tmp_path):
    gallery = LocalGallery(str(tmp_path / "gallery"), plan.space)
    yield Service(plan, stages, gallery, Policy())
    gallery.close()


@pytest.fixture
def ask(service) -> Client:
    return Client(create_app(service, None))
