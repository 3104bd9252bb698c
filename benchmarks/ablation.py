"""What each part of the recipe `presets/best.yaml` is worth: trainings on equally many photos, each with one change.

    python benchmarks/ablation.py --data LFW,FACES --images PHOTOS --real-masks FOLDER [--rows ...] [--out FOLDER]

Each row is trained with each seed. All are then measured on validation people, beside SFace itself: masked photos
against bare ones of the people in real masks, and of LFW's with masks of training drawn on them, in a crowd. Of each
row the means with SFace's weights are measured, too, which cost no training; and all of these on masked faces alone,
with bare ones embedded by SFace. What is done is kept in FOLDER/ablation.json, and the same command resumes from there.
FOLDER also keeps bundles and the teacher's embeddings. JSON on standard output.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from raymask.cli import parse, run
from raymask.data.prepare.layout import PLAN
from raymask.data.reading.joined import folders_of, open_crops
from raymask.errors import ConfigError, TrainingError
from raymask.evaluate.asked import ask
from raymask.evaluate.bootstrap import draw_weights
from raymask.evaluate.config import EvaluateConfig
from raymask.evaluate.embedding import Embedded, embed_probes
from raymask.evaluate.probes import Probes
from raymask.evaluate.report.table import as_json, differences, sample
from raymask.faces.masks.looks import KINDS, TRAIN_LOOKS
from raymask.models.bundle import load_bundle, save_bundle
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.networks.sface_weights import load_sface
from raymask.recognisers.base import Recogniser
from raymask.recognisers.face_finder import share_finder
from raymask.recognisers.torch_networks import NetworkRecogniser
from raymask.storage import Folder
from raymask.train.embedder.blend import mix
from raymask.train.embedder.loop import train
from raymask.train.embedder.setup import sampler_of
from raymask.train.embedder.teacher_targets import Targets
from raymask.train.engine.config import LoopConfig, TrainConfig
from raymask.train.engine.hooks import LoopHooks

ROOT = Path(__file__).parent.parent
LFW_PEOPLE, REAL_PEOPLE = (
    str(Path(__file__).parent / name) for name in ("lfw_splits.json:val", "rmfrd_splits.json:val")
)
FROZEN = 7
"""Layers of the row with fewer frozen ones: those that see faces at 112 and 56 pixels."""

TOGETHER = 16
"""Faces that a network embeds at once."""
RESAMPLES = 2000
"""Of people, behind the intervals."""

OWN = "own textures"
"""The row whose masks are made of pictures, too."""
OWN_LOOKS = (*KINDS, "surgical@below-nose", "cloth:own", "cloth:own@below-nose")
"""Its masks, about a fifth of which are of one's own pictures."""

Change = Callable[[LoopConfig, str | None], LoopConfig]
"""From the preset's settings, and the folder of one's own pictures, to a row's."""

ROWS: Mapping[str, Change] = {
    "best": lambda c, _: c,
    "twice the rate": lambda c, _: _rates(c, learning_rate=2 * c.optimiser.learning_rate),
    "fewer layers frozen": lambda c, _: _rates(c, frozen=FROZEN),
    "last layer frozen": lambda c, _: _rates(c, last=0.0),
    "held to the start": lambda c, _: _rates(c, hold=1.0),
    "the first folder of data alone": lambda c, _: replace(c, data=folders_of(c.data)[0]),
    "the last folder of data alone": lambda c, _: replace(c, data=folders_of(c.data)[-1]),
    OWN: lambda c, textures: replace(c, textures=textures, masks=OWN_LOOKS),
    "quintuplets beside the pull": lambda c, _: replace(
        c, loss=replace(c.loss, weight=0.02, mining="all", bare_fixed=True)
    ),
    "without contrast": lambda c, _: replace(c, distil=replace(c.distil, contrast=0.0)),
}
"""What is changed, by the row's name."""


def _rates(config: LoopConfig, **changes: Any) -> LoopConfig:
    return replace(config, optimiser=replace(config.optimiser, **changes))


