"""Datasets of faces, brought here by loaders that check what they bring, as trees that `prepare` takes.

Where a dataset cannot be had by itself, what to put where is said.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from raymask.errors import DataError, check_choice
from raymask.progress import Progress

LFW_ARCHIVE = "lfw.tgz", "055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0"
"""Name and SHA-256 of what scikit-learn brings."""
LFW_MEGABYTES = 181
_LFW_MOST_PHOTOS = 500
"""The loader is asked for people with as many, which is one, since it loads who it is asked for."""


class Dataset(NamedTuple):
    """How a dataset comes here, and what is said of it."""

    bring: Callable[[Path], Path]
    """Brings it into a folder; returns the root of the tree ROOT/IDENTITY/photo.jpg."""
    about: str
    """What it is and who may use it for what."""


@dataclass(frozen=True, kw_only=True)
class FetchConfig:
    """What to fetch, and where to."""

    datasets: tuple[str, ...]
    """Any of lfw, celeba, vggface2 and casia."""
    out: str = "datasets"
    """Folder, which gets a folder a dataset."""

    def __post_init__(self) -> None:
        for name in self.datasets:
            check_choice("datasets", name, tuple(DATASETS))


def fetch(name: str, out: Path) -> Path:
    """Bring a dataset into `out`/`name`; what is there already is not brought again.

    Returns:
        The root of its tree.

    Raises:
        DataError: it cannot be had from here, with what to put where; or what came is damaged.
    """
    folder = out / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return DATASETS[name].bring(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error}); choose another --out") from None


def _lfw(folder: Path) -> Path:
    """Labeled Faces in the Wild, not aligned, with its pairs.txt."""
    _needs("sklearn", "scikit-learn")
    home = folder / "lfw_home"
    archive, digest = home / LFW_ARCHIVE[0], LFW_ARCHIVE[1]
    if archive.exists() and _sha256(archive) != digest:
        raise DataError(f"{archive} is not the file that it should be (its SHA-256 is not {digest}); remove it")
    if archive.exists():  # it is removed when it is unpacked
        shutil.rmtree(home / "lfw", ignore_errors=True)
    by_hand = (
        f"put {LFW_ARCHIVE[0]} (SHA-256 {digest}), pairs.txt, pairsDevTrain.txt and pairsDevTest.txt into {home} and "
        f"run this again"
    )
    try:
        _load_lfw(folder, home)
    except Exception as error:  # the network fails in many types, and so does what it brought
        raise DataError(f"lfw cannot be fetched ({type(error).__name__}: {error}); {by_hand}") from None
    return home / "lfw"


def _load_lfw(folder: Path, home: Path) -> None:
    """Have scikit-learn bring LFW, and tell how much has come."""
    from sklearn.datasets import fetch_lfw_people

    if (home / "lfw").exists():
        return
    failed: list[BaseException] = []

    def load() -> None:
        try:
            fetch_lfw_people(data_home=str(folder), funneled=False, min_faces_per_person=_LFW_MOST_PHOTOS)
        except ValueError as error:
            if "too restrictive" not in str(error):  # a part of LFW; the tree is there all the same
                failed.append(error)
        except BaseException as error:
            failed.append(error)

    loading = threading.Thread(target=load, daemon=True)
    with warnings.catch_warnings(), Progress("fetch lfw", total=LFW_MEGABYTES, unit="MB") as progress:
        warnings.simplefilter("ignore")  # it warns of each try
        loading.start()
        come = 0
        while loading.is_alive():
            loading.join(0.5)
            now = min(_megabytes(home), LFW_MEGABYTES)
            progress.add(max(0, now - come))
            come = max(come, now)
    if failed:
        raise failed[0]


def _megabytes(folder: Path) -> int:
    """Of a download that is under way."""
    sizes = [file.stat().st_size for file in folder.glob(f"{LFW_ARCHIVE[0]}*") if file.exists()]
    return sum(sizes) // 10**6


def _celeba(folder: Path) -> Path:
    """CelebA's aligned photos, linked into a folder a person."""
    _needs("gdown", "gdown")
    from torchvision.datasets import CelebA

    try:
        CelebA(str(folder), target_type="identity", download=True)
    except Exception as error:
        names = ", ".join(name for _, _, name in CelebA.file_list)
        raise DataError(
            f"celeba cannot be fetched ({type(error).__name__}: {error}); put {names} into {folder / 'celeba'}, unpack "
            f"img_align_celeba.zip there, and run this again"
        ) from None
    photos, root = folder / "celeba" / "img_align_celeba", folder / "people"
    lines = (folder / "celeba" / "identity_CelebA.txt").read_text().splitlines()
    with Progress("people of celeba", total=len(lines), unit="photos") as progress:
        for name, identity in (line.split() for line in lines):
            person = root / identity
            person.mkdir(parents=True, exist_ok=True)
            if not (person / name).exists():
                os.link(photos / name, person / name)
            progress.add(1)
    return root


def _by_hand(what: str, where: str) -> Callable[[Path], Path]:
    """For a dataset that nobody may hand on."""

    def bring(folder: Path) -> Path:
        root = folder / where
        if not root.is_dir():
            raise DataError(f"{what}; unpack it so that {root} has a folder a person, and run this again")
        return root

    return bring


DATASETS: dict[str, Dataset] = {
    "lfw": Dataset(_lfw, "13,233 photos of 5,749 people, for research"),
    "celeba": Dataset(_celeba, "202,599 photos of 10,177 people, for research that is not commercial"),
    "vggface2": Dataset(
        _by_hand("VGGFace2 is no longer handed out by those who made it, and comes only from who has it", "train"),
        "loose crops of 9,131 people, for research",
    ),
    "casia": Dataset(
        _by_hand("CASIA-WebFace is given by its authors on request", "CASIA-WebFace"),
        "494,414 photos of 10,575 people, for research",
    ),
}


def _needs(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise DataError(f"{package} is not installed; install raymask's loaders with pip install 'raymask[fetch]'")


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
