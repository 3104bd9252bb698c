"""What kills a training, with real processes and real kills: it goes on from its last step, to the same end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from raymask.data.sampler import SamplerConfig
from raymask.data.storage import Folder
from raymask.errors import TrainingError
from raymask.models.config import MaskFaceNetConfig
from raymask.train.checkpoints import Checkpoints
from raymask.train.config import LossConfig, OptimiserConfig, TrainConfig, WatchConfig
from raymask.train.loop import Surroundings, train
from raymask.train.ray_train import STARTED, train_on_ray

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def config(prepared, tmp_path_factory) -> TrainConfig:
    """36 steps of two chunks each, a checkpoint after every one, no dropout."""
    return TrainConfig(
        data=str(prepared),
        storage=str(tmp_path_factory.mktemp("runs")),
        name="run",
        workers=2,
        checkpoint_every=1,
        epochs=12,
        chunk=8,
        validation_photos=0,
        model=MaskFaceNetConfig(backbone="resnet18", input_size=64, embedding_size=16, dropout=0),
        batch=SamplerConfig(people=2),
        loss=LossConfig(mining="all"),
        optimiser=OptimiserConfig(drop_every=0, learning_rate=1e-5, momentum=0.5),
        watch=WatchConfig(tensorboard=False),
    )


@pytest.fixture(scope="module")
def undisturbed(config) -> dict:
    """The last checkpoint's state of one worker that nothing happens to, without Ray."""
    run = Folder(f"{config.storage}/undisturbed")
    train(config.loop(), Surroundings(save=Checkpoints(run).save))
    return Checkpoints(run).newest()[1]


def assert_same_end(name: str, config: TrainConfig, undisturbed: dict) -> None:
    """The same batches, no step lost and none done twice (the network counts them), and the same loss.

    The loss is equal within a fifth: workers add in another order, and batch normalisation of few photos blows that up.
    """
    _, state = Checkpoints(Folder(f"{config.storage}/{name}")).newest()
    assert (state["epoch"], state["step"]) == (config.epochs, 0)
    steps = "head.4.num_batches_tracked"
    assert state["model"][steps] == undisturbed["model"][steps] == 36
    found, wanted = state["metrics"], undisturbed["metrics"]
    assert [found[key] for key in ("valid", "visited")] == [wanted[key] for key in ("valid", "visited")]
    assert found["loss"] == pytest.approx(wanted["loss"], rel=0.2)


def wait_for_step(run: Path, step: int) -> None:
    """Until a checkpoint of this step (of all) or a later one is there."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        names = Checkpoints(Folder(run)).names()
        if names and int(names[-1][18:21]) * 3 + int(names[-1][27:33]) >= step:
            return
        time.sleep(0.05)
    raise AssertionError(f"no step {step} in {run}: {sorted(run.rglob('*'))}")


def first_worker(run: Path) -> int:
    return int((run / STARTED).read_text().split()[1])


def test_a_worker_killed_amid_an_epoch_costs_no_step(config, undisturbed):
    own, killed = replace(config, name="worker-killed"), []
    run = Path(own.storage) / own.name

    def kill() -> None:
        wait_for_step(run, 4)
        killed.append(first_worker(run))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    train_on_ray(own)
    killer.join()
    assert killed
    assert_same_end(own.name, own, undisturbed)


def start_job(config: TrainConfig, folder: Path) -> subprocess.Popen[str]:
    """In the cluster of all tests, with a driver of its own."""
    import ray

    file = folder / "config.yaml"
    file.write_text(json.dumps(asdict(config)))  # JSON is YAML
    return subprocess.Popen(
        [sys.executable, str(ROOT / "jobs" / "train.py"), "--config", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address},
    )


def test_a_driver_killed_with_two_workers_is_continued_with_three(config, undisturbed, tmp_path):
    own = replace(config, name="driver-killed")
    job = start_job(own, tmp_path)
    wait_for_step(Path(own.storage) / own.name, 3)
    job.kill()
    job.communicate()
    train_on_ray(replace(own, workers=3))
    assert_same_end(own.name, own, undisturbed)


def test_sigterm_leaves_a_checkpoint_and_one_worker_goes_on_from_it(config, undisturbed, tmp_path):
    own = replace(config, name="stopped", checkpoint_every=1000)
    run = Path(own.storage) / own.name
    job = start_job(own, tmp_path)
    wait_for_step(run, 3)
    job.send_signal(signal.SIGTERM)
    output, _ = job.communicate(timeout=120)
    assert job.returncode == 143, output
    assert "stopped after a checkpoint; the same command continues from it" in output
    assert "Traceback" not in output, output
    _, state = Checkpoints(Folder(run)).newest()
    assert 0 < state["epoch"] * 3 + state["step"] < 36
    train_on_ray(replace(own, workers=1))
    assert_same_end(own.name, own, undisturbed)


NODE_LOSS = """
import json, sys, threading, time
import ray
from ray.cluster_utils import Cluster
from raymask.data.storage import Folder
from raymask.train.checkpoints import Checkpoints
from raymask.train.ray_train import train_on_ray
sys.path.insert(0, sys.argv[2])
import test_faults
config = test_faults.read_config(sys.argv[1])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
lost = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False)

def remove():
    test_faults.wait_for_step(test_faults.Path(config.storage) / config.name, 3)
    cluster.remove_node(lost, allow_graceful=False)
    print("node removed", flush=True)

thread = threading.Thread(target=remove)
thread.start()
train_on_ray(config)
thread.join()
ray.shutdown()
cluster.shutdown()
"""


def read_config(file: str) -> TrainConfig:
    from raymask.cli import parse

    return parse(TrainConfig, "", ["--config", file])


def test_a_node_that_is_lost_leaves_the_rest_to_go_on(config, undisturbed, tmp_path):
    own = replace(config, name="node-lost", min_workers=1)
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(asdict(own)))
    done = subprocess.run(
        [sys.executable, "-c", NODE_LOSS, str(file), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "node removed" in done.stdout
    assert_same_end(own.name, own, undisturbed)


def test_a_full_disk_ends_the_run_with_a_sentence(config, small_disk, ray_cluster):
    full = replace(config, name="full", storage=str(small_disk), workers=1)
    with pytest.raises(TrainingError, match=r"cannot be written \(No space left on device\); check rights"):
        train_on_ray(full)
