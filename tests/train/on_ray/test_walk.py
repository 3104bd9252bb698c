"""How many files one reads to follow a training from its command line to Ray Train."""

import contextlib
import importlib.util
import inspect
import json
import sys
import threading
from pathlib import Path

import pytest

from raymask.data.prepare.layout import FORMAT

ROOT = Path(__file__).parents[3]
MOST_FILES = 10


class AtTheTrainerError(Exception):
    """The walk is over."""


class Stub:
    """Stands where Ray Train's trainer does."""

    def __init__(self, *_, **__):
        raise AtTheTrainerError


@pytest.fixture
def faces(tmp_path) -> Path:
    """What a driver looks at of a prepared folder."""
    folder = tmp_path / "faces"
    (folder / "split=train").mkdir(parents=True)
    for name in ("split=train/00000.parquet", "index.parquet", "summary.json"):
        (folder / name).touch()
    (folder / "plan.json").write_text(json.dumps({"format": FORMAT}))
    return folder


@contextlib.contextmanager
def each_function(note):
    """Have `note` called with the code that is entered."""
    if sys.version_info < (3, 12):
        sys.settrace(lambda frame, *_: note(frame.f_code))
        try:
            yield
        finally:
            sys.settrace(None)
        return
    monitoring, tool = sys.monitoring, sys.monitoring.PROFILER_ID
    monitoring.use_tool_id(tool, "walk")
    monitoring.register_callback(tool, monitoring.events.PY_START, lambda code, _: note(code))
    monitoring.set_events(tool, monitoring.events.PY_START)
    monitoring.restart_events()
    try:
        yield
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)


def entered(job: str, words: list[str], monkeypatch) -> list[str]:
    """The files of ours, in order, whose functions are entered from a job's main() to the trainer's constructor."""
    import jsonargparse  # noqa: F401  # imported before anything is traced, which takes its time
    import ray.train.torch

    monkeypatch.setattr(ray.train.torch, "TorchTrainer", Stub)
    monkeypatch.setattr(sys, "argv", [job, *words])
    spec = importlib.util.spec_from_file_location("job", ROOT / "jobs" / job)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ours = tuple(f"{ROOT / folder}/" for folder in ("raymask", "jobs"))
    files: dict[str, None] = {}

    def note(code):
        """Bodies of modules and classes are no functions: they run at an import. Nor is a step of
        the walk what the parser asks a package for (`raymask.models` has lazy names)."""
        if code.co_name == "__getattr__" or threading.current_thread() is not threading.main_thread():
            return
        if code.co_filename.startswith(ours) and code.co_flags & inspect.CO_OPTIMIZED:
            files[code.co_filename.removeprefix(f"{ROOT}/")] = None

    with pytest.raises(AtTheTrainerError), each_function(note):
        module.main()
    return list(files)


def test_the_walk_from_the_command_line_to_the_trainer_enters_few_files(faces, tmp_path, monkeypatch):
    words = ["--data", str(faces), "--storage", str(tmp_path / "runs"), "--name", "one"]
    files = entered("train.py", words, monkeypatch)
    assert files[0] == "jobs/train.py"
    assert "raymask/train/on_ray/trainer.py" in files
    assert len(files) <= MOST_FILES, "\n".join(files)
