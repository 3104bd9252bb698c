"""What each part of the recipe `presets/best.yaml` is worth: trainings of equal minutes, each with one thing changed.

    python benchmarks/ablation.py --data PREPARED --images PHOTOS --teacher onnx:FILE [--minutes 10] [--out FOLDER]

Each row is trained with two seeds, side by side, a thread each, for so many minutes after its teachers were asked, and
measured on the validation people's whole photos in masks of training: rank-1 in protocol gallery, with a crowd of the
training people enrolled beside them, since among 20 people alone nearly every photo is found. What is done is kept in
FOLDER/ablation.json, and the same command goes on from there. JSON on standard output.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raymask.cli import parse, run
from raymask.data.crops import CropStore
from raymask.data.photos import list_photos
from raymask.data.sampler import PKSampler
from raymask.data.storage import Folder
from raymask.errors import ConfigError
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import embed_probes
from raymask.evaluate.people import choose_crowd, choose_photos
from raymask.evaluate.probes import Probes
from raymask.evaluate.recognisers import load_recogniser
from raymask.evaluate.trial_gallery import GalleryTrial
from raymask.faces.masks.looks import TRAIN_LOOKS
from raymask.models.bundle import save_bundle
from raymask.models.embedder import MaskFaceNet
from raymask.train.around import Surroundings
from raymask.train.checkpoints import State
from raymask.train.config import DistilConfig, LoopConfig, LossConfig, SoftmaxConfig, TrainConfig
from raymask.train.loop import train, with_morphs
from raymask.train.targets import Targets, Told

ROOT = Path(__file__).parent.parent
PEOPLE = str(Path(__file__).parent / "lfw_splits.json")
_TRIAL_SECONDS = 20.0
"""Of training, by which is known how many epochs fit into the minutes."""

Change = Callable[[LoopConfig], LoopConfig]

RECIPES: Mapping[str, Change] = {
    "best": lambda c: c,
    "random weights at first": lambda c: replace(c, init=None, optimiser=_all_alike(c)),
    "dlib's network as the only teacher": lambda c: _one_teacher(c, 0),
    "mobilefacenet as the only teacher": lambda c: _one_teacher(c, 1),
    "quintuplets alone": lambda c: _untaught(c, loss=LossConfig(mining="all")),
    "margin softmax alone": lambda c: _untaught(c, softmax=SoftmaxConfig(weight=1)),
    "quintuplets beside (0.5)": lambda c: replace(c, loss=LossConfig(mining="all", weight=0.5)),
    "margin softmax beside (0.1)": lambda c: replace(c, softmax=SoftmaxConfig(weight=0.1)),
    "without contrast": lambda c: replace(c, distil=DistilConfig()),
    "masks as prepared": lambda c: replace(c, remask=False),
    "faces not altered": lambda c: replace(c, alter=False),
    "faces in the detector's box": lambda c: replace(c, model=replace(c.model, alignment="box")),
    "112 pixels": lambda c: replace(c, model=replace(c.model, input_size=112)),
    "head of Table 1": lambda c: replace(c, model=replace(c.model, head="table1")),
    "resnet50 with the head of Table 1": lambda c: _of_the_paper(c),
    "with 10,000 morphs": lambda c: replace(c, morphs=MORPHS),
    "the first try": lambda c: _first_try(c),
}
"""What is changed, by the row's name."""

IN_USE: Mapping[str, Mapping[str, Any]] = {
    "best, not tilted": {"tilted": 0.0},
    "best, neither tilted nor mirrored": {"tilted": 0.0, "mirrored": False},
    "best, last weights instead of their mean": {},
}
"""What is changed in the use of the networks of the row `best`, by the row's name: its model's settings."""

MORPHS = 10_000


def _all_alike(config: LoopConfig) -> Any:
    return replace(config.optimiser, learning_rate=1e-3, convolutions=1.0, affine=1.0)


def _one_teacher(config: LoopConfig, place: int) -> LoopConfig:
    model = replace(config.model, parts=1, embedding_size=128)
    return replace(config, teachers=(config.teachers[place],), model=model)


def _untaught(config: LoopConfig, **losses: Any) -> LoopConfig:
    """Without teachers people with one photo teach little: a batch takes several photos of each."""
    model = replace(config.model, parts=1)
    batch = replace(config.batch, people=16, bare=2, masked=2)
    return replace(config, teachers=(), model=model, batch=batch, **losses)


