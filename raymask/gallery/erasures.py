"""Who was erased, so that an erasure that was cut short is finished and no backup brings a person back.

Names are kept as digests only: the list names nobody, though who guesses a name can ask whether it was erased.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from raymask.errors import DataError
from raymask.storage import Folder

ERASURES = "erasures.json"


@dataclass(frozen=True)
class Erasures:
    """The list; each change gives a new one."""

    times: Mapping[str, datetime] = field(default_factory=dict)
    """When, by digest of the name: all that was enrolled before is gone."""
    unfinished: frozenset[str] = frozenset()
    """Digests of names whose rows, or kept photos, may not all be gone yet."""

    @staticmethod
    def digest(identity: str) -> str:
        """By which the list knows a person."""
        return hashlib.blake2b(identity.encode(), digest_size=16, person=b"raymask.erased").hexdigest()

    def begun(self, identity: str, now: datetime | None = None) -> Erasures:
        """With this person's erasure under way."""
        times = {**self.times, self.digest(identity): now or datetime.now(UTC)}
        return replace(self, times=times).unfinished_for([identity])

    def unfinished_for(self, identities: Iterable[str]) -> Erasures:
        """With these people's files to be cleared of what is deleted."""
        return replace(self, unfinished=self.unfinished | {self.digest(identity) for identity in identities})

    def finished(self, identities: Iterable[str]) -> Erasures:
        """With these people's erasures done."""
        return replace(self, unfinished=self.unfinished - {self.digest(identity) for identity in identities})

    def covers(self, identity: str, added: datetime) -> bool:
        """Whether what was enrolled then has been erased since."""
        erased = self.times.get(self.digest(identity))
        return erased is not None and added <= erased

    def joined(self, other: Erasures) -> Erasures:
        """Both lists' erasures; a person's latest counts."""
        both = {*self.times, *other.times}
        times = {one: max(time for time in (self.times.get(one), other.times.get(one)) if time) for one in both}
        return replace(self, times=times)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "erased": {digest: time.isoformat() for digest, time in self.times.items()},
            "unfinished": sorted(self.unfinished),
        }

    @classmethod
    def from_json(cls, value: Any, name: str) -> Erasures:
        """Raises DataError, which calls the file `name`, if it holds something else."""
        try:
            times = {digest: datetime.fromisoformat(time) for digest, time in value["erased"].items()}
            return cls(times, frozenset(value["unfinished"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{name} is no list of erasures ({error!r}); take it from a backup") from None


def read_erasures(folder: Folder) -> Erasures | None:
    """The folder's list; None if it has none. Raises DataError if it is damaged."""
    if not folder.exists(ERASURES):
        return None
    try:
        value = json.loads(folder.read(ERASURES))
    except ValueError as error:
        raise DataError(f"{folder / ERASURES} is damaged ({error}); take it from a backup") from None
    return Erasures.from_json(value, folder / ERASURES)


def write_erasures(folder: Folder, erasures: Erasures) -> None:
    """Write the list, whole and synced. Raises DataError if it cannot be written."""
    folder.write(ERASURES, (json.dumps(erasures.as_json(), indent=1) + "\n").encode())
