"""What a run or a search was begun with, kept in its folder, so that nothing else goes on under its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from raymask.data.prepare.layout import PLAN
from raymask.data.reading.joined import Data, folders_of
from raymask.errors import DataError
from raymask.storage import Folder


def claim(
    folder: Folder, file: str, settings: dict[str, Any], *, kind: str, begun: bool, free: Sequence[str] = ()
) -> None:
    """Keep the settings in `file`; a folder whose work has begun with others is refused.

    Prepared folders among them, `data` and `worn`, count by their `contents`, so that they may be moved.

    Args:
        kind: "run" or "search", for the message.
        begun: whether there is work in the folder that the settings must fit.
        free: settings that may change.

    Raises:
        DataError: other settings, a folder that cannot be written, or data that cannot be read.
    """
    prepared = {key: contents(settings[key]) for key in ("data", "worn") if settings.get(key)}
    settings = json.loads(json.dumps(settings | prepared))
    if begun and folder.exists(file):
        earlier = json.loads(folder.read(file))
        # Runs of before digests were kept have none; of what they began with their checkpoints hold it.
        unknown = [key for key in settings if key.endswith("_sha256") and key not in earlier]
        changed = changed_settings(settings, earlier, free=[*free, *unknown])
        if changed:
            raise DataError(
                f"{folder.uri} is a {kind} with other settings ({', '.join(changed)} changed); choose another --name "
                f"to start anew, or the settings of before to continue"
            )
    folder.write(file, (json.dumps(settings, indent=1) + "\n").encode())


def contents(data: Data) -> str | list[str]:
    """What tells prepared folders from others wherever they lie: the digests of the plans that they were made by.

    Raises:
        DataError: a folder holds no plan, or it cannot be read.
    """
    plans = [hashlib.sha256(Folder(one).read(PLAN)).hexdigest() for one in folders_of(data)]
    return plans[0] if len(plans) == 1 else plans


def check_resumed(settings: Mapping[str, Any], earlier: Mapping[str, Any], *, free: Sequence[str] = ()) -> None:
    """Raise DataError if a checkpoint of `earlier` settings is no start for these; `free`: those that may change."""
    changed = changed_settings(settings, earlier, free=free)
    if changed:
        raise DataError(
            f"the run of this name was trained with other settings ({', '.join(changed)} changed); choose another "
            f"--name, or the settings of before"
        )


def changed_settings(now: Mapping[str, Any], earlier: Mapping[str, Any], *, free: Sequence[str]) -> list[str]:
    """Settings that differ, but for those that may; one that an earlier version did not know does unless it is off."""
    return [key for key in now if key not in free and not _same(now, earlier, key)]


def _same(now: Mapping[str, Any], earlier: Mapping[str, Any], key: str) -> bool:
    if key not in earlier:
        return not now[key]
    if isinstance(now[key], Mapping) and isinstance(earlier[key], Mapping):
        return now[key].keys() >= earlier[key].keys() and not changed_settings(now[key], earlier[key], free=())
    return bool(now[key] == earlier[key])
