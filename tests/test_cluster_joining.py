"""Clusters that are not there, do not answer or do not let in; and machines on which none can be started.

Real sockets, servers and folders. No Ray is started: each program ends before, or has a home in which none can start.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc
from support.jobs import Done
from support.ports import free_port

from raymask.errors import ClusterError

CONNECT = "from raymask.cli import run; from raymask.cluster import connect; run(connect)"
WATCHED = """
import sys
from raymask.cluster import _init
from raymask.cluster_address import parse
from raymask.cluster_wait import Patience, watched

address = parse(sys.argv[1], named_by="RAY_ADDRESS")
with watched(Patience(address, every=1, seconds=float(sys.argv[2]))):
    _init(address.text)  # Ray's C++ code holds the main thread for minutes
"""


def program(script: str, *words: str, environment: dict[str, str], **options) -> subprocess.Popen[str]:
    """A running program that knows of no Ray but what `environment` says."""
    ours = ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_TMPDIR", "TMPDIR", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.Popen(
        [sys.executable, "-c", script, *words],
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@contextmanager
def killed_after(job: subprocess.Popen[str], *, seconds: float):
    """Kill a program that has not ended by then, and at the end of the block."""
    timer = threading.Timer(seconds, job.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        job.kill()


def joining(*, within: float = 60, **environment: str) -> Done:
    """What a job says that asks for Ray; one that is not done within these seconds is killed."""
    job = program(CONNECT, environment=environment, process_group=0)
    try:
        out, err = job.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)  # with what Ray has started
        out, err = job.communicate()
    return Done(job.returncode, out, err)


def sentence(done: Done) -> str:
    """What a user's mistake ends with: status 2 and one line."""
    assert done.returncode == 2, (done.returncode, done.stderr[-2000:])
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def silent():
    """HOST:PORT of what takes connections and says nothing."""
    with socket.create_server(("0.0.0.0", free_port())) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def head():
    """Start a server that answers as a cluster's head does; returns its HOST:PORT."""
    servers = []

    def start(*, version: str = "", refuses: bool = False, knows: bool = True) -> str:
        class Head(gcs_service_pb2_grpc.NodeInfoGcsServiceServicer):
            def CheckAlive(self, request, context):  # noqa: N802
                if refuses:
                    context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
                return gcs_service_pb2.CheckAliveReply(ray_version=version)

        server = grpc.server(ThreadPoolExecutor(1))
        if knows:
            gcs_service_pb2_grpc.add_NodeInfoGcsServiceServicer_to_server(Head(), server)
        port = server.add_insecure_port(f"0.0.0.0:{free_port()}")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def short():
    """A folder whose path leaves room for Ray's sockets, as pytest's own does not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def no_home(short) -> str:
    """A folder that nobody can make or write into, root neither."""
    (short / "file").write_text("in the way")
    return str(short / "file" / "home")


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_listens_is_said_at_once(scheme):
    place = f"{scheme}127.0.0.1:{free_port()}"
    said = sentence(joining(RAY_ADDRESS=place))
    assert f"no Ray cluster listens at {place}, which RAY_ADDRESS names (Connection refused); start one" in said


def test_a_machine_that_takes_no_connection_is_given_up_within_five_seconds():
    from raymask.cluster_address import check_listening, parse

    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", free_port()))
        full.listen(0)
        for waiting in (first, second):  # more than it keeps: the next is not answered
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        address = parse(f"127.0.0.1:{full.getsockname()[1]}", named_by="RAY_ADDRESS")
        began = time.monotonic()
        with pytest.raises(ClusterError, match="no answer in 4 s"):
            check_listening(address, "127.0.0.1")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1", "write HOST:PORT"),
        ("::1:6379", r"or \[::1\]:6379"),
        ("http://127.0.0.1:8265", "that is how the dashboard is asked, by `ray job submit`"),
        ("head:port", "write HOST:PORT"),
        ("auto", "RAY_ADDRESS is auto and you have no Ray cluster on this machine"),
        ("nowhere.invalid:6379", "its host is not known here"),
    ],
)
def test_addresses_that_are_none_are_refused(address, said, tmp_path):
    assert re.search(said, sentence(joining(RAY_ADDRESS=address, RAY_TMPDIR=str(tmp_path))))


def test_addresses_are_read_as_ray_writes_them():
    from raymask.cluster_address import parse

    read = [parse(text, named_by="x") for text in ("10.0.0.5:6379", "[::1]:6380", "ray://head:10001")]
    assert [(one.host, one.port, one.is_client) for one in read] == [
        ("10.0.0.5", 6379, False),
        ("::1", 6380, False),
        ("head", 10001, True),
    ]


def test_a_silent_cluster_is_waited_for_aloud_until_sigterm(silent):
    with program(CONNECT, environment={"RAY_ADDRESS": silent}) as job, killed_after(job, seconds=40):
        assert job.stdout.readline() == f"waiting for Ray at {silent}\n"
        job.terminate()
        assert job.wait() in (-signal.SIGTERM, 143)


def test_a_silent_cluster_is_given_up_in_the_end(silent, capsys):
    from raymask.cluster_address import parse
    from raymask.cluster_wait import PATIENCE, Patience, wait_for_head

    assert PATIENCE == 120
    patience = Patience(parse(silent, named_by="RAY_ADDRESS"), every=0.2, seconds=0.9)
    with pytest.raises(ClusterError, match=r"something listens at .* and has not answered .* in 0.9 s"):
        wait_for_head(patience, "127.0.0.1")
    assert capsys.readouterr().out.splitlines() == [f"waiting for Ray at {silent}"] * 4


@pytest.mark.parametrize(("seconds", "status", "said"), [(3, 2, "has not answered"), (60, 143, "stopped while Ray")])
def test_what_holds_the_main_thread_neither_hides_the_wait_nor_outlives_it(silent, seconds, status, said):
    with program(WATCHED, silent, str(seconds), environment={}) as job, killed_after(job, seconds=40):
        for _ in range(2):
            assert job.stdout.readline() == f"waiting for Ray at {silent}\n"
        if status == 143:
            job.terminate()
        out, err = job.communicate()
    assert job.returncode == status, err
    assert said in out + err


def test_a_head_of_another_version_is_told_from_ours(head):
    said = sentence(joining(RAY_ADDRESS=head(version="2.1.0")))
    assert "runs Ray 2.1.0 and this program Ray 2.60" in said


def test_a_cluster_that_wants_a_token_says_how_it_is_given(head):
    said = sentence(joining(RAY_ADDRESS=head(refuses=True)))
    assert "wants its token; set RAY_AUTH_MODE=token and put the token into ~/.ray/auth_token" in said


def test_a_token_that_is_to_be_sent_and_is_not_there_is_missed(head, no_home):
    said = sentence(joining(RAY_ADDRESS=head(version="2.60.0"), RAY_AUTH_MODE="token", HOME=no_home))
    assert "wants its token" in said


def test_another_server_is_not_taken_for_a_cluster(head):
    said = sentence(joining(RAY_ADDRESS=head(knows=False)))
    assert "is not the head of a Ray cluster (UNIMPLEMENTED); its port is 6379 unless" in said


@pytest.fixture
def noted(short):
    """The file in which `ray start` notes a cluster, below a RAY_TMPDIR; nothing listens at the port it names."""
    file = short / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    file.write_text(f"127.0.0.1:{free_port()}")
    return file


def test_a_cluster_of_ones_own_is_joined_where_ray_noted_it(noted, short):
    said = sentence(joining(RAY_TMPDIR=str(short)))
    assert f"no Ray cluster listens at {noted.read_text()}, which {noted} names" in said
    assert f"or remove {noted}" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_cluster_is_left_alone(noted, no_home, short):
    os.chown(noted, 12345, 12345)
    done = joining(RAY_TMPDIR=str(short), HOME=no_home)
    assert "cannot write its token" in sentence(done), "it went on to start its own"
    assert done.stdout == f"{noted} names another user's Ray cluster, which is left alone; RAY_ADDRESS joins it\n"


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
def test_a_temporary_folder_with_a_long_path_is_refused(name, tmp_path):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    said = sentence(joining(HOME=str(tmp_path), **{name: str(folder)}))
    assert f"Ray's sockets cannot lie in {folder}, which {name} names: its path is too long; set RAY_TMPDIR" in said


def test_a_path_that_just_fits_is_taken(monkeypatch):
    from raymask import cluster_start

    session = f"/ray/session_2026-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
    fits = "/tmp/" + "x" * (107 - len("/tmp/") - len(session))
    monkeypatch.setenv("RAY_TMPDIR", fits)
    cluster_start.check_temporary_folder()
    monkeypatch.setenv("RAY_TMPDIR", f"{fits}x")
    with pytest.raises(ClusterError, match=f"at most {len(fits)} bytes"):
        cluster_start.check_temporary_folder()


def test_a_temporary_folder_that_cannot_be_written_is_refused(no_home, tmp_path):
    said = sentence(joining(RAY_TMPDIR=no_home, HOME=str(tmp_path)))
    assert f"Ray cannot write into {no_home}, which RAY_TMPDIR names (Not a directory); set RAY_TMPDIR to a" in said


def test_a_home_that_cannot_be_written_is_refused(no_home):
    said = sentence(joining(HOME=no_home))
    assert f"Ray cannot write its token into {no_home}/.ray (Not a directory); set HOME" in said
