"""Months of a service in minutes: all of it killed while people are enrolled, and requests that nobody should send.

`make soak` runs the long counts, and prints what it saw.
"""

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml
from support.ports import free_port
from support.processes import family

from raymask.errors import UnavailableError
from raymask.gallery.reader import GalleryReader
from raymask.gallery.store import GalleryStore
from raymask.serve.on_ray.run_local import CONFIGURATION, ready

KILLS, REQUESTS = (20, 10_000) if os.environ.get("RAYMASK_SOAK") == "1" else (2, 300)
pytestmark = pytest.mark.faults

GROWTH = 200 * 2**20
"""Bytes by which all processes of the service may grow."""


class ServeRun:
    """`serve run` in a process of its own, with a cluster of its own."""

    def __init__(self, fused: Path, folder: Path) -> None:
        document = yaml.safe_load(CONFIGURATION.read_text())
        document["http_options"]["port"] = free_port()
        self.gallery = folder / "gallery"
        document["applications"][0]["args"] = {"models": {"fused": str(fused)}, "gallery": str(self.gallery)}
        self.url = f"http://127.0.0.1:{document['http_options']['port']}"
        self._file, self._log = folder / "identify.yaml", folder / "serve.log"
        self._file.write_text(yaml.safe_dump(document))

    def start(self) -> None:
        """Returns when it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("serve"), "run", self._file],
                env=os.environ | {"RAY_ADDRESS": "local"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            ready(self.url)
        except UnavailableError:
            self.kill()
            raise

    def processes(self) -> list[int]:
        """All that it has started, itself first."""
        return list(family(self._process.pid))

    def kill(self) -> None:
        """All of it at once, as when the power goes."""
        if self._process.poll() is not None:
            return
        killed = self.processes()
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        while any(is_alive(pid) for pid in killed):
            time.sleep(0.05)

    def memory(self) -> int:
        """Bytes of memory that its Python processes have for themselves."""
        total = 0
        for pid in self.processes():
            try:
                if b"ray::" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
            except OSError:
                continue
        return total


@pytest.fixture(scope="module")
def service(fused_bundle, tmp_path_factory) -> Iterator[ServeRun]:
    service = ServeRun(fused_bundle, tmp_path_factory.mktemp("soak"))
    service.start()
    yield service
    service.kill()


def is_alive(pid: int) -> bool:
    """Whether a process, or a thread of it, has not let go of its files yet."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return False
    threads = int(fields[16])  # a main thread may be gone before the others
    return state not in "ZX" or threads > 1


def mutated(photos: list[bytes], chance: random.Random) -> bytes:
    """A photo that went wrong on the way, or never was one."""
    data = bytearray(chance.choice(photos))
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 5, 50))):
        place = chance.randrange(max(1, len(data)))
        act = chance.choice(("flip", "cut", "insert", "drop", "head"))
        if act == "flip" and data:
            data[min(place, len(data) - 1)] ^= 1 << chance.randrange(8)
        elif act == "cut":
            del data[place:]
        elif act == "insert":
            data[place:place] = chance.randbytes(chance.randrange(64))
        elif act == "drop":
            del data[place : place + chance.randrange(256)]
        elif act == "head":
            data[: min(place, 64)] = chance.randbytes(min(place, 64))
    return bytes(data) if chance.random() < 0.95 else chance.randbytes(chance.randrange(2000))


def all_formats(path: Path) -> list[bytes]:
    """A photo as JPEG, PNG and WebP, a grey one, one with a palette, and one that would be huge."""
    from PIL import Image

    made = [path.read_bytes()]
    image = Image.open(path)
    for picture, kind in (
        (image, "PNG"),
        (image, "WEBP"),
        (image.convert("L"), "JPEG"),
        (image.convert("P"), "PNG"),
        (image.convert("RGBA"), "PNG"),
        (image.convert("CMYK"), "JPEG"),
        (Image.new("1", (12_000, 12_000)), "PNG"),
    ):
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        made.append(buffer.getvalue())
    return made


def ask_with(client: httpx.Client, data: bytes, chance: random.Random) -> httpx.Response:
    """A request about a photo, in one of the ways there are, or in one that is none."""
    path = chance.choice(("identify", "segment", "unmask", "embed", "identities/fuzz/photos"))
    way = chance.choice(("form", "form", "raw", "raw", "torn form", "other field"))
    if way == "form":
        return client.post(f"/v1/{path}", files={"photo": data})
    if way == "other field":
        return client.post("/v1/verify", files={"first": data, chance.choice(("second", "third")): data})
    kinds = (
        "image/jpeg",
        "image/png",
        "image/webp",
        "application/octet-stream",
        "text/plain",
        "multipart/form-data",
        "",
    )
    kind = chance.choice(kinds)
    if way == "torn form":
        data, kind = (
            b'--x\r\nContent-Disposition: form-data; name="photo"\r\n\r\n' + data,
            "multipart/form-data; boundary=x",
        )
    return client.post(f"/v1/{path}", content=data, headers={"Content-Type": kind})


