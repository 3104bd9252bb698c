"""Splits: every person belongs to one of train, val and test (paper §3.1: 460, 20 and 20 people)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from raymask.errors import ConfigError, DataError
from raymask.storage import folder_and_name

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How people are assigned to train, val and test."""

    validation: int = 20
    """People in the validation split; fewer where both splits would take over half of those eligible; 0: none."""
    test: int = 20
    """People in the test split; fewer where both splits would take over half of those eligible; 0: none."""
    least_photos: int = 10
    """Photos a person needs to be drawn for validation or test."""
    seed: int = 0
    """Decides who is drawn; the same seed draws the same people whatever the order of the files."""

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            if getattr(self, name) < 0:
                raise ConfigError(f"split.{name} must be 0 or more, not {getattr(self, name)}")
        if self.least_photos < 1:
            raise ConfigError(f"split.least_photos must be 1 or more, not {self.least_photos}")


def draw_splits(photo_counts: Mapping[str, int], config: SplitConfig) -> dict[str, Split]:
    """Assign each person (name to number of photos) to a split by a seeded hash of the name.

    Where validation and test would take more than half of the eligible people, both shrink in proportion.
    """
    eligible = sorted(
        (name for name, count in photo_counts.items() if count >= config.least_photos),
        key=lambda name: hashlib.sha256(f"{config.seed}/{name}".encode()).digest(),
    )
    wanted = config.test + config.validation
    share = min(1.0, len(eligible) // 2 / wanted) if wanted else 0.0
    test = set(eligible[: int(config.test * share)])
    val = set(eligible[len(test) :][: int(config.validation * share)])
    return {name: "test" if name in test else "val" if name in val else "train" for name in sorted(photo_counts)}


def given_splits(people: Iterable[str], address: str) -> dict[str, Split]:
    """Each person's split from the file at `address`; people it does not name are train.

    Raises:
        DataError: the file is missing or no such mapping, or names none of the people, so that it must be another's.
    """
    given = read_splits(address)
    splits = {person: given.get(person, "train") for person in sorted(people)}
    if given and not given.keys() & splits.keys():
        raise DataError(
            f"{address} names none of the people to prepare ({next(iter(given))!r}, ...); check the spelling"
        )
    return splits


def read_splits(address: str) -> dict[str, Split]:
    """Read a JSON file of person to split, as `OUT/splits.json` is; people it does not name are train.

    Raises:
        DataError: the file is missing or is no such mapping.
    """
    folder, name = folder_and_name(address)
    data = folder.read(name)
    try:
        splits = json.loads(data)
    except ValueError as error:
        raise DataError(f"{address} is not JSON ({error})") from None
    if not isinstance(splits, dict) or any(split not in SPLITS for split in splits.values()):
        raise DataError(f"{address} must map each person to one of {', '.join(SPLITS)}")
    return splits
