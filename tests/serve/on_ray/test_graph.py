"""The graph on Ray Serve: what it answers, how it changes while it runs, what is left when parts of it are killed."""

import contextlib
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from support.ports import free_port
from support.small_disk import file_system
from support.tables import small_table, with_table

from raymask.errors import ConfigError, ModelError, UnavailableError
from raymask.evaluate import load_recogniser
from raymask.faces.images import decode_photo, encode_jpeg, encode_png
from raymask.gallery.reader import GalleryReader
from raymask.gallery.table import Space, write_space
from raymask.models.fusion import Fusion, FusionConfig
from raymask.recognisers.fused_bundle import write_fused
from raymask.serve.core.config import Policy, from_mapping
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.serve.on_ray import run_local
from raymask.storage import Folder

APPLICATION = "raymask-tested"
HANGS = 300
"""Seconds after which what takes 12 on a quiet machine counts as stuck."""
STAGES = ("Detector", "Segmenter", "Inpainter", "MaskedEmbedder", "BareEmbedder", "GallerySearch", "GalleryWriter")


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Iterator[Path]:
    """Where the gallery lies: a file system of its own, where there is the right to mount one."""
    folder = tmp_path_factory.mktemp("served")
    with file_system(folder, "64m"):
        yield folder


@pytest.fixture(scope="module")
def config(fused_bundle, disk) -> dict:
    """What a configuration file says, with the paths of here."""
    return {
        "name": APPLICATION,
        "route_prefix": "/",
        "import_path": "raymask.serve.graph:build",
        "args": {"models": {"fused": str(fused_bundle)}, "gallery": str(disk / "gallery")},
        "deployments": [
            {"name": "Api", "user_config": {"in_flight": 6}},
            {"name": "Detector", "max_replicas_per_node": 4},
        ],
    }


def deploy(config: dict) -> None:
    run_local.deploy({"applications": [config]})


@pytest.fixture(scope="module")
def url(ray_cluster, config) -> Iterator[str]:
    from ray import serve

    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    deploy(config)
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()


@pytest.fixture
def client(url) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def enrol(client: httpx.Client, identity: str, photo: bytes) -> httpx.Response:
    return client.post(f"/v1/identities/{identity}/photos", files={"photo": photo})


def wait_until_ready(client: httpx.Client) -> None:
    end = time.monotonic() + HANGS
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < end, client.get("/readyz").text
        time.sleep(0.2)


def pids(deployment: str) -> list[int]:
    """Processes of a deployment's replicas, by the title that Ray gives them."""
    title = re.compile(rf"ray::ServeReplica:{APPLICATION}:{deployment}(?![A-Za-z])")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if title.match((folder / "cmdline").read_text(errors="replace")):
                found.append(int(folder.name))
    return found


def test_the_graph_answers_as_evaluation_does(client, fused_bundle, faces_of, masked_png):
    assert client.get("/readyz").json() == {"ready": True, "stages": dict.fromkeys(STAGES, "ready")}
    for person in range(3):
        answer = enrol(client, f"p{person}", faces_of(person)[0].read_bytes())
        assert answer.status_code == 201, answer.text
    time.sleep(1)  # what is acknowledged is seen within a second
    recogniser = load_recogniser(f"fused:{fused_bundle}")
    enrolled, _ = recogniser.embed([decode_photo(faces_of(1)[0].read_bytes(), "enrolled")])
    for photo, is_masked in ((faces_of(1)[1].read_bytes(), False), (masked_png(1, 1), True)):
        answer = client.post("/v1/identify", files={"photo": photo})
        assert answer.status_code == 200, answer.text
        face = answer.json()["faces"][0]
        assert face["masked"] == is_masked
        probe, _ = recogniser.embed([decode_photo(photo, "probe")])
        scores = {one["identity"]: one["score"] for one in face["candidates"]}
        assert scores["p1"] == pytest.approx(float(probe[0] @ enrolled[0]), abs=1e-4)
        assert answer.json()["enrolled"] == {"people": 3, "embeddings": 3}
        asked = small_table().threshold("masked" if is_masked else "bare", 1e-2, 3)
        assert (face["threshold"], face["expected_fpir"]) == (round(asked.score, 4), 1e-2)
    verified = client.post("/v1/identities/p1/verify", files={"photo": faces_of(1)[0].read_bytes()}).json()
    assert (verified["score"], verified["embeddings"]) == (pytest.approx(1, abs=1e-4), 1)
    assert client.post("/v1/identities/p9/verify", files={"photo": faces_of(1)[0].read_bytes()}).status_code == 404
    listed = client.get("/v1/identities").json()
    assert [person["identity"] for person in listed["people"]] == ["p0", "p1", "p2"]
    assert client.delete("/v1/identities/p2").json() == {"identity": "p2", "photos": 1}
    unmasked = client.post("/v1/unmask", files={"photo": masked_png(1, 1)})
    assert unmasked.headers["x-masks"] == "1"
    assert decode_photo(unmasked.content, "unmasked").shape == decode_photo(masked_png(1, 1), "masked").shape


