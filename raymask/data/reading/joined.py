"""One prepared folder or several, opened as one: whoever learns from faces need not know where they lie.

People of different folders are different people, even under equal names: `0001` of one data set is nobody of another.
So never join two preparations of the same photos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raymask.data.format.splits import Split
from raymask.data.reading.crops import Crops, CropStore
from raymask.data.reading.sampler import BatchPhoto
from raymask.errors import ConfigError, DataError
from raymask.storage import Folder, absolute

Data = str | tuple[str, ...]
"""Prepared folders (or URIs): one or more of them, with commas between them or as a tuple."""


def folders_of(data: Data) -> tuple[str, ...]:
    """The folders that `data` names. Raises ConfigError if it names none, or one of them twice."""
    folders = tuple(part.strip() for part in (data.split(",") if isinstance(data, str) else data))
    if not folders or not all(folders):
        raise ConfigError("data must name a folder made by jobs/prepare.py, or several with commas between them")
    twice = [folder for folder in folders if [absolute(other) for other in folders].count(absolute(folder)) > 1]
    if twice:
        raise ConfigError(f"data names {twice[0]} twice; name each folder once")
    return folders


def absolute_data(data: Data) -> Data:
    """`data` as processes that run in other folders need it; a single folder stays a string."""
    folders = tuple(map(absolute, folders_of(data)))
    return folders[0] if len(folders) == 1 else folders


def folders_with(data: Data, split: Split) -> tuple[str, ...]:
    """Those of the folders that hold faces of a split.

    Raises:
        DataError: a folder holds no prepared faces at all, or cannot be listed.
    """
    chosen = []
    for folder in folders_of(data):
        names = Folder(folder).names()
        if not any(name.startswith("split=") for name in names):
            raise DataError(f"{folder} holds no prepared faces of split {split}; make them with jobs/prepare.py")
        if any(name.startswith(f"split={split}/") for name in names):
            chosen.append(folder)
    return tuple(chosen)


def open_crops(data: Data, split: Split) -> Crops:
    """The crops of a split, of all folders that hold some.

    Raises:
        DataError: no folder has faces of this split, or one of them is not prepared to its end.
    """
    named = folders_of(data)
    folders = named if len(named) == 1 else folders_with(data, split)
    if not folders:
        raise DataError(f"no folder of {', '.join(named)} holds prepared faces of split {split}")
    stores = [CropStore(folder, split) for folder in folders]
    return stores[0] if len(stores) == 1 else JoinedCrops(stores)


class JoinedCrops:
    """The crops of several stores: first all of the first, then all of the second, and so on."""

    def __init__(self, stores: Sequence[Crops]) -> None:
        """`stores`: one or more; the same person should not be in two of them."""
        self._stores = list(stores)
        self._starts = np.cumsum([0, *map(len, self._stores)])
        self.people = [name for store in self._stores for name in store.people]
        """Names, in the stores' order; equal ones are of different people."""
        before = np.cumsum([0, *(len(store.people) for store in self._stores)])
        self.identities = np.concatenate(
            [store.identities + first for store, first in zip(self._stores, before[:-1], strict=True)]
        )
        """(N,) int64: which of `people` each photo shows."""

    def __len__(self) -> int:
        return len(self.identities)

    def landmarks(self, *, quiet: bool = False) -> np.ndarray:
        """As `Crops.landmarks`."""
        return np.concatenate([store.landmarks(quiet=quiet) for store in self._stores])

    def points(self, *, quiet: bool = False) -> np.ndarray:
        """As `Crops.points`."""
        return np.concatenate([store.points(quiet=quiet) for store in self._stores])

    def pixels(self, shots: Sequence[BatchPhoto], size: int) -> np.ndarray:
        """As `Crops.pixels`, in the order of the shots."""
        rows = np.array([shot.row for shot in shots], dtype=np.int64)
        store_of = np.searchsorted(self._starts, rows, side="right") - 1
        crops = np.empty((len(shots), size, size, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
        for number in np.unique(store_of).tolist():
            places = np.flatnonzero(store_of == number).tolist()
            own = [BatchPhoto(int(rows[place] - self._starts[number]), shots[place].masked) for place in places]
            crops[places] = self._stores[number].pixels(own, size)
        return crops