def _first_try(config: LoopConfig) -> LoopConfig:
    """As a first try of 24 minutes did, as far as this training can: plain masks in any colour, nothing averaged, each
    face seen once in use. It contrasted mobilefacenet's part alone."""
    model = replace(config.model, mirrored=False, tilted=0.0)
    plain = ("cloth:plain", "surgical:spunbond")
    return replace(config, masks=plain, model=model, optimiser=replace(config.optimiser, average=0.0))


def _of_the_paper(config: LoopConfig) -> LoopConfig:
    model = replace(config.model, backbone="resnet50", head="table1", input_size=112)
    return replace(config, init=None, model=model, optimiser=_all_alike(config))


@dataclass(frozen=True, kw_only=True)
class AblationConfig:
    """What to train, and for how long."""

    data: str | None = None
    """Folder made by jobs/prepare.py with benchmarks/lfw_splits.json; null: nothing is measured."""
    images: str = ""
    """The whole photos that it was made of."""
    teacher: str = ""
    """The second teacher, as onnx:FILE."""
    minutes: float = 10.0
    """Of each training."""
    seeds: tuple[int, ...] = (0, 1)
    """A training each, at the same time."""
    rows: tuple[str, ...] = tuple(RECIPES)
    """Which of the recipes."""
    max_photos: int = 30
    """Of each validation person, at most."""
    crowd: int = 400
    """People more who are enrolled."""
    out: str = "out/ablation"
    """Folder for what is done."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.rows if name not in RECIPES]
        if unknown:
            raise ConfigError(f"rows {', '.join(unknown)} are unknown; choose of: {'; '.join(RECIPES)}")
        if self.data is not None and not (self.images and self.teacher):
            raise ConfigError("ablation needs --images and --teacher beside --data")


def measure(config: AblationConfig) -> dict[str, Any]:
    """All rows, by name and seed."""
    file = Path(config.out) / "ablation.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    done = _done(config, file)
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "targets.pt"
        torch.save(_targets(config), told)
        context = multiprocessing.get_context("spawn")
        for name in config.rows:
            with ProcessPoolExecutor(len(config.seeds), mp_context=context) as pool:
                missing = [seed for seed in config.seeds if f"{name}, seed {seed}" not in done]
                tasks = {seed: pool.submit(one, config, name, seed, str(told)) for seed in missing}
                for seed, task in tasks.items():
                    for row, result in task.result().items():
                        done[f"{row}, seed {seed}"] = result
                        say(f"{row}, seed {seed}: {result}")
                    file.write_text(json.dumps({"settings": _settings(config), "done": done}, indent=1) + "\n")
    return done


def _settings(config: AblationConfig) -> dict[str, Any]:
    """What a result hangs on beside its row and seed."""
    return {name: getattr(config, name) for name in ("data", "images", "teacher", "minutes", "max_photos", "crowd")}


def _done(config: AblationConfig, file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    kept = json.loads(file.read_text())
    if kept["settings"] != _settings(config):
        raise ConfigError(f"{file} holds results of other settings; choose another --out")
    return dict(kept["done"])


def _base(config: AblationConfig, seed: int) -> LoopConfig:
    words = ["--config", str(ROOT / "presets" / "best.yaml"), "--storage", "unused", "--name", "unused"]
    words += ["--data", str(config.data), "--seed", str(seed), "--teachers", f"dlib,{config.teacher}"]
    return replace(parse(TrainConfig, "", words).loop(), validation_photos=0)


def _targets(config: AblationConfig) -> Tensor:
    """What both teachers make of all photos, asked once for all rows."""
    base, store = _base(config, 0), CropStore(str(config.data), "train")
    asked = Targets.ask(base.teachers, store, base.model, torch.device("cpu"))
    assert asked is not None  # nobody stops it
    return asked(np.arange(len(store)))


def one(config: AblationConfig, name: str, seed: int, told: str) -> dict[str, dict[str, Any]]:
    """Train and measure one recipe with one seed; of `best` also what else its networks may do in use."""
    sys.stdout = sys.stderr  # of this process: the other's standard output is JSON
    torch.set_num_threads(1)
    base = _base(config, seed)
    chosen = RECIPES[name](base)
    targets = _chosen_targets(base, chosen, torch.load(told, weights_only=True))
    clock = _Clock(_TRIAL_SECONDS)
    train(replace(chosen, epochs=10**6), Surroundings(stop=clock), targets=targets)
    sampler = PKSampler(with_morphs(CropStore(chosen.data, "train"), chosen).identities, chosen.batch, seed=seed)
    epochs = max(1, round(60 * config.minutes * clock.rate / sampler.steps))
    begun, last = time.perf_counter(), MaskFaceNet(chosen.model)

    def keep(state: State) -> None:
        last.load_state_dict(state["model"])

    network = train(replace(chosen, epochs=epochs), Surroundings(save=keep), targets=targets).network
    minutes = (time.perf_counter() - begun) / 60
    measured = {name: rank1(config, network)}
    if name == "best":
        for row, settings in IN_USE.items():
            measured[row] = rank1(config, _used(network if settings else last, settings))
    seen = {"photos": sum(sampler.photos(epoch) for epoch in range(epochs)), "minutes": round(minutes, 1)}
    return {row: dict(zip(("bare", "masked"), found, strict=True)) | seen for row, found in measured.items()}


def _chosen_targets(base: LoopConfig, chosen: LoopConfig, rows: Tensor) -> Told | None:
    """Of the recipe's teachers; `rows`: what both make of the photos."""
    if not chosen.teachers:
        return None
    if chosen.morphs:
        store = with_morphs(CropStore(chosen.data, "train"), chosen)
        return Targets.ask(chosen.teachers, store, chosen.model, torch.device("cpu"))
    if len(chosen.teachers) == 1:
        size = chosen.model.embedding_size
        start = base.teachers.index(chosen.teachers[0]) * size
        rows = rows[:, start : start + size]
    return Targets(rows)


