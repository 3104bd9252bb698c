"""API keys: who may ask what. Kept as hashes; a key is a random 256-bit number, so that no slow hash is needed."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from raymask.errors import ConfigError, DataError
from raymask.storage import Folder

log = logging.getLogger("raymask.serve")

Role = Literal["identify", "enrol", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may also what those before it may: ask about photos; enrol and list people; erase them, read and delete kept
photos."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key that is known."""

    name: str
    """Who has it."""
    role: Role
    sha256: str
    """Of the key, hexadecimal."""

    def may(self, role: Role) -> bool:
        """Whether it allows what that role does."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, kw_only=True)
class KeysConfig:
    """A key to make, or to take back."""

    file: str
    """File of hashes, which serve_configs name; made if it is not there."""
    name: str
    """Who has the key: a service, a door, a person."""
    role: Role = "identify"
    """identify asks about photos; enrol may also enrol and list people; admin may also erase them, and read and
    delete photos that were kept."""
    revoke: bool = False
    """Take back all keys of this name instead."""

    def __post_init__(self) -> None:
        if not self.name.isprintable() or not self.name.strip():
            raise ConfigError("name must be printable, and not empty")


def read_keys(file: str) -> tuple[Key, ...]:
    """The keys of a file. Raises DataError if it is missing, empty or damaged."""
    try:
        values = json.loads(Path(file).read_text())["keys"]
        keys = tuple(Key(name=one["name"], role=one["role"], sha256=one["sha256"]) for one in values)
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); make a key with jobs/keys.py") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no file of keys ({error!r}); make one with jobs/keys.py") from None
    if not keys or any(key.role not in ROLES or not re.fullmatch("[0-9a-f]{64}", str(key.sha256)) for key in keys):
        raise DataError(f"{file} holds no keys that can be used; make one with jobs/keys.py")
    return keys


class KeyFile:
    """The keys of a file as it is now: a key that is taken back is refused from then on."""

    def __init__(self, file: str) -> None:
        """Raises DataError as `read_keys`."""
        self._file = file
        self._seen = self._stamp()
        self._keys = read_keys(file)

    def __call__(self) -> tuple[Key, ...]:
        """The keys; none if the file is gone, and those of before if it cannot be read any more."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            if not stamp:
                log.warning("%s is gone: all keys are refused", self._file)
                self._keys = ()
                return self._keys
            try:
                self._keys = read_keys(self._file)
            except DataError as error:
                log.warning("the keys of before stay: %s", error)
        return self._keys

    def _stamp(self) -> tuple[int, ...]:
        try:
            status = os.stat(self._file)
        except OSError:
            return ()
        return status.st_ino, status.st_size, status.st_mtime_ns


def known_key(keys: tuple[Key, ...], given: str) -> Key | None:
    """The key that was given, if it is known; takes as long whether or not, and whichever."""
    digest = hashlib.sha256(given.encode()).hexdigest()
    found = None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


def change_keys(config: KeysConfig) -> str | None:
    """Make a key and return it, which is written nowhere; or take back those of a name. Raises DataError."""
    keys = list(read_keys(config.file)) if os.path.exists(config.file) else []
    made = None
    if config.revoke:
        left = [key for key in keys if key.name != config.name]
        if len(left) == len(keys):
            raise DataError(f"{config.file} has no key of {config.name}")
        if not left:
            raise DataError(
                f"{config.name} has the last key; make another first, or delete {config.file}: then nobody is answered"
            )
        keys = left
    else:
        made = f"raymask_{secrets.token_urlsafe(32)}"
        keys.append(Key(name=config.name, role=config.role, sha256=hashlib.sha256(made.encode()).hexdigest()))
    folder, name = os.path.split(os.path.abspath(config.file))
    lines = [{"name": key.name, "role": key.role, "sha256": key.sha256} for key in keys]
    Folder(folder).write(name, (json.dumps({"keys": lines}, indent=1) + "\n").encode())
    os.chmod(config.file, 0o600)
    return made
