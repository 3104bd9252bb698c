"""Filling a folder with photos of invented people."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from PIL import Image

from raymask.demo_faces.person import Person
from raymask.demo_faces.photo import DemoPhoto
from raymask.demo_faces.shot import Shot
from raymask.errors import ConfigError, DataError

_JPEG_QUALITY = 92
_SMALLEST, _LARGEST = 64, 1024  # pixels
_PHOTOS_WORTH_A_PROCESS = 40  # fewer photos are rendered sooner than a second process has started
_SEEDS_A_SET = 1_000_000  # people and photos of one `seed` never meet those of another
_MOST = 999  # people, and photos of each: what the file names have room for


def render(person: Person, shot: Shot, size: int = 250) -> DemoPhoto:
    """Take the photo of `person` that `shot` describes, `size` x `size` pixels.

    The same arguments give the same bytes. `size` is 64 to 1024, else `raymask.errors.ConfigError`.
    """
    from raymask.demo_faces.studio.take import take  # OpenCV is loaded by the first photo, not by the import

    _check_count("size", size, _SMALLEST, _LARGEST)
    return take(person, shot, size)


def write_demo_faces(
    root: str | os.PathLike[str],
    *,
    people: int,
    photos: int,
    seed: int = 0,
    size: int = 250,
    report: Callable[[int, int], None] | None = None,
) -> Path:
    """Write `photos` photos of each of `people` invented people as `ROOT/person_000/person_000_00.jpg` and so on.

    A photo that is there already is left as it is, so a second run changes nothing and an interrupted run can be
    continued. Each file appears whole or not at all. `people` and `photos` are 1 to 999, `seed` is 0 or more, `size`
    (pixels) 64 to 1024; anything else raises `raymask.errors.ConfigError`. `report(done, total)` is called in this
    process after each photo, counting those found as done. Returns `root` as a path. Raises
    `raymask.errors.DataError` when `root` cannot be written.
    """
    _check_count("people", people, 1, _MOST)
    _check_count("photos", photos, 1, _MOST)
    _check_count("seed", seed, 0, 2**31)
    _check_count("size", size, _SMALLEST, _LARGEST)
    folder = Path(root)
    jobs = [(folder, seed, who, number, size) for who in range(people) for number in range(photos)]
    missing = [job for job in jobs if not _path(job[0], job[2], job[3]).is_file()]
    done = len(jobs) - len(missing)
    if report is not None and done:
        report(done, len(jobs))
    try:
        for who in {job[2] for job in missing}:
            _path(folder, who, 0).parent.mkdir(parents=True, exist_ok=True)
        _write_all(missing, lambda written: report(done + written, len(jobs)) if report is not None else None)
    except OSError as error:
        raise DataError(
            f"Cannot write demo faces to {folder}: {error.strerror or error}. Choose a folder that you may write to."
        ) from error
    return folder


_Job = tuple[Path, int, int, int, int]


def _write_all(jobs: list[_Job], written: Callable[[int], None]) -> None:
    """Do the jobs, in several processes where that is faster, and call `written` with the number of those done."""
    workers = min(os.cpu_count() or 1, len(jobs) // _PHOTOS_WORTH_A_PROCESS)
    if workers < 2:
        for count, job in enumerate(jobs, 1):
            _write_one(job)
            written(count)
        return
    # Spawned rather than forked: the caller may hold threads, and locks in them.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        pending = [pool.submit(_write_one, job) for job in jobs]
        try:
            for count, future in enumerate(as_completed(pending), 1):
                future.result()
                written(count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    """Keep OpenCV from starting a thread for every core in every process."""
    import cv2

    cv2.setNumThreads(1)


def _write_one(job: _Job) -> None:
    """Render the job's photo and put it in its place in one step."""
    folder, seed, who, number, size = job
    person = Person.invent(seed * _SEEDS_A_SET + who)
    photo = render(person, Shot.invent(seed * _SEEDS_A_SET + who * (_MOST + 1) + number), size)
    path = _path(folder, who, number)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}_", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            Image.fromarray(photo.image).save(file, "JPEG", quality=_JPEG_QUALITY)
        os.chmod(name, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _path(folder: Path, who: int, number: int) -> Path:
    """Where the photo goes."""
    identity = f"person_{who:03d}"
    return folder / identity / f"{identity}_{number:02d}.jpg"


def _check_count(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, but must be {low} to {high}")