def test_a_large_photo_is_kept_returned_and_deleted(client, faces_of):
    """It goes to the gallery's writer, and comes from a searcher, by reference: a message takes 4 MiB."""
    from PIL import Image

    image = Image.open(faces_of(0)[0]).resize((1600, 1600))
    noise = np.random.default_rng(0).integers(-9, 10, (1600, 1600, 3))
    photo = encode_png(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    assert 4 * 2**20 < len(photo) < 10_000_000
    answer = client.post("/v1/identities/large/photos?keep=true", files={"photo": photo})
    assert (answer.status_code, answer.json()["kept"]) == (201, True), answer.text
    kept = f"/v1/identities/large/photos/{answer.json()['photo']}"
    returned = client.get(kept)
    assert (returned.status_code, returned.headers["content-type"]) == (200, "image/png")
    assert returned.content == photo
    assert client.get("/v1/identities/large/photos").json()["photos"][0]["bytes"] == len(photo)
    assert client.delete(kept).json() == {"identity": "large", "photos": 1}
    assert client.get(kept).status_code == 404, "at once"


def test_what_ray_serves_already_is_left_alone(url):
    refused = pytest.raises(UnavailableError, match="serves something here already")
    with refused, run_local.running({}, port=free_port()):
        pass
    assert httpx.get(f"{url}/readyz").status_code == 200


def test_mistakes_cross_the_stages_as_problems(client):
    blank = encode_jpeg(np.full((200, 200, 3), 128, np.uint8))
    answer = client.post("/v1/identify", files={"photo": blank})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "no face was found" in answer.json()["detail"]


def test_thresholds_change_under_load_without_a_failed_request(client, url, config, faces_of):
    photo = faces_of(1)[1].read_bytes()
    before = client.post("/v1/identify", files={"photo": photo}).json()["faces"][0]
    assert before["threshold"] > 0.9
    processes = pids("Api")
    with Load(url, photo, clients=2) as load:
        changed = {"name": "Api", "user_config": {"in_flight": 6, "bare": {"match": 0.5, "review": 0.4}}}
        deploy({**config, "deployments": [changed, *config["deployments"][1:]]})
        end = time.monotonic() + HANGS
        while time.monotonic() < end:
            after = client.post("/v1/identify", files={"photo": photo}).json()["faces"][0]
            if after["threshold"] == 0.5:
                break
    assert (after["threshold"], after["review_threshold"]) == (0.5, 0.4)
    assert load.statuses == {200}
    deploy({**config, "deployments": config["deployments"][1:]})
    end = time.monotonic() + HANGS
    while client.post("/v1/identify", files={"photo": photo}).json()["faces"][0] != before:
        assert time.monotonic() < end, "what is taken out of the file is out of force"
    assert pids("Api") == processes, "nothing was started again"
    deploy(config)


def test_a_stalled_upload_is_ended_and_disturbs_nobody(client, url, config, faces_of):
    changed = {"name": "Api", "user_config": {"in_flight": 6, "body_seconds": 2}}
    deploy({**config, "deployments": [changed, *config["deployments"][1:]]})
    host, port = url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/identify HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: image/jpeg\r\n"
        "Content-Length: 100000\r\n\r\n"
    )
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(3)]
        for connection in stalled:
            connection.sendall(head.encode() + b"\xff\xd8")
        begun = time.monotonic()
        assert client.post("/v1/identify", files={"photo": faces_of(1)[1].read_bytes()}).status_code == 200
        for connection in stalled:
            connection.settimeout(30)
            answer = connection.recv(4096).decode()
            assert answer.startswith("HTTP/1.1 408"), answer
        assert time.monotonic() - begun < 30
    deploy(config)


