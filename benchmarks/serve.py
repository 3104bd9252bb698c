"""Identification over HTTP, by the graph and by one plain process; JSON on standard output.

    python benchmarks/serve.py [--fused FOLDER] [--seconds 20]

Both run the same models, gallery and HTTP application, on this machine, one after the other in one run; the plain
process (FastAPI under uvicorn) with the number of threads that serves it best. Half of the photos wear masks.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import yaml

from raymask.cli import parse, run
from raymask.demo_faces import write_demo_faces
from raymask.faces import detect, draw_mask, subject
from raymask.faces.images import decode_photo, encode_jpeg
from raymask.models.shipped import SHIPPED
from raymask.progress import Progress
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.serve.on_ray.run_local import ready, running

CLIENTS = (1, 8, 32)
THREADS = ((1, 1), (1, 2), (2, 1), (4, 1), (2, 2))
"""Of the plain process: photos worked on at a time, and threads of each network."""
PEOPLE, PHOTOS = 12, 3


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What to measure."""

    fused: str = str(SHIPPED / "fused")
    """Bundle of the fusion that serves."""
    graph: str = "serve_configs/identify.yaml"
    """The graph's configuration; its models and gallery are replaced."""
    seconds: float = 20
    """Of each measurement."""
    rounds: int = 2
    """Times that each is measured, in turn."""


class Probe(NamedTuple):
    """A photo to ask about."""

    photo: bytes
    masked: bool


def photos(folder: Path) -> tuple[list[bytes], list[Probe]]:
    """One photo of each person to enrol, and others of them as probes: bare ones and masked ones by turns."""
    root = write_demo_faces(folder / "faces", people=PEOPLE, photos=PHOTOS, seed=5)
    enrolled: list[bytes] = []
    probes: list[Probe] = []
    for person in sorted(root.iterdir()):
        first, *others = sorted(person.glob("*.jpg"))
        enrolled.append(first.read_bytes())
        for place, path in enumerate(others):
            photo = decode_photo(path.read_bytes(), path.name)
            face = subject(detect(photo), photo.shape)
            if face is None:
                continue
            masked = draw_mask(photo, face.landmarks, "surgical", place)[0]
            wears = bool(place % 2 and detect(masked))
            probes.append(Probe(encode_jpeg(masked if wears else photo), wears))
    return enrolled, probes


