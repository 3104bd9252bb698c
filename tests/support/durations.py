"""A pytest plugin: how long each test took, and how long each module kept a core busy with all that it started.

Both lie in out/tests/TIER.json after a run, longest first; TIER is what `-m` chose, or `all`.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from support.processes import family

EVERY = 0.5
"""Seconds between looks at the processes: those that live shorter are missed."""


class CoreSeconds:
    """Of this process and all that it has started, as a thread sees them."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(EVERY)
            self.so_far()

    def so_far(self) -> float:
        """Those of ended processes count as they were last seen."""
        with self._lock:
            self._seen |= {pid: process.seconds for pid, process in family(os.getpid()).items()}
            return sum(self._seen.values())


class Durations:
    """In each process that runs tests, and in the one that collects what these say."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._core = CoreSeconds()
        self._tests: Counter[str] = Counter()
        self._modules: defaultdict[str, float] = defaultdict(float)
        self._begun = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item):
        """A module's fixtures are made and ended within the protocols of its tests."""
        before = self._core.so_far()
        result = yield
        self._modules[item.nodeid.partition("::")[0]] += self._core.so_far() - before
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """With fixtures, whose time counts for the test that needed them first."""
        self._tests[report.nodeid] += report.duration

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Told to the collecting process, or written by it."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["core_seconds"] = dict(self._modules)
            return
        if not self._tests:
            return
        tier = re.sub(r"\W+", "-", session.config.getoption("markexpr")).strip("-") or "all"
        found = {"seconds": _longest(self._tests), "core_seconds": _longest(self._modules)}
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{tier}.json").write_text(json.dumps(found, indent=1) + "\n")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node) -> None:
        """What a lane has told; nothing if it died."""
        for module, seconds in getattr(node, "workeroutput", {}).get("core_seconds", {}).items():
            self._modules[module] += seconds


def _longest(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in sorted(seconds.items(), key=lambda pair: -pair[1])}