def test_a_full_disk_is_said_and_people_are_identified_nevertheless(client, disk, faces_of):
    if not disk.is_mount():
        pytest.skip("no right to mount a small file system")
    wait_until_ready(client)
    photo, junk = faces_of(2)[0].read_bytes(), disk / "junk"
    with junk.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    refused = enrol(client, "late", photo)
    assert (refused.status_code, refused.headers["content-type"]) == (507, "application/problem+json")
    assert "free space" in refused.json()["detail"]
    assert client.post("/v1/identify", files={"photo": photo}).status_code == 200
    assert client.get("/v1/identities/late").status_code == 404
    junk.unlink()
    assert enrol(client, "late", photo).status_code == 201
    time.sleep(1)
    assert len(client.get("/v1/identities/late").json()["photos"]) == 1


def test_prometheus_hears_of_every_stage_and_the_dashboard_asks_for_what_there_is(client, url, faces_of, masked_png):
    import ray

    (node,) = ray.nodes()
    exported = f"http://127.0.0.1:{node['MetricsExportPort']}/metrics"
    grafana = (Path(__file__).parent.parent.parent.parent / "serve_configs" / "grafana.json").read_text()
    without = {"ray_raymask_stage_errors_total", "ray_raymask_gallery_observed", "ray_raymask_gallery_warning"}
    asked = set(re.findall(r"(ray_[a-z_]+)\{", grafana)) - without  # nothing fails, and few people are enrolled
    enrol(client, "measured", faces_of(1)[0].read_bytes())
    assert client.post("/v1/identify", files={"photo": masked_png(1, 1)}).status_code == 200
    end = time.monotonic() + HANGS
    while True:
        text = httpx.get(exported).text
        there = set(re.findall(r"^(ray_(?:raymask|serve)_[a-z_]+)\{", text, re.MULTILINE))
        counted = set(re.findall(r'ray_raymask_stage_seconds_count\{[^}]*deployment="(\w+)"', text))
        if (asked <= there and counted >= set(STAGES)) or time.monotonic() > end:
            break
        time.sleep(1)
    assert asked <= there, "the dashboard asks for what is exported"
    assert counted >= set(STAGES)
    assert re.search(r'ray_raymask_decisions_total\{[^}]*decision="\w+"[^}]*face="masked"', text)


@pytest.mark.faults
@pytest.mark.parametrize(
    "killed_ones",
    [
        ("Detector",),
        ("Segmenter", "MaskedEmbedder", "BareEmbedder"),
        ("Inpainter",),
        ("GallerySearch",),
        ("GalleryWriter",),
        ("Api",),
    ],
    ids=" ".join,
)
def test_killed_replicas_come_back_and_nothing_acknowledged_is_lost(
    client, url, config, faces_of, masked_png, killed_ones
):
    wait_until_ready(client)
    victims = {name: pids(name) for name in killed_ones}
    assert all(victims.values())
    with (
        Load(url, faces_of(0)[2].read_bytes(), clients=1, enrols=True) as enrolling,
        Load(url, masked_png(1, 1), clients=1) as asking,
    ):
        time.sleep(1)
        for first, *_ in victims.values():
            os.kill(first, signal.SIGKILL)
        killed = time.monotonic()
        time.sleep(1)
        while (
            not all(set(pids(name)) - set(before) for name, before in victims.items())
            or client.get("/readyz").status_code != 200
        ):
            assert time.monotonic() - killed < HANGS
            time.sleep(0.2)
        back = time.monotonic() - killed
        time.sleep(1)
    statuses = enrolling.statuses | asking.statuses
    print(f"{killed_ones}: back after {back:.1f} s, {statuses}")
    assert all(status < 400 or status >= 500 for status in statuses), statuses
    assert enrolling.last_statuses | asking.last_statuses <= {200, 201, 503}
    assert enrolling.acknowledged
    if "Api" not in killed_ones:
        assert not enrolling.other_errors + asking.other_errors, "our own errors are problem details"
    time.sleep(1)
    plan = Plan.of(ModelsConfig(**config["args"]["models"]))
    reader = GalleryReader(config["args"]["gallery"], plan.space)
    rows = [row for batch in reader.batches() for row in batch.select(["identity", "photo"]).to_pylist()]
    there = [row["photo"].hex() for row in rows if row["identity"] == enrolling.identity]
    assert len(there) == len(set(there)), "none twice, though it was sent again"
    assert enrolling.acknowledged <= set(there)


