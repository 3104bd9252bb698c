"""Entry points in the process of the test, which has imported already what a new one would import for seconds."""

from __future__ import annotations

import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest

JOBS = Path(__file__).parent.parent.parent / "jobs"


class Done(NamedTuple):
    """As `subprocess.run` says it."""

    returncode: int
    stdout: str
    stderr: str


def job_here(name: str, *words: object) -> Done:
    """`python jobs/NAME.py WORDS`; for what ends before Ray is asked for anything."""
    out, err, status = StringIO(), StringIO(), 0
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        try:
            runpy.run_path(str(JOBS / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    return Done(status, out.getvalue(), err.getvalue())
