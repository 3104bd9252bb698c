"""What each part of the recipe `presets/best.yaml` is worth: trainings of equal minutes, each with one thing changed.

    python benchmarks/ablation.py --data PREPARED --images PHOTOS --teacher onnx:FILE [--minutes 10] [--out FOLDER]

How fast each row learns here is measured first, of all in one go, with two seeds side by side, a thread each. Then
each is trained with two seeds for the whole epochs that come nearest to so many minutes: what else the machine does
then makes a training longer and takes nothing from it. In the end all are measured on the validation people's whole
photos, in masks of training: rank-1 in protocol gallery, with a crowd of the training people enrolled beside them,
since among 20 people alone nearly every photo is found. What is done is kept in FOLDER/ablation.json, and the same
command goes on from there. JSON on standard output.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raymask.cli import parse, run
from raymask.data.crops import Crops
from raymask.data.joined import open_crops
from raymask.data.photos import list_photos
from raymask.data.prepare import PLAN
from raymask.data.storage import Folder
from raymask.errors import ConfigError, TrainingError
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import embed_probes
from raymask.evaluate.people import choose_crowd, choose_photos
from raymask.evaluate.probes import Probes
from raymask.evaluate.recognisers import load_recogniser
from raymask.evaluate.trial_gallery import GalleryTrial
from raymask.faces.masks.looks import TRAIN_LOOKS
from raymask.models.bundle import save_bundle
from raymask.models.embedder import MaskFaceNet
from raymask.models.parts import Spec, weights_digest
from raymask.train.around import Surroundings
from raymask.train.checkpoints import State
from raymask.train.config import DistilConfig, LoopConfig, LossConfig, SoftmaxConfig, TrainConfig
from raymask.train.loop import sampler_of, train, with_morphs
from raymask.train.targets import Targets, Told

ROOT = Path(__file__).parent.parent
PEOPLE = str(Path(__file__).parent / "lfw_splits.json")
_TRIAL_SECONDS = 20.0
"""Of training, by which is known how fast a recipe is."""

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
    "half of each batch morphs": lambda c: _with_morphs(c),
    "the first try": lambda c: _first_try(c),
}
"""What is changed, by the row's name."""

IN_USE: Mapping[str, Mapping[str, Any]] = {
    "best, not tilted": {"tilted": 0.0},
    "best, neither tilted nor mirrored": {"tilted": 0.0, "mirrored": False},
    "best, last weights instead of their mean": {},
}
"""What is changed in the use of the networks of the row `best`, by the row's name: its model's settings."""


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


def _with_morphs(config: LoopConfig) -> LoopConfig:
    """As many faces a batch as without."""
    return replace(config, morphs=5_000, batch=replace(config.batch, people=18))


def _first_try(config: LoopConfig) -> LoopConfig:
    """As a first try of 24 minutes did, as far as this training can: plain masks in any colour, low rates, nothing
    averaged, each face seen once in use. It contrasted mobilefacenet's part alone, and normalised nothing."""
    model = replace(config.model, mirrored=False, tilted=0.0)
    plain = ("cloth:plain", "surgical:spunbond")
    rates = replace(config.optimiser, learning_rate=3e-3, convolutions=0.01, affine=0.3, average=0.0)
    return replace(config, masks=plain, model=model, optimiser=rates)


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
    """Which of the recipes to train."""
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
    """All that was trained, by row and seed: photos seen, minutes, and percent of bare and masked photos found."""
    kept = _Kept.read(config)
    unknown = [name for name in RECIPES if name not in kept.steps_per_second]
    for name in [*unknown, *unknown]:  # two rounds, of which the better counts: a machine is slow by turns
        rates = [rate for _, rate in _side_by_side(speed, config.seeds, config, name)]
        kept.steps_per_second[name] = max(kept.steps_per_second.get(name, 0), sum(rates) / len(rates))
        say(f"{name}: {kept.steps_per_second[name]:.2f} steps a second")
    kept.save()
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "targets.pt"
        if any(kept.lacking(name) for name in config.rows):
            torch.save(_targets(config), told)
        for name in config.rows:
            seconds = kept.steps_per_second[name], str(told)
            for seed, runs in _side_by_side(one, kept.lacking(name), config, name, *seconds):
                kept.runs |= runs
                say(f"{_run(name, seed)}: {runs[_run(name, seed)]}")
                kept.save()
    for name, found in rank1(config, kept.unmeasured).items():
        kept.runs[name] |= found
    kept.save()
    return kept.runs


def _side_by_side(work: Callable[..., Any], seeds: Sequence[int], config: AblationConfig, *given: Any) -> Iterator[Any]:
    """(seed, what the work gives) as they are done, each in a process of its own."""
    if not seeds:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(seeds), mp_context=context) as pool:
        tasks = {pool.submit(work, config, seed, *given): seed for seed in seeds}
        for task in as_completed(tasks):
            yield tasks[task], task.result()