def photos_that_went_wrong(url: str, photos: list[bytes], count: int, seed: int) -> Counter[int]:
    """Status codes of so many requests."""
    chance, statuses = random.Random(seed), Counter()
    with httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(count):
            data = mutated(photos, chance)
            answer = ask_with(client, data, chance)
            statuses[answer.status_code] += 1
            assert answer.status_code < 500, (answer.status_code, answer.text, data[:64])
    return statuses


def requests_by_the_document(url: str, count: int) -> Counter[int]:
    """Requests that Schemathesis makes up from the OpenAPI document, good ones and bad ones."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings

    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    statuses: Counter[int] = Counter()
    for operation in operations:

        @settings(
            max_examples=-(-count // len(operations)),
            phases=[Phase.generate],
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case):
            answer = case.call()
            statuses[answer.status_code] += 1
            assert answer.status_code < 500, answer.text
            assert str(answer.status_code) in case.operation.definition.raw["responses"], (case, answer.text)

        ask()
    return statuses


def test_no_request_makes_the_service_fail_or_grow(service, faces_of, masked_png):
    photos = [*all_formats(faces_of(0)[0]), masked_png(1, 1)]
    photos_that_went_wrong(service.url, photos, 100, seed=-1)  # what is loaded late is loaded
    before = service.memory()
    statuses = requests_by_the_document(service.url, REQUESTS // 2)
    with ThreadPoolExecutor(3) as pool:
        share = -(-(REQUESTS - statuses.total()) // 3)
        asked = [pool.submit(photos_that_went_wrong, service.url, photos, share, seed) for seed in range(3)]
        statuses = sum((one.result() for one in asked), statuses)
    grown = service.memory() - before
    print(f"{statuses.total():,} requests: {dict(sorted(statuses.items()))}; grown by {grown / 2**20:.0f} MiB")
    assert httpx.get(f"{service.url}/readyz").status_code == 200
    assert statuses[200] + statuses[201] > statuses.total() / 20, "some get through"
    assert statuses[400] > statuses.total() / 10
    assert grown < GROWTH


class Enroller:
    """A client that enrols one photo after the other, and sends again what was not acknowledged."""

    def __init__(self, name: str, photo: bytes) -> None:
        self._name, self._photo, self._number = name, photo, 0
        self.acknowledged: set[str] = set()

    def enrol_until(self, stop: threading.Event, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client, contextlib.suppress(httpx.TransportError):
            while not stop.is_set():
                key = {"Idempotency-Key": f"{self._name}-{self._number}"}
                answer = client.post("/v1/identities/killed/photos", files={"photo": self._photo}, headers=key)
                if answer.status_code in (200, 201):
                    self.acknowledged.add(answer.json()["photo"])
                    self._number += 1


def photos_of(url: str, identity: str) -> set[str]:
    answer = httpx.get(f"{url}/v1/identities/{identity}")
    return {one["photo"] for one in answer.json()["photos"]} if answer.status_code == 200 else set()


# The last that asks the service: it does not live to be asked again.
def test_a_service_killed_whole_keeps_every_photo_that_it_acknowledged(service, plan, faces_of):
    enrollers = [Enroller(name, faces_of(0)[0].read_bytes()) for name in "abcd"]
    acknowledged: set[str] = set()
    clock = random.Random(0)
    for number in range(KILLS):
        if number:
            service.start()
        assert acknowledged <= photos_of(service.url, "killed")
        stop = threading.Event()
        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(one.enrol_until, stop, service.url) for one in enrollers]
            time.sleep(clock.uniform(1.5, 4))
            service.kill()
            stop.set()
            for client in clients:
                client.result()
        before, acknowledged = acknowledged, set().union(*(one.acknowledged for one in enrollers))
        assert acknowledged > before, "it was killed in the middle of enrolments"
        print(f"kill {number + 1} of {KILLS}: {len(acknowledged)} photos acknowledged until then")
    with GalleryStore(service.gallery, plan.space):
        batches = GalleryReader(str(service.gallery), plan.space).batches()
        rows = [row for batch in batches for row in batch.select(["identity", "photo"]).to_pylist()]
    keys = [row["photo"].hex() for row in rows if row["identity"] == "killed"]
    assert acknowledged <= set(keys)
    assert len(keys) == len(set(keys)), "none twice, though it was sent again"
    assert len(keys) <= len(acknowledged) + len(enrollers), "those on their way at the last kill"
