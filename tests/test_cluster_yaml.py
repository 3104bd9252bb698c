"""cluster.yaml as `ray up` reads it, without any cloud."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from raymask.cli import parse
from raymask.cluster import GROWS
from raymask.data.prepare.config import PrepareConfig
from raymask.train.engine.config import TrainConfig

ROOT = Path(__file__).parent.parent
FILE = ROOT / "cluster.yaml"


@pytest.fixture
def written() -> dict:
    return yaml.safe_load(FILE.read_text())


@pytest.fixture
def config(written) -> dict:
    """What `ray up` makes of it before it asks the cloud."""
    return prepare_config(written)


def commands(config: dict) -> list[str]:
    """All that a head and a worker run."""
    kinds = ("initialization_commands", "setup_commands", "start_ray_commands")
    return [command for key in config if key.endswith(kinds) for command in config[key]]


def test_ray_accepts_it(config):
    validate_config(config)
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0}
    assert types[config["head_node_type"]]["max_workers"] == 0
    for name in ("cpu_worker", "gpu_worker"):
        assert types[name]["min_workers"] == 0
        assert 0 < types[name]["max_workers"] <= config["max_workers"]


def test_ray_would_refuse_a_slip(config):
    config["idle_timeout"] = 10
    with pytest.raises(ValidationError, match="idle_timeout"):
        validate_config(config)


def test_what_is_copied_is_there_and_used(written):
    mounts = written["file_mounts"]
    own = {remote: local for remote, local in mounts.items() if not local.startswith("~")}
    assert mounts["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert own
    for remote, local in own.items():
        assert (ROOT / local).is_file()
        assert any(remote in command for command in written["setup_commands"])


def test_all_commands_are_shell(config):
    assert len(commands(config)) > 10
    for command in commands(config):
        checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, command
        assert not checked.stderr


def test_every_shell_of_a_machine_has_the_settings(written, tmp_path):
    (tmp_path / "raymask").mkdir()
    settings = [command for command in written["setup_commands"] if re.match(r"echo|grep", command)]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    (tmp_path / ".bashrc").touch()
    for command in settings * 2:  # a second `ray up` runs them again
        subprocess.run(["bash", "-c", command], env=environment, check=True)
    shown = subprocess.run(
        ["bash", "-c", "source ~/.bashrc; env"], env=environment, capture_output=True, text=True, check=True
    )
    values = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert values["RAY_AUTH_MODE"] == "token"
    assert int(values["RAY_JOB_STOP_WAIT_TIME_S"]) > 60
    assert values[GROWS] == "1"
    assert values["RAYMASK_BUCKET"].startswith("s3://")
    assert values["PATH"].startswith(f"{tmp_path}/raymask/venv/bin:")
    assert (tmp_path / ".bashrc").read_text().count("source") == 1


def test_a_bucket_that_cannot_be_read_ends_the_setup_with_a_sentence(written, tmp_path):
    (check,) = [command for command in written["setup_commands"] if "pyarrow" in command]
    place = tmp_path / "bucket"

    def checked() -> subprocess.CompletedProcess[str]:
        environment = {"RAYMASK_BUCKET": str(place), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        return subprocess.run(["bash", "-c", check], env=environment, capture_output=True, text=True, check=False)

    missing = checked()
    assert missing.returncode == 1
    assert "bucket cannot be read; name your bucket in cluster.yaml" in missing.stdout
    place.mkdir()
    assert checked().returncode == 0


def test_the_tools_are_those_of_the_makefile(written):
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert any(f"/uv/{version}/install.sh" in command for command in written["setup_commands"])


def test_the_commands_in_its_comments_are_possible(written):
    comments = "\n".join(line[1:].strip() for line in FILE.read_text().splitlines() if line.startswith("#"))
    examples = re.findall(r"sh -c 'python jobs/(\w+)\.py (.+?)'", comments.replace("\\\n", ""))
    made = {
        job: parse({"prepare": PrepareConfig, "train": TrainConfig}[job], job, shlex.split(words))
        for job, words in examples
    }
    assert made["train"].data == made["prepare"].out
    assert made["train"].workers <= written["available_node_types"]["gpu_worker"]["max_workers"]
    for name in re.findall(r"jobs/\w+\.py", comments):
        assert (ROOT / name).is_file()