def _rows_of(name: str) -> list[str]:
    """What a training of this row is measured as."""
    return [name, *IN_USE] if name == "best" else [name]


def _run(name: str, seed: int) -> str:
    return f"{name}, seed {seed}"


@dataclass
class _Kept:
    """What is done: a file, and beside it a bundle of each run."""

    config: AblationConfig
    settings: dict[str, Any]
    """What a result hangs on beside its recipe and seed."""
    recipes: dict[str, Any]
    """Settings of each row's training; of rows that there are no more, too."""
    steps_per_second: dict[str, float] = field(default_factory=dict)
    """Of each row, both seeds at once."""
    runs: dict[str, Any] = field(default_factory=dict)
    """By row and seed; not measured yet where there is no `masked`, and never where it `failed`."""

    @classmethod
    def read(cls, config: AblationConfig) -> _Kept:
        """What the folder holds. Raises ConfigError if it is of other settings or recipes."""
        kept = cls(config, _settings(config), {name: _recipe(config, name) for name in RECIPES})
        if not kept.file.is_file():
            return kept
        earlier = json.loads(kept.file.read_text())
        changed = _changed(kept.settings, earlier["settings"])
        recipes = earlier.get("recipes", {})
        for name in recipes.keys() & kept.recipes.keys():
            changed += [f"{key} of {name}" for key in _changed(kept.recipes[name], recipes[name])]
        if changed:
            raise ConfigError(f"{kept.file} is of other settings ({', '.join(changed)} changed); choose another --out")
        kept.recipes = recipes | kept.recipes
        kept.steps_per_second, kept.runs = earlier["steps_per_second"], earlier["runs"]
        return kept

    @property
    def file(self) -> Path:
        return Path(self.config.out) / "ablation.json"

    def lacking(self, name: str) -> list[int]:
        """Seeds with which a row is still to be trained, or those that are measured with it."""
        return [seed for seed in self.config.seeds if not all(self._done(_run(row, seed)) for row in _rows_of(name))]

    def _done(self, name: str) -> bool:
        return bool({"masked", "failed"} & self.runs.get(name, {}).keys()) or self._trained(name)

    @property
    def unmeasured(self) -> list[str]:
        """Runs that have left a bundle and were not measured."""
        return [name for name, known in self.runs.items() if "masked" not in known and self._trained(name)]

    def _trained(self, name: str) -> bool:
        return name in self.runs and _bundle_of(self.config, name).is_dir()

    def save(self) -> None:
        kept = {entry: value for entry, value in vars(self).items() if entry != "config"}
        Folder(self.config.out).write(self.file.name, (json.dumps(kept, indent=1) + "\n").encode())


def _bundle_of(config: AblationConfig, name: str) -> Path:
    return Path(config.out) / "bundles" / name


