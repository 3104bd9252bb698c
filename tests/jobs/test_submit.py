"""The entry points as jobs of a cluster: `ray job submit` and `ray job stop` against a head from `ray start`."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.ports import free_port

from raymask.storage import Folder
from raymask.train.engine.checkpoints import Checkpoints

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class Head:
    """A running head, and the environment in which it was started and may be asked."""

    environment: dict[str, str]
    folder: Path

    def ray(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`ray WORDS` as a person types it."""
        return subprocess.run(
            [str(BIN / "ray"), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            cwd=ROOT,
            env=self.environment | environment,
        )

    def submit(self, *entrypoint: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return self.ray("job", "submit", *options, "--working-dir", ".", "--", *entrypoint)

    def logs(self, job: str) -> str:
        """What the job has written by now."""
        return (self.folder / "session_latest" / "logs" / f"job-driver-{job}.log").read_text()


@contextlib.contextmanager
def start_head(*, authentication: str) -> Iterator[Head]:
    """`ray start --head` with ports, a folder and a home of its own."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as name:  # sockets: short
        folder = Path(name)
        gcs, dashboard, agent, client = (free_port() for _ in range(4))
        environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | {
            "PATH": f"{BIN}:{os.environ['PATH']}",  # `python` in an entry point is the head's
            "HOME": name,  # of the token
            "RAY_AUTH_MODE": authentication,
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
            "RAY_JOB_STOP_WAIT_TIME_S": "120",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
            "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",
            "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "300",
        }
        head = Head(environment=environment, folder=folder)
        if authentication == "token":
            made = head.ray("get-auth-token", "--generate")
            assert made.returncode == 0, made.stderr
        with (folder / "head.log").open("w") as log:
            process = subprocess.Popen(
                [
                    *(str(BIN / "ray"), "start", "--head", "--block", "--num-cpus", "2", "--temp-dir", name),
                    *("--port", str(gcs), "--include-dashboard", "true", "--dashboard-port", str(dashboard)),
                    *("--dashboard-agent-listen-port", str(agent), "--ray-client-server-port", str(client)),
                    *("--min-worker-port", "0", "--max-worker-port", "0", "--object-store-memory", str(200 * 2**20)),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # a group of its own, which ends as one
            )
        try:
            said = (folder / "head.log").read_text
            wait_until(lambda: process.poll() is not None or "Ray runtime started" in said())
            assert process.poll() is None, said()
            yield head
            assert process.poll() is None, said()
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(true, *, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with start_head(authentication="token") as head:
        yield head


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("submitted")


@pytest.fixture(scope="module")
def prepared_by_job(head, demo_faces, place) -> subprocess.CompletedProcess[str]:
    return head.submit(
        *("python", "jobs/prepare.py", "--images", str(demo_faces), "--out", str(place / "prepared")),
        *("--split.least-photos", "4", "--photos-per-file", "20", "--workers", "1"),
    )


def train_words(place: Path, *, epochs: int) -> list[str]:
    return [
        *("python", "jobs/train.py", "--data", str(place / "prepared"), "--storage", str(place), "--name", "run"),
        *("--epochs", str(epochs), "--model.backbone", "resnet18", "--model.input-size", "48", "--batch.people", "2"),
        *("--loss.mining", "all", "--optimiser.drop-every", "0", "--validation-photos", "0"),
    ]


@dataclass(frozen=True)
class Stopped:
    """A training that `ray job stop` has ended: when it was asked to, and what came back."""

    at: float
    command: subprocess.CompletedProcess[str]
    logs: str


@pytest.fixture(scope="module")
def stopped(head, prepared_by_job, place) -> Stopped:
    no_wait = ("--no-wait", "--submission-id", "long")
    submitted = head.submit(*train_words(place, epochs=100_000), options=no_wait)
    assert submitted.returncode == 0, submitted.stdout
    wait_until(lambda: "epoch 2 done" in head.logs("long") or "failed" in head.logs("long"))
    at = time.time()
    command = head.ray("job", "stop", "long")
    return Stopped(at, command, head.logs("long"))


@pytest.fixture(scope="module")
def continued(head, stopped, place) -> tuple[dict, subprocess.CompletedProcess[str]]:
    """The state that a stopped training left, and what came back of one that goes on from there to its end."""
    _, state = Checkpoints(Folder(place / "run")).newest()
    return state, head.submit(*train_words(place, epochs=state["epoch"] + 1))


def test_without_the_token_nothing_is_submitted(head):
    refused = head.ray("job", "submit", "--working-dir", ".", "--", "true", RAY_AUTH_MODE="disabled")
    assert refused.returncode != 0
    assert "authentication is enabled" in refused.stderr
    assert not list(head.folder.glob("session_latest/logs/job-driver-*"))


def test_prepare_is_submitted_and_its_lines_and_exit_code_come_back(prepared_by_job, place):
    assert prepared_by_job.returncode == 0, prepared_by_job.stdout
    assert "64 of 64 photos prepared" in prepared_by_job.stdout
    assert prepared_by_job.stdout.count("prepare: 64/64 photos") == 1
    assert (place / "prepared" / "summary.json").is_file()


def test_what_travels_is_small_and_is_what_runs(head, prepared_by_job):
    (package,) = head.folder.glob("session_latest/runtime_resources/working_dir_files/_ray_pkg_*/")
    assert (package / "raymask" / "__init__.py").is_file()
    assert not {".venv", ".git", "out"} & {path.name for path in package.iterdir()}
    weights = sum(path.stat().st_size for path in (package / "raymask" / "bundles").rglob("*"))
    assert sum(path.stat().st_size for path in package.rglob("*")) - weights < 5 * 2**20
    assert weights < 40 * 2**20


def test_a_mistake_comes_back_as_its_sentence(head, place):
    failed = head.submit("python", "jobs/prepare.py", "--images", str(place / "none"), "--out", str(place / "nowhere"))
    assert failed.returncode == 1
    assert "error: " in failed.stdout
    assert "none holds no photo" in failed.stdout
    assert "failed with exit code 2" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr


@pytest.mark.faults
def test_job_stop_leaves_a_checkpoint(stopped, place):
    assert stopped.command.returncode == 0, stopped.command.stderr
    assert "stopped after a checkpoint; the same command continues from it" in stopped.logs
    assert "SIGTERM" not in stopped.logs
    assert "Traceback" not in stopped.logs
    newest = place / "run" / Checkpoints(Folder(place / "run")).names()[-1]
    assert newest.stat().st_mtime > stopped.at


@pytest.mark.faults
def test_the_same_command_goes_on_where_it_was_stopped(continued, place):
    state, done = continued
    assert done.returncode == 0, done.stdout
    assert f"going on at epoch {state['epoch'] + 1}, step {state['step'] + 1}" in done.stdout
    assert done.stdout.count(f"epoch {state['epoch'] + 1} done: loss") == 1
    assert "trained for" in done.stdout
    assert (place / "run" / "bundle" / "config.json").is_file()


@pytest.mark.faults
def test_tune_is_submitted(head, prepared_by_job, place):
    done = head.submit(
        *("python", "jobs/tune.py", "--data", str(place / "prepared"), "--storage", str(place), "--name", "search"),
        *("--trials", "1", "--epochs", "1", "--model.backbone", "resnet18", "--model.input-size", "48"),
        *("--batch.people", "2", "--loss.mining", "all"),
    )
    assert done.returncode == 0, done.stdout
    assert "best is trial 000" in done.stdout
    assert "Traceback" not in done.stdout
    assert (place / "search" / "best.yaml").is_file()


@pytest.mark.faults
def test_evaluate_is_submitted(head, demo_faces, continued, place):
    done = head.submit(
        *("python", "jobs/evaluate.py", f"bundle:{place / 'run' / 'bundle'}", "--protocol", "gallery"),
        *("--images", str(demo_faces), "--people", str(place / "prepared" / "splits.json"), "--resamples", "100"),
        *("--out", str(place / "evaluated")),
    )
    assert done.returncode == 0, done.stdout
    assert "rank-1" in done.stdout
    assert (place / "evaluated" / "table.json").is_file()


@pytest.mark.faults
def test_a_cluster_without_authentication_runs_the_raymask_that_was_submitted():
    """The working directory's raymask is imported, not one that the head may have installed."""
    with start_head(authentication="disabled") as head:
        done = head.submit("python", "-c", "import raymask, sys; print(raymask.__file__, sys.executable)")
    assert done.returncode == 0, done.stdout
    assert re.search(rf"_ray_pkg_\w+/raymask/__init__\.py {re.escape(sys.executable)}$", done.stdout, re.MULTILINE)


def test_environments_outputs_and_caches_stay_at_home(tmp_path):
    from ray._private.ray_constants import get_runtime_env_default_excludes
    from ray._private.runtime_env.packaging import create_package

    shutil.copy(ROOT / ".gitignore", tmp_path)
    wanted = {".gitignore", "jobs/train.py", "raymask/faces/model.dat", "raymask/out/__init__.py"}
    caches = {f".{tool}_cache/{name}" for tool in ("pytest", "ruff", "mypy") for name in ("v", "deep/w")}
    others = {".git/HEAD", ".venv/lib/a.py", "out/photo.jpg", "raymask/__pycache__/a.pyc", "build/a", "a.egg-info/b"}
    for name in (wanted | caches | others) - {".gitignore"}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    package = tmp_path.parent / "package.zip"
    create_package(str(tmp_path), package, include_gitignore=True, excludes=get_runtime_env_default_excludes())
    assert {name for name in zipfile.ZipFile(package).namelist() if not name.endswith("/")} == wanted
