"""What a process has started, and how long all of it has computed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """One that runs, or has ended and was not waited for."""

    parent: int
    seconds: float
    """Of its own on a core, without what it has started."""


def all_processes() -> dict[int, Process]:
    """By id."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended meanwhile
            continue
        found[int(stat.parent.name)] = Process(int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS)
    return found


def family(pid: int) -> dict[int, Process]:
    """A process, first, and all that it and those have started."""
    processes = all_processes()
    children: dict[int, list[int]] = {}
    for child, process in processes.items():
        children.setdefault(process.parent, []).append(child)
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return {one: processes[one] for one in found if one in processes}