def _settings(config: AblationConfig) -> dict[str, Any]:
    kept = {name: getattr(config, name) for name in ("minutes", "max_photos", "crowd")}
    names = "\n".join(photo.image_id for photo in list_photos(Folder(config.images))[0])
    return kept | {
        "plan_sha256": _digest(Folder(str(config.data)).read(PLAN)),
        "photos_sha256": _digest(names.encode()),
        "people_sha256": _digest(Path(PEOPLE).read_bytes()),
        "teacher_sha256": weights_digest(config.teacher),
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _code() -> str:
    """Of raymask's own code, by which rows of different versions are told apart."""
    files = sorted((ROOT / "raymask").rglob("*.py"))
    return _digest(b"".join(file.read_bytes() for file in files))[:12]


def _changed(now: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in now.keys() | earlier.keys() if now.get(key) != earlier.get(key))


def _recipe(config: AblationConfig, name: str) -> Any:
    """A row's settings as JSON has them, without what `settings` says and seeds."""
    recipe = asdict(RECIPES[name](_base(config, 0)))
    kinds = [Spec.of(teacher).kind for teacher in recipe["teachers"]]
    left = {key: value for key, value in recipe.items() if key not in ("data", "seed", "epochs")}
    return json.loads(json.dumps(left | {"teachers": kinds}))


def _base(config: AblationConfig, seed: int) -> LoopConfig:
    words = ["--config", str(ROOT / "presets" / "best.yaml"), "--storage", "unused", "--name", "unused"]
    words += ["--data", str(config.data), "--seed", str(seed), "--teachers", f"dlib,{config.teacher}"]
    return replace(parse(TrainConfig, "", words).loop(), validation_photos=0)


def _targets(config: AblationConfig) -> Tensor:
    """What both teachers make of all photos, asked once for all rows."""
    base, store = _base(config, 0), open_crops(str(config.data), "train")
    asked = Targets.ask(base.teachers, store, base.model, torch.device("cpu"))
    assert asked is not None  # nobody stops it
    return asked(np.arange(len(store)), torch.zeros(len(store), dtype=torch.bool))


def speed(config: AblationConfig, seed: int, name: str) -> float:
    """Steps a second of a recipe, beside the other seed's; of random weights: the same arithmetic, and no fit first."""
    _alone()
    chosen = replace(RECIPES[name](_base(config, seed)), init=None)
    shape = len(_learned_from(chosen)), chosen.model.embedding_size
    anything = Targets(normalize(torch.randn(shape), dim=1)) if chosen.teachers else None
    clock = _Clock(_TRIAL_SECONDS)
    train(replace(chosen, epochs=10**6), Surroundings(stop=clock), targets=anything)
    return clock.rate


def one(config: AblationConfig, seed: int, name: str, steps_per_second: float, told: str) -> dict[str, dict[str, Any]]:
    """Train one recipe with one seed and leave its bundle; of `best` also what else its networks may do in use."""
    _alone()
    base = _base(config, seed)
    chosen = RECIPES[name](base)
    targets = _chosen_targets(base, chosen, torch.load(told, weights_only=True))
    sampler = sampler_of(chosen, open_crops(chosen.data, "train"))
    epochs = max(1, round(60 * config.minutes * steps_per_second / sampler.steps))
    begun, last = time.perf_counter(), MaskFaceNet(chosen.model)

    def keep(state: State) -> None:
        last.load_state_dict(state["model"])

    try:
        network = train(replace(chosen, epochs=epochs), Surroundings(save=keep), targets=targets).network
    except TrainingError as error:  # which is a result, too
        return {_run(row, seed): {"failed": str(error), "code": _code()} for row in _rows_of(name)}
    minutes = (time.perf_counter() - begun) / 60
    networks = {name: network}
    if name == "best":
        uses = IN_USE.items()
        networks |= {row: _used(network if settings else last, settings) for row, settings in uses}
    for row, made in networks.items():
        save_bundle(_bundle_of(config, _run(row, seed)), made, preprocessing={})
    photos = sum(sampler.photos(epoch) for epoch in range(epochs))
    code = _code()
    return {_run(row, seed): {"photos": photos, "minutes": round(minutes, 1), "code": code} for row in networks}


def _alone() -> None:
    """Make this process one of several, a thread each."""
    sys.stdout = sys.stderr  # the first's standard output is JSON
    torch.set_num_threads(1)


def _learned_from(config: LoopConfig) -> Crops:
    return with_morphs(open_crops(config.data, "train"), config)


def _chosen_targets(base: LoopConfig, chosen: LoopConfig, rows: Tensor) -> Told | None:
    """Of the recipe's teachers; `rows`: what both make of the photos."""
    if not chosen.teachers:
        return None
    if chosen.morphs:
        return Targets.ask(chosen.teachers, _learned_from(chosen), chosen.model, torch.device("cpu"))
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


def rank1(config: AblationConfig, runs: Sequence[str]) -> dict[str, dict[str, float]]:
    """Of bare and masked photos of the validation people, percent, by run; each photo is detected once for all."""
    if not runs:
        return {}
    recognisers = {name: load_recogniser(f"bundle:{_bundle_of(config, name)}") for name in runs}
    asked = EvaluateConfig(
        protocol="gallery",
        recognisers=("maskfacenet",),  # of the settings only the people are used
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
    alike = np.ones((1, len(trial.people)))
    found = {}
    for name, answer in embed_probes(trial.probes, probes, recognisers).items():
        measured = {one.key: 100 * float(one.statistic(alike)[0]) for one in trial.score(answer).measures}
        found[name] = {kind: round(measured[f"rank1_{kind}"], 2) for kind in ("bare", "masked")}
    return found


def table(runs: Mapping[str, Any], seeds: Sequence[int]) -> str:
    """Rows as Markdown: rank-1 of masked and bare photos, each seed; below them what to know of them."""
    lines = ["| | masked | bare | photos seen |", "|---|---|---|---|"]
    for name in [*RECIPES, *IN_USE]:
        found = [runs[_run(name, seed)] for seed in seeds if "masked" in runs.get(_run(name, seed), {})]
        if not found:
            continue
        cells = [" / ".join(f"{one[key]:.1f}" for one in found) for key in ("masked", "bare")]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {sum(one['photos'] for one in found) // len(found):,} |")
    lines += [f"{name} failed: {known['failed']}" for name, known in runs.items() if "failed" in known]
    versions = {known["code"] for known in runs.values()}
    return "\n".join([*lines, *(["the rows are of different versions of raymask"] if len(versions) > 1 else [])])


def say(text: str) -> None:
    """On the terminal, beside the JSON."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    config = parse(AblationConfig, __doc__ or "")
    if config.data is None:
        print(json.dumps({"skipped": "ablation needs --data, --images and --teacher: faces of real people"}))
        return
    with redirect_stdout(sys.stderr):  # progress
        runs = measure(config)
    say(table(runs, config.seeds))
    print(json.dumps(runs, indent=1))


if __name__ == "__main__":
    run(main)
