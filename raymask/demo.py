"""The whole main job on invented people: faces, masks, training, evaluation, report, an answer over HTTP.

What is trained in these minutes is measured beside the models that come with raymask, and those answer over HTTP.
"""

from __future__ import annotations

import json
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raymask.data.format.splits import SplitConfig
from raymask.data.prepare.config import PrepareConfig
from raymask.data.prepare.run import prepare
from raymask.data.reading.sampler import SamplerConfig
from raymask.demo_faces import write_demo_faces
from raymask.errors import ConfigError, NoFaceError
from raymask.evaluate.calibrate_config import FuseConfig
from raymask.evaluate.config import EvaluateConfig, ProtocolName
from raymask.models.config import MaskFaceNetConfig
from raymask.models.shipped import SHIPPED
from raymask.models.spec import SHIPPED_NAMES
from raymask.progress import Progress
from raymask.train.engine.config import LossConfig, OptimiserConfig, TrainConfig
from raymask.train.staged.inpainter_config import StagesConfig, TrainInpainterConfig
from raymask.train.staged.segmenter_config import TrainSegmenterConfig

BASELINE = "dlib"
"""The bare-face recogniser that masks are taken off for, and that the inpainter learns from."""
TEST_PHOTOS = 6
"""Photos of each test person, the fewest that a batch takes: each is embedded bare and masked, by every recogniser."""
SERVED_PEOPLE = 8
"""Test people who are enrolled with the service."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """How large the demonstration is."""

    out: str = "out/demo"
    """Folder for everything that it makes."""
    people: int = 80
    """Invented people; a quarter of them are kept for the test."""
    photos: int = 10
    """Photos of each person."""
    epochs: int = 16
    """Passes over the training photos."""
    segmenter_steps: int = 60
    """Batches of 16 photos that the segmenter goes on learning from."""
    inpainter_steps: int = 72
    """Batches of 8 photos that the inpainter goes on learning from, in four stages."""
    workers: int = 2
    """Training processes, and processes that prepare photos."""
    seed: int = 0
    """Decides the people, their photos, their masks and the training."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed must be 0 or more, not {self.seed}")
        if self.people < 8:
            raise ConfigError(f"people must be 8 or more, not {self.people}")
        if self.segmenter_steps < 1 or self.inpainter_steps < 6:
            raise ConfigError("segmenter_steps must be 1 or more, inpainter_steps 6 or more")
        if self.photos < 6:
            raise ConfigError(f"photos must be 6 or more, not {self.photos}")


def write_faces(root: str | Path, *, people: int, photos: int, seed: int) -> Path:
    """Render invented people into ROOT/IDENTITY/*.jpg, with progress; what is there already stays."""
    with Progress("demo faces", total=people * photos, unit="photos") as progress:
        done = 0

        def report(now: int, total: int) -> None:
            nonlocal done
            progress.add(now - done)
            done = now

        return write_demo_faces(root, people=people, photos=photos, seed=seed, report=report)