@pytest.mark.faults
def test_a_fusion_of_one_part_is_served_without_a_replica_of_what_has_nothing_to_do(
    url, config, tmp_path, faces_of, masked_png
):
    from ray import serve

    write_fused(tmp_path / "one", Fusion(FusionConfig(parts=("sface",))), thresholds={}, metrics={}, training={})
    with_table(tmp_path / "one")
    alone = {
        **config,
        "name": "alone",
        "route_prefix": "/alone",
        "args": {"models": {"fused": str(tmp_path / "one")}, "gallery": str(tmp_path / "gallery")},
        "deployments": [{"name": name, "ray_actor_options": {"num_cpus": 0.05}} for name in (*STAGES, "Api")],
    }
    run_local.deploy({"applications": [config, alone]})
    with httpx.Client(base_url=f"{url}/alone", timeout=60) as client:
        wait_until_ready(client)
        assert set(client.get("/readyz").json()["stages"]) == set(STAGES) - {"BareEmbedder"}
        assert enrol(client, "p1", faces_of(1)[0].read_bytes()).status_code == 201
        time.sleep(1)
        answer = client.post("/v1/identify", files={"photo": masked_png(1, 1)}).json()
        assert answer["faces"][0]["candidates"][0]["identity"] == "p1"
        assert set(answer["seconds"]) == {"detector", "segmenter", "masked_embedder", "gallery"}
        assert client.post("/v1/unmask", files={"photo": masked_png(1, 1)}).headers["x-masks"] == "1"
    deployments = serve.status().applications["alone"].deployments
    assert {name for name, one in deployments.items() if not sum(one.replica_states.values())} == {"BareEmbedder"}
    deploy(config)


# The last two that ask the graph: they leave other models there, this one in `config` too.
@pytest.mark.faults
def test_a_model_changes_under_load_without_a_failed_request(client, url, config, faces_of, masked_png, tmp_path):
    from raymask.models.shipped import SHIPPED

    wait_until_ready(client)
    other = tmp_path / "inpainter"
    shutil.copytree(SHIPPED / "inpainter", other)
    before = {name: pids(name) for name in ("Inpainter", "Api")}
    config["args"]["models"]["inpainter"] = str(other)
    with Load(url, masked_png(1, 1), clients=1) as load:
        deploy(config)
        end = time.monotonic() + HANGS
        while set(pids("Inpainter")) & set(before["Inpainter"]) or set(pids("Api")) & set(before["Api"]):
            assert time.monotonic() < end
            time.sleep(0.2)
        time.sleep(1)
    assert load.statuses == {200}
    assert load.answered > 10


@pytest.mark.faults
def test_another_fusion_and_its_gallery_take_over_under_load_without_a_failed_request(
    client, url, config, fused_bundle, faces_of, tmp_path
):
    """They come as an application of their own, and the two change places: no embedding meets those of the other."""
    wait_until_ready(client)
    photo = faces_of(1)[1].read_bytes()
    other = other_fusion(fused_bundle, tmp_path)
    following = {
        **config,
        "name": "following",
        "route_prefix": "/following",
        "args": {"models": {"fused": str(other)}, "gallery": str(Path(config["args"]["gallery"]).parent / "following")},
        "deployments": [{"name": name, "ray_actor_options": {"num_cpus": 0.05}} for name in (*STAGES, "Api")],
    }
    with Load(url, photo, clients=1, enrols=True) as enrolling, Load(url, photo, clients=1) as asking:
        run_local.deploy({"applications": [config, following]})
        with httpx.Client(base_url=f"{url}/following", timeout=60) as beside:
            wait_until_ready(beside)
        processes = pids("Detector")
        run_local.deploy(
            {"applications": [{**config, "route_prefix": "/before"}, {**following, "route_prefix": "/"}]},
        )
        time.sleep(3)
        assert pids("Detector") == processes, "nothing was started again"
        run_local.deploy({"applications": [{**following, "route_prefix": "/"}]})
        time.sleep(3)
    assert (enrolling.statuses, asking.statuses) == ({201}, {200})
    there: set[str] = set()
    for args in (config["args"], following["args"]):
        plan = Plan.of(ModelsConfig(**args["models"]))
        own, _ = load_recogniser(plan.fused.spec).embed([decode_photo(photo, "photo")])
        rows = [row for batch in GalleryReader(args["gallery"], plan.space).batches() for row in batch.to_pylist()]
        enrolled = [row for row in rows if row["identity"] == enrolling.identity]
        scores = np.array([row["vector"] for row in enrolled]) @ own[0]
        assert len(scores) > 0
        assert scores == pytest.approx(1, abs=1e-3), "by the networks of its gallery"
        there |= {row["photo"].hex() for row in enrolled}
    assert enrolling.acknowledged <= there