@dataclass(frozen=True, kw_only=True)
class AblationConfig:
    """What to train, and on how much."""

    data: str | None = None
    """Folders made by jobs/prepare.py, with commas between them; null: nothing is measured."""
    images: str = ""
    """Whole photos of Labeled Faces in the Wild."""
    real_masks: str = ""
    """Folder with bare/ and masked/, photos of the people of benchmarks/rmfrd_splits.json."""
    textures: str | None = None
    """Folder with pictures for the row of own textures; null: that row is left out."""
    photos: int = 26_000
    """Of each training, about: whole epochs, at least one."""
    seeds: tuple[int, ...] = (0, 1)
    """A training each."""
    rows: tuple[str, ...] = tuple(ROWS)
    """Which of the rows to train."""
    shares: tuple[float, ...] = (0.5,)
    """Of the trained weights in the means with SFace's that are measured, too."""
    crowd: int = 400
    """People more who are enrolled beside LFW's validation people."""
    compile: bool = False
    """As in jobs/train.py."""
    out: str = "out/ablation"
    """Folder for what is done."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.rows if name not in ROWS]
        if unknown:
            raise ConfigError(f"rows {', '.join(unknown)} are unknown; choose of: {'; '.join(ROWS)}")
        if self.data is not None and not (self.images and self.real_masks):
            raise ConfigError("ablation needs --images and --real-masks beside --data")


def measure(config: AblationConfig) -> dict[str, Any]:
    """All trainings and what they come to."""
    kept = _Kept(config)
    for name in config.rows:
        if name == OWN and config.textures is None:
            say(f"{OWN}: left out, for it needs --textures")
            continue
        for seed in config.seeds:
            if not kept.has(name, seed):
                kept.add(name, seed, trained(config, name, seed))
                say(f"{name}, seed {seed}: {kept.runs[_run(name, seed)]}")
    kept.tables = {
        "real masks": compared(kept.recognisers(), real_masks(config), RESAMPLES),
        "drawn masks": compared(kept.recognisers(), drawn_masks(config), RESAMPLES),
    }
    kept.save()
    return {"runs": kept.runs, "tables": kept.tables}


def trained(config: AblationConfig, name: str, seed: int) -> dict[str, Any]:
    """Train a row with a seed and leave its bundle; photos and minutes, or why it failed."""
    chosen = recipe(config, name, seed)
    targets = _targets(config, chosen)
    sampler = sampler_of(chosen, open_crops(chosen.data, "train"))
    epochs = max(1, round(config.photos / sampler.photos(0)))
    begun = time.perf_counter()
    try:
        network = train(replace(chosen, epochs=epochs), LoopHooks(), targets=targets).network
    except TrainingError as error:  # which is a result, too
        return {"failed": str(error)}
    save_bundle(_bundle(config, name, seed), network, preprocessing={})
    photos = sum(sampler.photos(epoch) for epoch in range(epochs))
    return {"photos": photos, "minutes": round((time.perf_counter() - begun) / 60, 1)}


def recipe(config: AblationConfig, name: str, seed: int) -> LoopConfig:
    """A row's settings."""
    words = ["--config", str(ROOT / "presets" / "best.yaml"), "--storage", "unused", "--name", "unused"]
    words += ["--data", str(config.data), "--seed", str(seed)]
    base = replace(parse(TrainConfig, "", words).loop(), validation_photos=0, compile=config.compile)
    return ROWS[name](base, config.textures)


def _targets(config: AblationConfig, chosen: LoopConfig) -> Targets:
    """What the teacher makes of the photos; asked once for each choice of folders, and kept."""
    folders = "\n".join(_digest(Folder(folder).read(PLAN)) for folder in folders_of(chosen.data))
    file = Path(config.out) / f"targets-{_digest(folders.encode())[:12]}.pt"
    if not file.is_file():
        store = open_crops(chosen.data, "train")
        precision = torch.bfloat16 if chosen.precision == "bfloat16" else None
        asked = Targets.ask(
            chosen.teachers,
            store,
            chosen.model,
            torch.device("cpu"),
            precision=precision,
            compiled=chosen.compile,
        )
        assert asked is not None  # nobody stops it
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(asked(np.arange(len(store)), torch.zeros(len(store), dtype=torch.bool)), file)
    return Targets(torch.load(file, weights_only=True))


class _Kept:
    """What is done: a file, and beside it a bundle of each run."""

    def __init__(self, config: AblationConfig) -> None:
        """Reads what the folder holds. Raises ConfigError if it is of other settings or recipes."""
        self._config, self._file = config, Path(config.out) / "ablation.json"
        self.settings = _settings(config)
        self.runs: dict[str, Any] = {}
        self.tables: dict[str, Any] = {}
        if not self._file.is_file():
            return
        earlier = json.loads(self._file.read_text())
        changed = [key for key, value in self.settings.items() if earlier["settings"].get(key) != value]
        if changed:
            raise ConfigError(f"{self._file} is of other settings ({', '.join(changed)}); choose another --out")
        self.runs = earlier["runs"]

    def has(self, name: str, seed: int) -> bool:
        """Whether a row was trained with a seed by the same recipe."""
        known = self.runs.get(_run(name, seed))
        return known is not None and known["recipe"] == _recipe_digest(self._config, name, seed)

    def add(self, name: str, seed: int, found: Mapping[str, Any]) -> None:
        """Keep what a training came to."""
        self.runs[_run(name, seed)] = {"recipe": _recipe_digest(self._config, name, seed), **found}
        self.save()

    def save(self) -> None:
        """Write the file."""
        found = {"settings": self.settings, "runs": self.runs, "tables": self.tables}
        Folder(self._config.out).write(self._file.name, as_json(found))

    def recognisers(self) -> dict[str, Recogniser]:
        """SFace, and what there is of each row and seed: the trained network, and its means with SFace's."""
        made: dict[str, Recogniser] = {"sface": _AsTrained(load_sface(), compiled=self._config.compile)}
        for name in self._config.rows:
            for seed in self._config.seeds:
                folder = _bundle(self._config, name, seed)
                if folder.is_dir():
                    made |= {f"{_run(name, seed)}{label}": one for label, one in _blends(folder, self._config)}
        return made