def run_demo(config: DemoConfig) -> None:
    """Each step as a job would run it, with the command that runs it alone; started again, it continues."""
    from raymask.evaluate.calibrate import fuse
    from raymask.evaluate.run import evaluate
    from raymask.train.on_ray.trainer import train_on_ray

    out = Path(config.out)
    faces, prepared = str(out / "faces"), str(out / "prepared")
    _say(f"1 of 8: invent people  (jobs/demo_faces.py --out {faces})")
    write_faces(faces, people=config.people, photos=config.photos, seed=config.seed)

    _say(f"2 of 8: find faces, draw masks, crop, split  (jobs/prepare.py --images {faces} --out {prepared})")
    split = SplitConfig(
        validation=max(2, config.people // 10), test=config.people // 4, least_photos=6, seed=config.seed
    )
    prepare(PrepareConfig(images=faces, out=prepared, split=split, seed=config.seed, workers=config.workers))
    print(f"look at {prepared}/sheet.png")

    _say(f"3 of 8: train a MaskFaceNet on {config.workers} workers  (jobs/train.py --data {prepared} ...)")
    embedder, _ = train_on_ray(training(config, prepared))

    _say("4 of 8: train a segmenter, which finds masks  (jobs/train_segmenter.py)")
    segmenter, _ = train_on_ray(segmenter_training(config, prepared))

    _say("5 of 8: train an inpainter, which paints the face behind them  (jobs/train_inpainter.py)")
    inpainter, _ = train_on_ray(inpainter_training(config, prepared))
    unmasked = f"mrii:{segmenter},{inpainter}"

    _say("6 of 8: fuse both ways, calibrated on validation people  (jobs/fuse.py)")
    parts = (f"bundle:{embedder}", f"{unmasked},{BASELINE}")
    fused = fuse(
        FuseConfig(recognisers=parts, images=faces, people=f"{prepared}/splits.json:val", out=str(out / "fused"))
    )

    _say("7 of 8: evaluate on people they have never seen, in masks they have never seen  (jobs/evaluate.py)")
    people = (BASELINE, *SHIPPED_NAMES, *parts, f"fused:{fused.folder}")
    pictures = (f"{unmasked},bundle:{embedder}",)  # judged by another network than the inpainter learned from
    rows: dict[ProtocolName, tuple[str, ...]] = {"batch": people, "gallery": people, "unmask": pictures}
    for protocol, recognisers in rows.items():
        done = evaluate(
            EvaluateConfig(
                recognisers=recognisers,
                images=faces,
                people=f"{prepared}/splits.json:test",
                protocol=protocol,
                out=str(out / protocol),
                max_photos=TEST_PHOTOS,
                seed=config.seed,
            )
        )
        print(done.text(), flush=True)
    _say("8 of 8: identify a masked person over HTTP  (serve run serve_configs/identify.yaml)")
    identify_one(str(SHIPPED / "fused"), faces, json.loads((out / "prepared" / "splits.json").read_text()), out)
    reports = " and ".join(str((out / protocol / "report.html").resolve()) for protocol in rows)
    _say(f"done; open {reports}")


def identify_one(fused: str, faces: str, splits: dict[str, str], out: Path) -> dict[str, Any]:
    """Start the service on the models of `fused`, enrol the test people, ask who one of them is, in a mask.

    Returns:
        What the service answered.
    """
    from raymask.serve.on_ray.run_local import post_photo, running

    gallery = out / "service-gallery"
    shutil.rmtree(gallery, ignore_errors=True)
    people = sorted(person for person, split in splits.items() if split == "test")[:SERVED_PEOPLE]
    photos = {person: sorted((Path(faces) / person).glob("*.jpg")) for person in people}
    person, masked = _masked_photo(photos)
    with running({"models": {"fused": fused}, "gallery": str(gallery)}, port=free_port()) as url:
        for name, (enrolled, *_) in photos.items():
            post_photo(f"{url}/v1/identities/{name}/photos", enrolled.read_bytes())
        time.sleep(1)  # after which searches see what was acknowledged
        print(f"{len(people)} people enrolled, a bare photo of each; who is {person}, in a mask?", flush=True)
        answer = post_photo(f"{url}/v1/identify", masked)
    (face,) = answer["faces"]
    print(f"masked: {face['masked']}, {face['coverage']:.0%} of the face covered; decision: {face['decision']}")
    for candidate in face["candidates"]:
        mark = "  <- it is" if candidate["identity"] == person else ""
        print(f"  {candidate['score']:.3f}  {candidate['identity']}{mark}")
    return answer


def _masked_photo(photos: dict[str, list[Path]]) -> tuple[str, bytes]:
    """Another photo of somebody with a mask drawn on it, under which the face is found; and whose it is."""
    from raymask.faces import detect, draw_mask, subject
    from raymask.faces.images import decode_photo, encode_png

    for person, (_, *others) in photos.items():
        for seed, path in enumerate(others):
            photo = decode_photo(path.read_bytes(), path.name)
            face = subject(detect(photo), photo.shape)
            masked = photo if face is None else draw_mask(photo, face.landmarks, "cloth:tartan", seed)[0]
            if face is not None and len(detect(masked)) == 1:
                return person, encode_png(masked)
    raise NoFaceError("no face of the test people is found under a mask; make the demonstration larger")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def training(config: DemoConfig, prepared: str) -> TrainConfig:
    """A small, fast MaskFaceNet with the paper's loss; what differs from the paper's settings, and why, stands here."""
    return TrainConfig(
        data=prepared,
        storage=f"{config.out}/runs",
        name="demo",
        workers=config.workers,
        epochs=config.epochs,
        seed=config.seed,
        model=MaskFaceNetConfig(backbone="resnet18", input_size=96, dropout=0.1),  # minutes on two CPU cores
        batch=SamplerConfig(),
        loss=LossConfig(mining="all", margin=0.1),  # what a search on real faces favours (docs/measured.md)
        optimiser=OptimiserConfig(momentum=0.9, weight_decay=5e-4, drop_every=config.epochs // 2, warmup_steps=20),
    )


def segmenter_training(config: DemoConfig, prepared: str) -> TrainSegmenterConfig:
    """Begins with the segmenter that comes with raymask, so that a minute is enough."""
    return TrainSegmenterConfig(
        data=prepared,
        storage=f"{config.out}/runs",
        name="segmenter",
        start=str(SHIPPED / "segmenter"),
        workers=config.workers,
        steps=config.segmenter_steps,
        batch=16,
        learning_rate=5e-4,
        seed=config.seed,
        validation_photos=40,
    )


def inpainter_training(config: DemoConfig, prepared: str) -> TrainInpainterConfig:
    """A glimpse of each stage, for the inpainter that comes with raymask."""
    steps = config.inpainter_steps
    return TrainInpainterConfig(
        data=prepared,
        storage=f"{config.out}/runs",
        name="inpainter",
        start=str(SHIPPED / "inpainter"),
        teacher=BASELINE,
        workers=config.workers,
        stages=StagesConfig(edges=steps // 6, image=steps // 6, drawn=steps // 2, joint=steps // 6),
        learning_rate=1e-4,
        seed=config.seed,
        validation_photos=40,
    )


def _say(line: str) -> None:
    print(f"\n== {line}", flush=True)