def _used(network: MaskFaceNet, settings: Mapping[str, Any]) -> MaskFaceNet:
    """A network of the same weights that is used otherwise."""
    other = MaskFaceNet(replace(network.config, **settings))
    other.load_state_dict(network.state_dict())
    return other


class _Clock:
    """Asks a training to stop after so many seconds, and knows how many steps a second it did."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._steps, self._begun = seconds, 0, 0.0
        self.rate = 0.0

    def __call__(self) -> bool:
        now = time.perf_counter()
        if self._steps == 3:  # the first are slower
            self._begun = now
        self._steps += 1
        if self._steps <= 4 or now - self._begun < self._seconds:
            return False
        self.rate = (self._steps - 4) / (now - self._begun)
        return True


def rank1(config: AblationConfig, network: MaskFaceNet) -> tuple[float, float]:
    """Of bare and masked photos of the validation people, percent."""
    with tempfile.TemporaryDirectory() as folder:
        spec = f"bundle:{save_bundle(Path(folder) / 'bundle', network, preprocessing={})}"
        recogniser = load_recogniser(spec)
    asked = EvaluateConfig(
        protocol="gallery",
        recognisers=(spec,),
        images=config.images,
        people=f"{PEOPLE}:val",
        out="",
        max_photos=config.max_photos,
        crowd=config.crowd,
    )
    everybody = list_photos(Folder(config.images))[0]
    photos, _ = choose_photos(everybody, asked, least=2)
    trial = GalleryTrial(photos, draws=asked.draws, seed=0, crowd=choose_crowd(everybody, asked))
    probes = Probes(Folder(config.images), masks=TRAIN_LOOKS, seed=0)
    scored = trial.score(embed_probes(trial.probes, probes, {spec: recogniser})[spec])
    alike = np.ones((1, len(trial.people)))
    found = {one.key: 100 * float(one.statistic(alike)[0]) for one in scored.measures}
    return round(found["rank1_bare"], 2), round(found["rank1_masked"], 2)


def table(done: Mapping[str, Any], rows: Sequence[str], seeds: Sequence[int]) -> str:
    """Rows as Markdown: rank-1 of masked and bare photos, each seed."""
    lines = ["| | masked | bare | photos seen |", "|---|---|---|---|"]
    for name in [*rows, *(IN_USE if "best" in rows else ())]:
        found = [done[f"{name}, seed {seed}"] for seed in seeds if f"{name}, seed {seed}" in done]
        if not found:
            continue
        cells = [" / ".join(f"{one[key]:.1f}" for one in found) for key in ("masked", "bare")]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {sum(one['photos'] for one in found) // len(found):,} |")
    return "\n".join(lines)


def say(text: str) -> None:
    """On the terminal, beside the JSON."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    config = parse(AblationConfig, __doc__ or "")
    if config.data is None:
        print(json.dumps({"skipped": "ablation needs --data, --images and --teacher: faces of real people"}))
        return
    with redirect_stdout(sys.stderr):  # progress
        done = measure(config)
    say(table(done, config.rows, config.seeds))
    print(json.dumps(done, indent=1))


if __name__ == "__main__":
    run(main)