class _AsTrained(NetworkRecogniser):
    """A network in the arithmetic of its training, which is several times as fast."""

    def __init__(self, network: MaskFaceNet, *, compiled: bool) -> None:
        super().__init__(network.eval())
        if compiled:
            network.backbone.compile(dynamic=False)

    def embed_cut(self, faces: np.ndarray) -> np.ndarray:
        """(N, S, S, 3) to (N, D); always as many at once, for each number would be compiled anew."""
        rows = []
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(faces), TOGETHER):
                some = faces[start : start + TOGETHER]
                filled = np.concatenate([some, np.zeros((TOGETHER - len(some), *some.shape[1:]), np.uint8)])
                rows.append(self.network(torch.from_numpy(filled).permute(0, 3, 1, 2).contiguous())[: len(some)])
        return normalize(torch.cat(rows).float(), dim=1).numpy()


def _blends(folder: Path, config: AblationConfig) -> Iterator[tuple[str, Recogniser]]:
    begun = load_sface()
    for share in (1.0, *config.shares):
        network = load_bundle(folder).model
        assert isinstance(network, MaskFaceNet)
        mix(network, begun, share)
        label = "" if share == 1 else f", {share:.0%} of it"
        yield label, _AsTrained(network, compiled=config.compile)


def real_masks(config: AblationConfig) -> EvaluateConfig:
    """The question of the validation people in real masks."""
    return EvaluateConfig(
        protocol="gallery",
        recognisers=("sface",),
        images=f"{config.real_masks}/bare",
        masked_images=f"{config.real_masks}/masked",
        people=REAL_PEOPLE,
        clean="*c.*",
        out="",
    )


def drawn_masks(config: AblationConfig) -> EvaluateConfig:
    """The question of LFW's validation people in drawn masks."""
    return EvaluateConfig(
        protocol="gallery",
        recognisers=("sface",),
        images=config.images,
        people=LFW_PEOPLE,
        masks=TRAIN_LOOKS,
        max_photos=15,
        crowd=config.crowd,
        out="",
    )


def compared(recognisers: Mapping[str, Recogniser], asked: EvaluateConfig, resamples: int) -> dict[str, Any]:
    """Figures of all recognisers, and the differences from the first, with intervals over people."""
    share_finder(asked.detector)
    trial = ask(asked).trial
    answers = embed_probes(trial.probes, Probes.of(asked), recognisers)
    first = next(iter(answers))
    masked = np.array([probe.masked for probe in trial.probes])
    answers |= {
        f"{name}, bare faces by {first}": _routed(masked, answer, answers[first])
        for name, answer in answers.items()
        if name != first
    }
    scored = {name: trial.score(answer) for name, answer in answers.items()}
    samples = sample(scored, draw_weights(len(trial.people), resamples, 0))
    return {
        "title": trial.title,
        "figures": {name: {key: one.figure() for key, one in part.items()} for name, part in samples.items()},
        "differences": {
            row.of: row.figures for row in differences(samples, scored[first].measures) if row.minus == first
        },
    }


def _routed(masked: np.ndarray, one: Embedded, other: Embedded) -> Embedded:
    """Masked probes as one recogniser embeds them, bare ones as the other does."""
    return Embedded(
        np.where(masked[:, None], one.embeddings, other.embeddings), np.where(masked, one.found, other.found)
    )


def _settings(config: AblationConfig) -> dict[str, Any]:
    plans = {folder: _digest(Folder(folder).read(PLAN)) for folder in folders_of(str(config.data))}
    return {"photos": config.photos, "crowd": config.crowd, "plans_sha256": list(plans.values())}


def _recipe_digest(config: AblationConfig, name: str, seed: int) -> str:
    """Of all settings but where the data lies."""
    settings = asdict(recipe(config, name, seed)) | {"data": len(folders_of(recipe(config, name, seed).data))}
    return _digest(json.dumps(settings, sort_keys=True).encode())[:12]


def _bundle(config: AblationConfig, name: str, seed: int) -> Path:
    return Path(config.out) / "bundles" / _run(name, seed)


def _run(name: str, seed: int) -> str:
    return f"{name}, seed {seed}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def say(text: str) -> None:
    """On the terminal, beside the JSON."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    config = parse(AblationConfig, __doc__ or "")
    if config.data is None:
        print(json.dumps({"skipped": "ablation needs --data, --images and --real-masks, photos of real people"}))
        return
    with redirect_stdout(sys.stderr):  # progress
        found = measure(config)
    print(as_json(found).decode())


if __name__ == "__main__":
    run(main)
