"""Photos a second of a training: with Ray Train, without Ray, on data already in memory, and in masks drawn afresh at
each visit (`--remask`); JSON out.

All of them take the same batches through the same loop, in turns, each in a fresh process; the first steps of each are
left out. Beside it: what gradient caching costs over gradient accumulation, and how much of the matrix peak is used.
"""

import argparse
import contextlib
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from raymask.data.reading.joined import open_crops
from raymask.data.reading.sampler import PKSampler, SamplerConfig
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.storage import Folder
from raymask.train.embedder.grad_cache import Chunk, learn
from raymask.train.embedder.loader import batches
from raymask.train.embedder.loop import train
from raymask.train.embedder.objective import Objective
from raymask.train.engine.checkpoints import Checkpoints
from raymask.train.engine.config import LoopConfig, LossConfig, TrainConfig, WatchConfig
from raymask.train.engine.distributed import World, prepare_batch_norm, settle_statistics
from raymask.train.engine.hooks import LoopHooks
from raymask.train.engine.run_log import open_run_log
from raymask.train.engine.tensorboard import TENSORBOARD

WARM = 3
"""Steps of a run that do not count."""


def run_settings(options: argparse.Namespace, name: str) -> TrainConfig:
    return TrainConfig(
        data=options.data,
        storage=options.storage,
        name=name,
        cpus_per_worker=options.threads,
        gpu=torch.cuda.is_available(),
        epochs=options.epochs,
        validation_photos=0,
        precision=options.precision,
        model=MaskFaceNetConfig(backbone=options.backbone, input_size=options.input_size),
        batch=SamplerConfig(people=options.people),
        loss=LossConfig(mining="all"),
        watch=WatchConfig(every=1),
    )


def with_ray(config: TrainConfig) -> None:
    from raymask.train.on_ray.trainer import train_on_ray

    train_on_ray(config)


def without_ray(config: TrainConfig) -> None:
    """The loop alone, with the checkpoints and the curves that Ray's first worker makes too."""
    torch.set_num_threads(config.cpus_per_worker)
    run = Folder(f"{config.storage}/{config.name}")
    device = torch.device("cuda" if config.gpu else "cpu")
    with open_run_log(config.watch, run, settings=asdict(config.loop()), resume=None) as run_log, _to_stderr():
        train(config.loop(), LoopHooks(save=Checkpoints(run).save, run_log=run_log), device=device)


def in_memory(config: TrainConfig) -> None:
    """The same once more, with all batches decoded before the training begins."""
    store = open_crops(config.data, "train")
    sampler = PKSampler(store.identities, config.batch, seed=config.seed)
    world, device = World(0, 1), torch.device("cuda" if config.gpu else "cpu")
    ready = [
        list(batches(config.loop(), store, sampler, epoch=epoch, start=0, world=world, device=device))
        for epoch in range(config.epochs)
    ]
    with mock.patch("raymask.train.embedder.loop.batches", lambda *_, epoch, **__: iter(ready[epoch])):
        without_ray(config)


def fresh_masks(config: TrainConfig) -> None:
    """The loop alone, which draws the masks of its batches itself."""
    without_ray(replace(config, remask=True))


