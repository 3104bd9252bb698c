"""`prepare` beside the chain that it replaces, on the same photos, one thread; then on one worker and on two.

    python benchmarks/synthesis.py [--images PHOTOS] [--photos 500] [--pipeline 3000] [--long 100000]

JSON on standard output; without a folder of photos, on invented people. The chain is what is commonly run: dlib's HOG
detector and 68 landmarks, a mask laid over the photo by one homography, then facenet-pytorch's MTCNN with its defaults
to crop the bare and the masked photo. It is spared what `prepare` does besides: light, folds, straps and shadow of the
mask, its map, and encoding the crops.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

from raymask.cli import parse, run
from raymask.data.prepare.config import PrepareConfig
from raymask.data.prepare.photo_work import PhotoWorker
from raymask.data.prepare.photos import Photo, list_photos
from raymask.data.prepare.run import prepare
from raymask.demo_faces import write_demo_faces
from raymask.errors import NoFaceError
from raymask.faces import draw_mask
from raymask.faces.images import decode_photo
from raymask.faces.landmarks.dlib_models import dlib_model
from raymask.faces.masks.looks import TRAIN_LOOKS
from raymask.storage import Folder

WARM = 10
"""Photos before those that are timed."""
BLOCK = 50
"""Photos that one way does before it is the other's turn."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What to measure."""

    images: str | None = None
    """Whole photos as ROOT/IDENTITY/photo.jpg; null: 400 of invented people."""
    photos: int = 500
    """Photos for one thread, drawn by seed 0."""
    pipeline: int = 3000
    """Photos for `prepare` as a whole; the first by path, again and again if there are fewer."""
    long: int = 0
    """Photos for a long run, whose memory is measured; 0: none."""


class Chain:
    """The rival."""

    def __init__(self) -> None:
        import dlib
        from facenet_pytorch import MTCNN

        self._hog = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(dlib_model("shape_predictor_68_face_landmarks.dat")))
        self._mtcnn = MTCNN(image_size=224, margin=45, post_process=False)
        template = np.zeros((200, 200, 4), np.float32)
        cv2.ellipse(template, (100, 100), (95, 95), 0, 0, 360, (150, 190, 220, 1), -1)
        self._template = template
        self._corners = np.array([[5, 40], [100, 5], [195, 40], [160, 150], [100, 195], [40, 150]], np.float32)

    def __call__(self, photo: np.ndarray) -> bool:
        """Whether it came to two crops."""
        boxes = self._hog(photo, 0)
        if not boxes:
            return False
        shape = self._landmarks(photo, max(boxes, key=lambda box: box.area()))
        points = np.array([(point.x, point.y) for point in shape.parts()], np.float32)
        with torch.inference_mode():
            crops = [self._mtcnn(photo), self._mtcnn(self._masked(photo, points))]
        return all(crop is not None for crop in crops)

    def _masked(self, photo: np.ndarray, points: np.ndarray) -> np.ndarray:
        matrix, _ = cv2.findHomography(self._corners, points[[1, 28, 15, 12, 8, 4]])
        laid = cv2.warpPerspective(self._template, matrix, photo.shape[1::-1])
        cover = laid[..., 3:]
        return (photo * (1 - cover) + laid[..., :3] * cover).astype(np.uint8)


def one_thread(data: Sequence[tuple[Photo, bytes]]) -> dict[str, Any]:
    """Seconds a photo of both, side by side."""
    worker, chain = PhotoWorker(masks=TRAIN_LOOKS, seed=0), Chain()
    seconds: dict[str, list[float]] = {"prepare": [], "chain": []}
    done = dict.fromkeys(seconds, 0)

    def prepared(photo: Photo, data: bytes) -> bool:
        try:
            return bool(worker(photo, "train", data))
        except NoFaceError:
            return False

    ways: dict[str, Callable[[Photo, bytes], bool]] = {
        "prepare": prepared,
        "chain": lambda photo, data: chain(decode_photo(data, photo.image_id)),
    }
    for start in range(0, len(data), BLOCK):
        for name, way in ways.items():  # in turns, since machines drift; in blocks, since each has caches of its own
            for photo, content in data[start : start + BLOCK]:
                begun = time.perf_counter()
                done[name] += way(photo, content)
                seconds[name].append(time.perf_counter() - begun)
    mean = {name: statistics.fmean(times[WARM:]) for name, times in seconds.items()}
    return {
        "photos": len(data),
        "faces": done,
        "photos_a_second": {name: round(1 / spent, 1) for name, spent in mean.items()},
        "times_as_fast": round(mean["chain"] / mean["prepare"], 2),
    }


def steps(data: Sequence[tuple[Photo, bytes]]) -> dict[str, float]:
    """Milliseconds of each step of a photo, medians."""
    from raymask.data.prepare import photo_work

    times: dict[str, list[float]] = {}
    with _timed(photo_work, times):
        worker = PhotoWorker(masks=TRAIN_LOOKS, seed=0)
        for photo, content in data:
            try:
                worker(photo, "train", content)
            except NoFaceError:
                continue
    return {name: round(1e3 * statistics.median(spent[WARM:]), 2) for name, spent in times.items()}