@contextmanager
def plain(config: BenchmarkConfig, folder: Path, at_a_time: int, threads: int) -> Iterator[str]:
    """A process of its own; yields its address."""
    port = free_port()
    code = (
        f"import runpy; runpy.run_path({__file__!r})['serve_plainly']"
        f"({config.fused!r}, {str(folder)!r}, {port}, {at_a_time}, {threads})"
    )
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], env=environment) as process:
        try:
            yield ready(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


def serve_plainly(fused: str, folder: str, port: int, at_a_time: int, threads: int) -> None:
    """What an engineer would write without Ray."""
    import torch
    import uvicorn

    from raymask.serve.core.config import Policy
    from raymask.serve.core.in_process import LocalGallery, LocalStages
    from raymask.serve.core.service import Service
    from raymask.serve.http.app import create_app

    torch.set_num_threads(threads)
    plan = Plan.of(ModelsConfig(fused=fused))
    gallery = LocalGallery(f"{folder}/gallery-{at_a_time}-{threads}", plan.space)
    service = Service(plan, LocalStages(plan, threads=at_a_time), gallery, Policy(in_flight=100))
    uvicorn.run(create_app(service, None), host="127.0.0.1", port=port, log_level="error", access_log=False)


@contextmanager
def graph(config: BenchmarkConfig, folder: Path, in_flight: int) -> Iterator[str]:
    """Ray Serve on this machine, with so many requests in flight at most; yields its address."""
    import ray

    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    address = os.environ.get("RAY_ADDRESS", "local")  # by itself Ray joins whatever cluster it finds here
    ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    file = folder / "graph.yaml"
    document = yaml.safe_load(Path(config.graph).read_text())
    for deployment in document["applications"][0]["deployments"]:
        if deployment["name"] == "Api":
            deployment["user_config"]["in_flight"] = in_flight
    file.write_text(yaml.safe_dump(document))
    args = {"models": {"fused": config.fused}, "gallery": str(folder / "gallery-graph")}
    begun = time.perf_counter()
    try:
        with running(args, port=free_port(), configuration=file) as url:
            to_stderr(f"the graph answers {time.perf_counter() - begun:.1f} s after Ray has started")
            yield url
    finally:
        ray.shutdown()


def enrol(url: str, enrolled: list[bytes]) -> None:
    for number, photo in enumerate(enrolled):
        answer = httpx.post(f"{url}/v1/identities/p{number}/photos", files={"photo": photo}, timeout=60)
        assert answer.status_code in (200, 201, 422), answer.text


def load(url: str, probes: list[Probe], clients: int, seconds: float) -> dict[str, float]:
    """Clients that ask for one photo after the other, each as soon as it is answered.

    After a 503 they come again in 0.2 s, sooner than they are told.
    """
    times: dict[bool, list[float]] = {False: [], True: []}  # of bare photos, of masked ones
    refused: list[float] = []
    failed = 0

    async def client(number: int, http: httpx.AsyncClient, end: float) -> None:
        nonlocal failed
        place = number * 7
        while (begun := time.perf_counter()) < end:
            place += 1
            probe = probes[place % len(probes)]
            answer = await http.post("/v1/identify", files={"photo": probe.photo})
            taken = time.perf_counter() - begun
            if answer.status_code == 200:
                times[probe.masked].append(taken)
            elif answer.status_code == 503:
                assert int(answer.headers["retry-after"]) >= 1
                refused.append(taken)
                await asyncio.sleep(0.2)
            else:
                failed += 1

    async def all_clients() -> float:
        limits = httpx.Limits(max_connections=clients)
        async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
            await asyncio.gather(*(client(number, http, time.perf_counter() + 2) for number in range(clients)))  # warm
            for kind in times.values():
                kind.clear()
            refused.clear()
            begun = time.perf_counter()
            await asyncio.gather(*(client(number, http, begun + seconds) for number in range(clients)))
            return time.perf_counter() - begun

    took = asyncio.run(all_clients())
    all_times = times[False] + times[True]
    return {
        "clients": clients,
        "photos_a_second": len(all_times) / took,
        "p50_bare_ms": percentile(times[False], 50),
        "p50_masked_ms": percentile(times[True], 50),
        "p99_ms": percentile(all_times, 99),
        "refused": len(refused),
        "refused_p99_ms": percentile(refused, 99),
        "failed": failed,
    }


def percentile(seconds: list[float], percent: float) -> float:
    """In milliseconds; 0 of nothing."""
    return 1e3 * float(np.percentile(seconds, percent)) if seconds else 0.0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def best_threads(config: BenchmarkConfig, folder: Path, enrolled: list[bytes], probes: list[Probe]) -> tuple[int, int]:
    rates = {}
    for pair in THREADS:
        with plain(config, folder, *pair) as url:
            enrol(url, enrolled)
            rates[pair] = load(url, probes, 8, config.seconds / 2)["photos_a_second"]
            to_stderr(f"plain process, {pair[0]} photos at a time, {pair[1]} threads each: {rates[pair]:.2f} photos/s")
    return max(rates, key=lambda pair: rates[pair])


def median(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}


def measure(config: BenchmarkConfig) -> dict[str, object]:
    Plan.of(ModelsConfig(fused=config.fused))  # says at once what is missing
    folder = Path(tempfile.mkdtemp(prefix="raymask-benchmark-"))
    enrolled, probes = photos(folder)
    best = best_threads(config, folder, enrolled, probes)
    rows: dict[str, dict[int, list[dict[str, float]]]] = {name: {n: [] for n in CLIENTS} for name in ("graph", "plain")}
    with Progress("serve", total=config.rounds * 2 * len(CLIENTS), unit="measurements", write=to_stderr) as progress:
        for _ in range(config.rounds):
            with graph(config, folder, in_flight=64) as url:
                enrol(url, enrolled)
                for clients in CLIENTS:
                    rows["graph"][clients].append(load(url, probes, clients, config.seconds))
                    progress.add(1)
            with plain(config, folder, *best) as url:
                enrol(url, enrolled)
                for clients in CLIENTS:
                    rows["plain"][clients].append(load(url, probes, clients, config.seconds))
                    progress.add(1)
    with graph(config, folder, in_flight=8) as url:
        enrol(url, enrolled)
        capacity = load(url, probes, 8, config.seconds)
        overload = load(url, probes, 16, config.seconds)
    shutil.rmtree(folder)
    middle = {name: {n: median(found) for n, found in one.items()} for name, one in rows.items()}
    return {
        "cores": os.cpu_count(),
        "plain_threads": {"photos_at_a_time": best[0], "threads_each": best[1]},
        "graph": list(middle["graph"].values()),
        "plain": list(middle["plain"].values()),
        "throughput_ratio_at_8": middle["graph"][8]["photos_a_second"] / middle["plain"][8]["photos_a_second"],
        "p50_ratio_at_1": {
            kind: middle["graph"][1][f"p50_{kind}_ms"] / middle["plain"][1][f"p50_{kind}_ms"]
            for kind in ("bare", "masked")
        },
        "at_capacity": capacity,
        "at_twice_capacity": overload,
    }


def main() -> None:
    print(json.dumps(measure(parse(BenchmarkConfig, __doc__ or "")), indent=1))


if __name__ == "__main__":
    run(main)