def seconds_a_step(config: TrainConfig) -> float:
    """Mean time from step to step, checkpoints and ends of epochs included, by the clock in the run's curves."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(f"{config.storage}/{config.name}/{TENSORBOARD}", size_guidance={"scalars": 0}).Reload()
    times = [point.wall_time for point in curves.Scalars("rate/learning_rate")][WARM:]
    return (times[-1] - times[0]) / (len(times) - 1)


def rates(options: argparse.Namespace) -> dict[str, Any]:
    """Photos a second of each way by round, and the ratios."""
    ways: dict[str, Callable[[TrainConfig], None]] = {
        "without_ray": without_ray,
        "in_memory": in_memory,
        "fresh_masks": fresh_masks,
    }
    if find_spec("ray"):
        ways = {"with_ray": with_ray} | ways
    store = open_crops(options.data, "train")
    sampler = PKSampler(store.identities, SamplerConfig(people=options.people), seed=0)
    photos = statistics.mean(sampler.photos(epoch) for epoch in range(options.epochs)) / sampler.steps
    rounds = []
    for number in range(options.rounds):
        found = {}
        for name, way in ways.items():
            config = run_settings(options, f"{name}-{number}")
            print(f"round {number + 1}/{options.rounds}: {name}", file=sys.stderr, flush=True)
            if way is with_ray:
                with _to_stderr():
                    way(config)
            else:
                with multiprocessing.get_context("spawn").Pool(1) as fresh:
                    fresh.apply(way, (config,))
            found[name] = round(photos / seconds_a_step(config), 2)
        rounds.append(found)
    ratios = {}
    if "with_ray" in ways:
        ratios["with_ray/without_ray"] = _ratio(rounds, "with_ray", "without_ray")
    ratios["without_ray/in_memory"] = _ratio(rounds, "without_ray", "in_memory")
    ratios["fresh_masks/without_ray"] = _ratio(rounds, "fresh_masks", "without_ray")
    steps = options.epochs * sampler.steps - WARM
    return {"photos_a_step": round(photos, 1), "steps_a_round": steps, "photos_per_second": rounds, "ratios": ratios}


def _ratio(rounds: list[dict[str, float]], above: str, below: str) -> float:
    """Of the sums over all rounds: drift of the machine falls on both alike."""
    return round(sum(1 / way[below] for way in rounds) / sum(1 / way[above] for way in rounds), 4)


def caching(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a step over one batch in chunks: gradient caching, and accumulation, where each chunk is a batch."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count, size, chunk = (2048, 224, 128) if device.type == "cuda" else (128, 112, 32)
    network = MaskFaceNet(MaskFaceNetConfig(input_size=size)).train().to(device).to(memory_format=torch.channels_last)
    prepare_batch_norm(network, chunked=True)
    pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
    places = torch.arange(count)
    number = count // chunk
    chunks = [Chunk(n, pixels[n::number], places[n::number] // 8, places[n::number] % 2 == 0) for n in range(number)]
    loss = partial(Objective(LoopConfig(data="none", loss=LossConfig(mining="all"))), epoch=0)
    half = torch.bfloat16 if options.precision == "bfloat16" else None

    def cached() -> None:
        learn(network, chunks, loss, seed=(0, 0), device=device, precision=half)

    def accumulated() -> None:
        for part in chunks:
            learn(network, [part], loss, seed=(0, 0), device=device, precision=half)

    times: dict[str, list[float]] = {"cached": [], "accumulated": []}
    for _ in range(options.rounds + 1):
        for name, step in (("cached", cached), ("accumulated", accumulated)):
            start = time.perf_counter()
            step()
            settle_statistics(network, number)
            network.zero_grad()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    cached_s, accumulated_s = (statistics.median(taken[1:]) for taken in times.values())
    by_round = [a / b for a, b in zip(times["cached"][1:], times["accumulated"][1:], strict=True)]
    return {
        "photos": count,
        "pixels": size,
        "chunk": chunk,
        "cached_seconds": round(cached_s, 3),
        "accumulated_seconds": round(accumulated_s, 3),
        "ratio": round(statistics.median(by_round), 3),
    }


def share_of_peak(options: argparse.Namespace, photos_per_second: float) -> dict[str, float]:
    """Operations of the network's forward and backward pass at this rate, beside those of a large matrix product."""
    from torch.utils.flop_counter import FlopCounterMode

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if options.precision == "bfloat16" else torch.float32
    network = MaskFaceNet(MaskFaceNetConfig(backbone=options.backbone, input_size=options.input_size)).train()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 3, options.input_size, options.input_size, dtype=torch.uint8)).sum().backward()
    each = counter.get_total_flops() / 2
    side = 8192 if device.type == "cuda" else 2048
    a, b = torch.randn(2, side, side, device=device, dtype=dtype).unbind()
    best = 0.0
    for _ in range(10):
        start = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return {
        "gflop_a_photo": round(each / 1e9, 2),
        "matrix_peak_gflop_per_second": round(best / 1e9),
        "share": round(photos_per_second * each / best, 3),
    }


@contextlib.contextmanager
def _to_stderr() -> Iterator[None]:
    """Standard output is for the figures."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def invented(folder: str) -> str:
    """A prepared folder of invented people, all to train on."""
    from raymask.data.format.splits import SplitConfig
    from raymask.data.prepare.config import PrepareConfig
    from raymask.data.prepare.run import prepare
    from raymask.demo_faces import write_demo_faces

    with _to_stderr():
        faces = write_demo_faces(Path(folder) / "faces", people=40, photos=12, seed=0)
        out = f"{folder}/prepared"
        prepare(PrepareConfig(images=str(faces), out=out, split=SplitConfig(validation=0, test=0)))
    return out


def main() -> None:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", default="", help="folder made by jobs/prepare.py; 480 invented photos if not given")
    parser.add_argument("--backbone", default="resnet50" if gpu else "resnet18", help="as --model.backbone")
    parser.add_argument("--input-size", type=int, default=224 if gpu else 112, help="as --model.input-size")
    parser.add_argument("--precision", default="bfloat16" if gpu else "float32", help="as --precision")
    parser.add_argument("--people", type=int, default=20, help="people in a batch, 6 photos each")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the data in a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; ratios are over all of them")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of the training")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if find_spec("ray"):
        import ray

        ray.init("local", log_to_driver=False, include_dashboard=False, num_cpus=options.threads)
    with tempfile.TemporaryDirectory() as folder:
        options.storage = f"{folder}/runs"
        options.data = str(Path(options.data).resolve()) if options.data else invented(folder)
        found = rates(options)
    cost = caching(options)
    peak = share_of_peak(options, statistics.median(way["without_ray"] for way in found["photos_per_second"]))
    settings = {key: value for key, value in vars(options).items() if key not in ("data", "storage")}
    machine = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name() if gpu else None}
    results = {"machine": machine, "settings": settings, **found, "gradient_caching": cost, "matrix_peak": peak}
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
