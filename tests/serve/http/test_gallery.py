"""What is told over HTTP of a gallery that does not keep the promise, and to whom."""

import pytest
from support.client import Client
from support.galleries import alike, people_of, search_table

from raymask.gallery.store import GalleryStore
from raymask.serve.core.config import Policy
from raymask.serve.core.in_process import LocalGallery
from raymask.serve.core.service import Service
from raymask.serve.http.app import create_app
from raymask.serve.http.keys import ROLES, KeyFile, KeysConfig, change_keys


@pytest.fixture
def crowded(plan, stages, tmp_path):
    """The service with 250 people enrolled who look alike."""
    folder, size = str(tmp_path / "gallery"), plan.space.size
    with GalleryStore(folder, plan.space) as store:
        store.enrol(people_of(alike(250, size=size)))
    gallery = LocalGallery(folder, plan.space, search_table(size=size))
    yield Service(plan, stages, gallery, Policy())
    gallery.close()


def test_a_service_without_keys_tells_all(crowded):
    ask = Client(create_app(crowded, None))
    told = ask("GET", "/v1/gallery").json()
    assert (told["people"], told["embeddings"], told["searched"]) == (250, 250, 250)
    assert told["checked"].endswith("Z")
    assert [(share["expected"], share["exceeds"]) for share in told["shares"]] == [(0.1, True), (0.01, True)]
    assert told["shares"][0]["observed"] > 0.2
    assert "Of 250 people enrolled" in told["warning"]
    assert len(told["nearest"]) == 5
    gone = told["nearest"][0]["identities"][0]
    assert ask("DELETE", f"/v1/identities/{gone}").status_code == 200
    left = ask("GET", "/v1/gallery").json()
    assert (left["people"], left["checked"]) == (249, told["checked"])
    assert left["nearest"]
    assert gone not in {name for pair in left["nearest"] for name in pair["identities"]}


def test_who_is_alike_is_told_to_admins_alone(crowded, tmp_path):
    file = str(tmp_path / "keys.json")
    keys = {role: change_keys(KeysConfig(file=file, name=role, role=role)) for role in ROLES}
    ask = Client(create_app(crowded, KeyFile(file)), client="192.0.2.7", host="faces.example")

    def asked(role: str):
        return ask("GET", "/v1/gallery", headers={"authorization": f"Bearer {keys[role]}"})

    assert ask("GET", "/v1/gallery").status_code == 401
    assert asked("identify").status_code == 403
    told = asked("enrol").json()
    assert told["warning"]
    assert told["nearest"] is None
    assert "p00" not in str(told)
    admins = asked("admin").json()
    assert len(admins.pop("nearest")) == 5
    assert told.pop("nearest") is None
    assert admins == told


def test_a_small_gallery_is_counted_and_not_checked(ask, service):
    assert ask("GET", "/v1/gallery").json() == {
        "people": 0,
        "embeddings": 0,
        "checked": None,
        "searched": 0,
        "shares": [],
        "warning": None,
        "nearest": [],
    }