@contextmanager
def _timed(module: Any, times: dict[str, list[float]]) -> Iterator[None]:
    """While it lasts, the steps that `module` calls by these names are timed."""

    def timing(act: Callable[..., Any], step: str) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            begun = time.perf_counter()
            result = act(*arguments)
            times.setdefault(step, []).append(time.perf_counter() - begun)
            return result

        return timed

    class TimedDetector(module.FaceDetector):
        subject = timing(module.FaceDetector.subject, "find the subject, 68 landmarks")

    steps = {
        "decode_photo": "decode",
        "draw_mask": "draw the mask",
        "encode_jpeg": "encode a JPEG",
        "encode_png": "encode the map",
    }
    replaced = {name: timing(getattr(module, name), step) for name, step in steps.items()}
    with ExitStack() as patches:
        for name, act in {**replaced, "FaceDetector": TimedDetector}.items():
            patches.enter_context(mock.patch.object(module, name, act))
        yield


def mask_alone(data: Sequence[tuple[Photo, bytes]]) -> dict[str, float]:
    """Milliseconds of a mask at 250x250, over all looks of training."""
    from raymask.faces import detect, subject

    spent = []
    looks = itertools.cycle(TRAIN_LOOKS)
    for photo, content in data:
        pixels = cv2.resize(decode_photo(content, photo.image_id), (250, 250), interpolation=cv2.INTER_AREA)
        face = subject(detect(pixels), pixels.shape)
        if face is None:
            continue
        look = next(looks)
        for seed in range(2):  # of the second, the texture is known
            begun = time.perf_counter()
            draw_mask(pixels, face.landmarks, look, seed)
            spent.append(time.perf_counter() - begun)
    warm = spent[min(len(TRAIN_LOOKS) * 8, len(spent) // 2) :]
    return {"median": round(1e3 * statistics.median(warm), 2), "mean": round(1e3 * statistics.fmean(warm), 2)}


def pipeline(root: str, photos: int, alone: float) -> dict[str, Any]:
    """Photos a second of `prepare` in its steady state, on one worker and two; `alone`: of a process without Ray."""
    with tempfile.TemporaryDirectory() as folder:
        images = _tree(root, Path(folder) / "images", photos)
        rates = {}
        for workers in (1, 2):
            out = Path(folder) / f"out{workers}"
            prepare(PrepareConfig(images=str(images), out=str(out), workers=workers, photos_per_file=25))
            ends = sorted(file.stat().st_mtime for file in out.glob("split=*/*.parquet"))
            # from when every worker has ended its first part to when the first has no more to do
            steady = ends[2 * workers : len(ends) - workers]
            rates[workers] = 25 * (len(steady) - 1) / (steady[-1] - steady[0])
    return {
        "photos": photos,
        "photos_a_second": {f"{workers} workers": round(rate, 1) for workers, rate in rates.items()},
        "of_twice_one_process": round(rates[2] / (2 * alone), 3),
    }


def long_run(root: str, photos: int) -> dict[str, Any]:
    """Memory of all processes of a `prepare` on two workers, Ray's among them, and what became of the photos."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(2):
            peak = max(peak, _memory())

    with tempfile.TemporaryDirectory() as folder:
        images = _tree(root, Path(folder) / "images", photos)
        watching = threading.Thread(target=watch)
        watching.start()
        begun = time.monotonic()
        try:
            summary = prepare(PrepareConfig(images=str(images), out=f"{folder}/out", workers=2))
        finally:
            done.set()
            watching.join()
    return {
        "photos": summary["photos"],
        "rows": summary["rows"],
        "dropped": summary["dropped"],
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "peak_gib": round(peak / 2**30, 2),
    }


def _memory() -> int:
    """Bytes of this process and all that it has started, what they share counted once."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            children.setdefault(int(stat.read_text().rsplit(")", 1)[1].split()[1]), []).append(int(stat.parent.name))
    found, total = [os.getpid()], 0
    for pid in found:
        found += children.get(pid, [])
        with suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += 1024 * int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
    return total


def _tree(root: str, target: Path, photos: int) -> Path:
    """Links to so many photos, in folders of 25 people's photos at most."""
    folder = Folder(root)
    listed = [photo.image_id for photo in list_photos(folder)[0]]
    for number, image_id in enumerate(itertools.islice(itertools.cycle(listed), photos)):
        link = target / f"{number // 25:06}" / f"{number:08}{Path(image_id).suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(root).absolute() / image_id)
    return target


def measure(config: BenchmarkConfig) -> dict[str, Any]:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = config.images or str(write_demo_faces(Path(folder), people=40, photos=10, seed=0))
        images = Folder(root)
        listed = list_photos(images)[0]
        chosen = random.Random(0).sample(listed, min(config.photos, len(listed)))
        data = [(photo, images.read(photo.image_id)) for photo in chosen]
        result = one_thread(data)
        result["milliseconds"] = steps(data)
        result["milliseconds_a_mask_at_250"] = mask_alone(data)
        result["pipeline"] = pipeline(root, config.pipeline, result["photos_a_second"]["prepare"])
        if config.long:
            result["long_run"] = long_run(root, config.long)
    return result


def main() -> None:
    warnings.simplefilter("ignore")  # facenet-pytorch predates today's torch and numpy
    print(json.dumps(measure(parse(BenchmarkConfig, __doc__ or "")), indent=1))


if __name__ == "__main__":
    run(main)
