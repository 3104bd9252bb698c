"""`prepare` on three nodes, from and into a bucket, of a real S3 server that runs here."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow.fs import S3FileSystem
from support.ports import free_port

from raymask.data.format.splits import SplitConfig
from raymask.data.prepare.config import PrepareConfig
from raymask.data.prepare.run import prepare

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parent.parent.parent.parent
OPTIONS = ("--split.least-photos=2", "--split.validation=1", "--split.test=1", "--photos-per-file=4")
THREE_NODES = """
import runpy
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
try:
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    runpy.run_path("jobs/prepare.py", run_name="__main__")
    print("on", len(ray.nodes()), "nodes")
finally:  # a cluster that dies instead is what Ray on this machine would look for from then on
    ray.shutdown()
    cluster.shutdown()
"""


@pytest.fixture(scope="module")
def bucket():
    """Environment of a server with an empty bucket `faces`, and its file system."""
    port = free_port()
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    server = subprocess.Popen(
        [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    answered_by = time.monotonic() + 60
    while not answers(port):
        assert server.poll() is None, "the server ended"
        assert time.monotonic() < answered_by, "the server did not start"
        time.sleep(0.1)
    files = S3FileSystem(
        access_key="test",
        secret_key="test",
        region="us-east-1",
        scheme="http",
        endpoint_override=f"127.0.0.1:{port}",
        allow_bucket_creation=True,
    )
    try:
        files.create_dir("faces")
        yield environment, files
    finally:
        server.terminate()
        server.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def run(command: list[str], environment: dict[str, str]) -> str:
    arguments = ["--images", "s3://faces/photos", "--out", "s3://faces/prepared", *OPTIONS]
    done = subprocess.run(
        [sys.executable, *command, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rows_in_a_bucket_are_those_of_a_local_folder_and_a_second_run_changes_nothing(
    bucket, demo_faces, tmp_path, ray_cluster
):
    environment, files = bucket
    local, out = tmp_path / "photos", tmp_path / "out"
    for person in sorted(demo_faces.iterdir())[:3]:
        (local / person.name).mkdir(parents=True)
        for photo in sorted(person.glob("*.jpg"))[:4]:
            (local / person.name / photo.name).write_bytes(photo.read_bytes())
            with files.open_output_stream(f"faces/photos/{person.name}/{photo.name}") as stream:
                stream.write(photo.read_bytes())
    said = run(["-c", THREE_NODES], environment)
    assert "12 of 12 photos prepared" in said
    assert "look at s3://faces/prepared/sheet.png" in said
    assert "on 3 nodes" in said
    split = SplitConfig(least_photos=2, validation=1, test=1)
    summary = prepare(PrepareConfig(images=str(local), out=str(out), split=split, photos_per_file=4, workers=1))

    assert summary == json.loads(files.open_input_stream("faces/prepared/summary.json").read())
    parts = sorted(out.glob("split=*/*.parquet"))
    assert len(parts) == 3
    for part in parts:
        there = pq.read_table(files.open_input_file(f"faces/prepared/{part.relative_to(out)}"), partitioning=None)
        assert there.equals(pq.read_table(part, partitioning=None)), part

    written = {info.path: info.mtime for info in listing(files)}
    assert "12 of 12 photos prepared" in run(["jobs/prepare.py"], environment | {"RAY_ADDRESS": "local"})
    assert {info.path: info.mtime for info in listing(files)} == written


def listing(files: S3FileSystem):
    from pyarrow.fs import FileSelector

    return files.get_file_info(FileSelector("faces/prepared", recursive=True))
