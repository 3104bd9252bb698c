"""A run's checkpoints: files that appear whole or not at all, the newest readable one of which a run goes on from.

They are raymask's own rather than Ray Train's: its list of checkpoints is a file written in place, so that a kill at
the wrong moment or a full disk would cost the run, and it is tied to one version of Ray. These also work without Ray.
"""

from __future__ import annotations

import io
import re
from typing import Any

from raymask.errors import DataError
from raymask.storage import Folder

State = dict[str, Any]
"""What a checkpoint holds: tensors, numbers and strings only (see `raymask.train.embedder.loop`)."""

FOLDER = "checkpoints"
KEPT = 2
"""Checkpoints that a run keeps: the newest, and one more in case that is damaged."""


class Checkpoints:
    """The checkpoints of one run, `RUN/checkpoints/epoch-003-step-000120.pt`."""

    def __init__(self, run: Folder) -> None:
        self._run = run
        self._damaged: set[str] = set()
        """Names that `newest` passed over."""

    def save(self, state: State) -> str:
        """Write a checkpoint and delete all but the newest, and those known to be damaged; returns its address.

        Raises:
            DataError: it cannot be written (rights, disk full); the earlier ones stay.
        """
        import torch

        buffer = io.BytesIO()
        torch.save(state, buffer)
        name = f"{FOLDER}/epoch-{state['epoch']:03}-step-{state['step']:06}.pt"
        self._run.write(name, buffer.getvalue())
        self._damaged.discard(name)
        good = [one for one in self.names() if one not in self._damaged]
        for old in [*self._damaged, *good[:-KEPT]]:
            self._run.delete(old)
        self._damaged.clear()
        return self._run / name

    def names(self) -> list[str]:
        """Names in the run's folder, oldest first."""
        found = (re.fullmatch(rf"{FOLDER}/epoch-(\d+)-step-(\d+)\.pt", name) for name in self._run.names())
        return [match[0] for match in sorted(filter(None, found), key=lambda match: (int(match[1]), int(match[2])))]

    def newest(self) -> tuple[str, State] | None:
        """The newest checkpoint that can be read, its name and its state; a damaged one is named and passed over."""
        for name in reversed(self.names()):
            try:
                return name, self.load(name)
            except DataError:
                raise
            except Exception as error:  # whatever reading a damaged file comes to
                self._damaged.add(name)
                print(f"checkpoint {self._run / name} is damaged ({type(error).__name__}), going back one", flush=True)
        return None

    def agreed(self) -> State | None:
        """The newest state, the same on all ranks: the first rank chooses."""
        import torch.distributed as dist

        if not dist.is_initialized() or dist.get_world_size() == 1:
            found = self.newest()
            return None if found is None else found[1]
        first = self.newest() if dist.get_rank() == 0 else None
        names = [None if first is None else first[0]]
        dist.broadcast_object_list(names)
        if first is not None:
            return first[1]
        return None if names[0] is None else self.load(names[0])

    def load(self, name: str) -> State:
        """The state in a checkpoint, its tensors on the CPU."""
        import torch

        return dict(torch.load(io.BytesIO(self._run.read(name)), weights_only=True, map_location="cpu"))