def other_fusion(fused_bundle: Path, folder: Path) -> Path:
    """As `fused_bundle`, with another masked-face network."""
    import torch

    from raymask.models.bundle import load_bundle, save_bundle

    shutil.copytree(fused_bundle, folder / "fused")
    (masked,) = Plan.of(ModelsConfig(fused=str(folder / "fused"))).masked_networks
    network = load_bundle(masked.folder).model
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(0.05 * torch.randn_like(weights))
    save_bundle(masked.folder, network, preprocessing={})
    return folder / "fused"


class Load:
    """Clients that identify, or enrol, one photo after another; what was not acknowledged is sent again."""

    def __init__(self, url: str, photo: bytes, *, clients: int, enrols: bool = False) -> None:
        self.identity = f"load-{time.monotonic_ns()}"
        self.statuses: set[int] = set()
        self.last_statuses: set[int] = set()
        self.acknowledged: set[str] = set()
        self.answered = 0
        self.other_errors: list[str] = []
        self._url, self._photo, self._enrols = url, photo, enrols
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        count, last = 0, 0
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._stop.is_set():
                try:
                    last = self._ask(client, f"{number}-{count}")
                except httpx.TransportError:
                    last = 599  # the connection was lost with the process
                self.statuses.add(last)
                self.answered += last == 200
                count += last < 500
                if last >= 500:
                    time.sleep(0.1)
        self.last_statuses.add(last)

    def _ask(self, client: httpx.Client, key: str) -> int:
        path = f"/v1/identities/{self.identity}/photos" if self._enrols else "/v1/identify"
        answer = client.post(path, files={"photo": self._photo}, headers={"Idempotency-Key": key})
        if answer.status_code >= 500 and answer.headers["content-type"] != "application/problem+json":
            self.other_errors.append(answer.text)
        if self._enrols and answer.status_code in (200, 201):
            self.acknowledged.add(answer.json()["photo"])
        return answer.status_code


def test_what_a_configuration_does_not_know_is_refused_by_name(fused_bundle, tmp_path):
    from raymask.serve.on_ray.graph import build

    args = {"models": {"fused": str(fused_bundle)}, "gallery": str(tmp_path)}
    for wrong, named in (
        ({**args, "galery": "x"}, "args: galery is unknown"),
        ({**args, "models": {"fused": "x", "segmentor": "y"}}, r"models\.segmentor is unknown"),
        ({**args, "stages": {"Inpainter": {"threads": "many"}}}, r"stages\.Inpainter\.threads is wrong"),
        ({**args, "stages": {"Inpainter": {"threads": 0}}}, "threads must be 1 or more"),
        ({**args, "stages": {"Inpainter": {"device": "cudda"}}}, "device must be cpu or cuda"),
        ({**args, "stages": {"Detectr": {"threads": 2}}}, r"stages\.Detectr"),
        ({"models": {"fused": "x"}}, "gallery is wrong: Field required"),
    ):
        with pytest.raises(ConfigError, match=named):
            build(wrong)
    write_space(Folder(tmp_path / "others"), Space(digest="0" * 64, size=1, recogniser="another"))
    with pytest.raises(ModelError, match="holds embeddings of another"):
        build({**args, "gallery": str(tmp_path / "others")})
    with pytest.raises(ModelError, match=r"nothing is no bundle.*make demo"):
        build({**args, "models": {"fused": str(tmp_path / "nothing")}})
    with pytest.raises(ConfigError, match="treshold is unknown"):
        from_mapping(Policy, {"treshold": 1}, "user_config")
    with pytest.raises(ConfigError, match="review <= match"):
        from_mapping(Policy, {"bare": {"match": 0.1, "review": 0.2}}, "user_config")
