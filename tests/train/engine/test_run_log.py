"""What TensorBoard and MLflow are given, read back as they read it, and what happens when they cannot take it."""

import os
import socket
import subprocess
import sys
import threading
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from raymask.errors import ConfigError
from raymask.storage import Folder
from raymask.train.engine.config import LoopConfig, LossConfig, WatchConfig
from raymask.train.engine.distances import distances_by_kind
from raymask.train.engine.mlflow import MLFLOW_RUN
from raymask.train.engine.run_log import RunLog, open_run_log

# What MLflow makes SQLAlchemy say is MLflow's to mend.
pytestmark = pytest.mark.filterwarnings(r"ignore:::(mlflow|sqlalchemy|alembic)\b")

CONFIG = LoopConfig(data="/faces", loss=LossConfig(margin=0.3))
RESUME = {"epoch": 1, "step": 0}
PEOPLE = torch.tensor([0, 0, 0, 1, 1])
MASKED = torch.tensor([False, False, True, False, True])


@pytest.fixture(autouse=True)
def _files_in_order(monkeypatch):
    """Event files of one second are read in the order of a number of the process; 10 would come before 9."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))


def opened(run, watch=None, *, resume=None, config=CONFIG):
    return open_run_log(watch or WatchConfig(every=5), run, settings=asdict(config), resume=resume)


def steps(watch: RunLog, places, *, loss=0.5, rule="semihard"):
    for place in places:
        watch.step(
            place,
            losses={rule: loss + place},
            figures={"quintuplets/active": 2, "quintuplets/active_share": 0.25},
            learning_rate=0.05,
            photos_per_second=100.0 + place,
        )


def read(folder) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "tensors": 0}).Reload()


def curve(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]


def test_curves_have_names_steps_and_values(tmp_path):
    with opened(Folder(tmp_path)) as watch:
        steps(watch, range(8))
        steps(watch, range(8, 12), rule="hardest")
        metrics = {"val_bare": 0.75, "val_masked": 0.5, "loss": 0.4, "unvisited": 3, "epoch": 1}
        watch.epoch(12, metrics, losses=("loss",))
    events = read(tmp_path / "tensorboard")
    assert sorted(events.Tags()["scalars"]) == [
        "epoch/loss",
        "epoch/photos_not_visited",
        "loss/hardest",
        "loss/semihard",
        "quintuplets/active",
        "quintuplets/active_share",
        "rate/learning_rate",
        "rate/photos_per_second",
        "validation/rank1_bare",
        "validation/rank1_masked",
    ]
    assert curve(events, "loss/semihard") == [(0, 0.5), (5, 5.5)]
    assert curve(events, "loss/hardest") == [(10, 10.5)]
    assert curve(events, "quintuplets/active_share") == [(0, 0.25), (5, 0.25), (10, 0.25)]
    assert curve(events, "rate/learning_rate") == [(0, 0.05), (5, 0.05), (10, 0.05)]
    assert curve(events, "rate/photos_per_second") == [(0, 100), (5, 105), (10, 110)]
    assert curve(events, "validation/rank1_masked") == [(11, 0.5)]
    assert "| loss.margin | 0.3 |" in events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()


def test_a_training_without_quintuplets_shows_the_losses_that_it_has(tmp_path):
    with opened(Folder(tmp_path)) as watch:
        losses = {"pull": 1.5, "contrast": 4.0}
        watch.step(0, losses=losses, figures={}, learning_rate=0.05, photos_per_second=9.0)
    events = read(tmp_path / "tensorboard")
    assert sorted(events.Tags()["scalars"]) == [
        "loss/contrast",
        "loss/pull",
        "rate/learning_rate",
        "rate/photos_per_second",
    ]
    assert curve(events, "loss/pull") == [(0, 1.5)]


def test_histograms_count_every_distance_where_it_lies(tmp_path):
    embeddings = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    with opened(Folder(tmp_path)) as watch:
        watch.distances(50, embeddings, PEOPLE, MASKED, "squared_euclidean")
    events = read(tmp_path / "tensorboard")
    kinds = distances_by_kind(embeddings, PEOPLE, MASKED, "squared_euclidean")
    assert sorted(events.Tags()["histograms"]) == sorted(f"distance/{name}" for name in kinds)
    for name, values in kinds.items():
        (event,) = events.Histograms(f"distance/{name}")
        found = event.histogram_value
        assert (event.step, found.num, sum(found.bucket)) == (50, len(values), len(values))
        assert (found.min, found.max) == (pytest.approx(float(values.min())), pytest.approx(float(values.max())))
        assert found.sum == pytest.approx(float(values.sum()))
        for limit, total in zip(found.bucket_limit, torch.tensor(found.bucket).cumsum(0), strict=True):
            assert int((values < limit).sum()) == int(total)


def test_distances_at_the_ends_of_their_range_are_counted(tmp_path):
    opposite = torch.tensor([[1.0, 0], [1, 0], [1, 0], [-1, 0], [-1, 0]])
    with opened(Folder(tmp_path)) as watch:
        watch.distances(0, opposite, PEOPLE, MASKED, "cosine")
    events = read(tmp_path / "tensorboard")
    for name, place, count in (("same_person_bare", 0.0, 5), ("other_person_masked", 2.0, 5)):
        found = events.Histograms(f"distance/{name}")[0].histogram_value
        assert (found.min, found.max, found.num, sum(found.bucket)) == (place, place, count, count)


@pytest.mark.parametrize("distance", ["squared_euclidean", "cosine"])
def test_distances_are_sorted_by_what_the_photo_is_to_the_anchor(distance):
    embeddings = torch.randn(5, 16, generator=torch.Generator().manual_seed(0)) * 7
    found = distances_by_kind(embeddings, PEOPLE, MASKED, distance)
    wanted = {f"{person}_person_{dress}": [] for person in ("same", "other") for dress in ("bare", "masked")}
    for anchor, person in enumerate(PEOPLE):
        for other in range(5):
            if anchor == other:
                continue
            cosine = embeddings[anchor] @ embeddings[other] / embeddings[anchor].norm() / embeddings[other].norm()
            kind = f"{'same' if PEOPLE[other] == person else 'other'}_person_{'masked' if MASKED[other] else 'bare'}"
            wanted[kind].append(float(1 - cosine if distance == "cosine" else 2 - 2 * cosine))
    assert found.keys() == wanted.keys()
    for kind, values in wanted.items():
        assert found[kind].tolist() == pytest.approx(values, abs=1e-5)


def test_kinds_without_a_photo_are_left_out(tmp_path):
    bare = torch.zeros(5, dtype=torch.bool)
    with opened(Folder(tmp_path)) as watch:
        watch.distances(0, torch.randn(5, 16), PEOPLE, bare, "squared_euclidean")
        watch.distances(50, torch.zeros(0, 16), PEOPLE[:0], bare[:0], "squared_euclidean")
    assert sorted(read(tmp_path / "tensorboard").Tags()["histograms"]) == [
        "distance/other_person_bare",
        "distance/same_person_bare",
    ]


def test_going_on_takes_back_lost_steps_and_keeps_the_epoch(tmp_path):
    run = Folder(tmp_path)
    with opened(run) as watch:
        steps(watch, range(20))
        watch.epoch(20, {"val_bare": 0.6})
        steps(watch, range(20, 33))
        watch.distances(30, torch.randn(5, 16), PEOPLE, MASKED, "squared_euclidean")
    with opened(run, resume=RESUME) as watch:
        steps(watch, range(20, 26), loss=0.7)
    events = read(tmp_path / "tensorboard")
    assert curve(events, "loss/semihard") == [(0, 0.5), (5, 5.5), (10, 10.5), (15, 15.5), (20, 20.7), (25, 25.7)]
    assert curve(events, "validation/rank1_bare") == [(19, 0.6)]
    assert events.Histograms("distance/same_person_bare") == []


def test_a_try_that_left_no_checkpoint_is_taken_back_whole(tmp_path):
    run = Folder(tmp_path)
    for loss in (0.1, 0.2):
        with opened(run) as watch:
            steps(watch, range(6), loss=loss)
    assert curve(read(tmp_path / "tensorboard"), "loss/semihard") == [(0, 0.2), (5, 5.2)]


def test_remote_storage_has_the_events_when_they_are_published(tmp_path):
    run = Folder(f"memory://{tmp_path}/run")
    copy = Folder(tmp_path / "copy")

    def points():
        for name in run.names():
            copy.write(name, run.read(name))
        return curve(read(tmp_path / "copy" / "tensorboard"), "loss/semihard")

    with opened(run) as watch:
        steps(watch, range(6))
        assert run.names() == []
        watch.publish()
        assert points() == [(0, 0.5), (5, 5.5)]
        steps(watch, range(6, 11))
        watch.epoch(11, {})
        assert points() == [(0, 0.5), (5, 5.5), (10, 10.5)]
        steps(watch, range(11, 16))
    assert points() == [(0, 0.5), (5, 5.5), (10, 10.5), (15, 15.5)]
    assert [name.split("/")[0] for name in run.names()] == ["tensorboard"]


def test_only_files_that_grew_are_copied_again(tmp_path, monkeypatch):
    run = Folder(f"memory://{tmp_path}/run")
    written = []
    monkeypatch.setattr(Folder, "write", lambda self, name, data: written.append(len(data)))
    with opened(run) as watch:
        steps(watch, range(1))
        watch.publish()
        watch.publish()
        assert len(written) == 1
        steps(watch, range(1, 6))
    assert len(written) == 2
    assert written[1] > written[0]


def test_a_folder_that_cannot_be_written_costs_the_curves_alone(tmp_path, capsys):
    (tmp_path / "tensorboard").write_text("in the way")
    with opened(Folder(tmp_path)) as watch:
        steps(watch, range(20))
        watch.distances(0, torch.randn(5, 16), PEOPLE, MASKED, "squared_euclidean")
        watch.epoch(20, {"val_bare": 1.0})
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("watch: TensorBoard is off from here on, the training goes on (")


def test_a_disk_that_fills_up_costs_the_curves_alone(tmp_path, monkeypatch, capsys):
    from tensorboard.compat.tensorflow_stub.io.gfile import LocalFileSystem

    def full(*_):
        raise OSError(28, "No space left on device")

    with opened(Folder(tmp_path)) as watch:
        steps(watch, range(6))
        watch.publish()
        monkeypatch.setattr(LocalFileSystem, "append", full)
        steps(watch, range(6, 40))
        watch.publish()
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "watch: TensorBoard is off from here on, the training goes on ([Errno 28] No space left on device)"
    ]
    assert "Traceback" not in said.err
    assert curve(read(tmp_path / "tensorboard"), "loss/semihard") == [(0, 0.5), (5, 5.5)]


def test_remote_storage_that_is_gone_costs_the_curves_alone(tmp_path, monkeypatch, capsys):
    import fsspec

    run = Folder(f"memory://{tmp_path}/run")

    def gone(*_, **__):
        raise OSError("the bucket is gone")

    with opened(run) as watch:
        steps(watch, range(6))
        monkeypatch.setattr(type(fsspec.filesystem("memory")), "_open", gone)
        watch.publish()
        steps(watch, range(6, 20))
    (line,) = capsys.readouterr().out.splitlines()
    assert "the bucket is gone" in line


def test_other_threads_still_say_why_they_died(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(threading, "excepthook", heard.append)
    with opened(Folder(tmp_path)) as watch:
        steps(watch, range(1))
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    assert [failure.exc_type for failure in heard] == [ZeroDivisionError]


def test_mistakes_of_the_program_are_not_hidden(tmp_path):
    with pytest.raises(TypeError), opened(Folder(tmp_path)) as watch:
        steps(watch, range(1), loss="half")


def test_all_off_and_other_ranks_write_nothing(tmp_path):
    with opened(Folder(tmp_path), WatchConfig(tensorboard=False)) as watch:
        steps(watch, range(6))
        watch.distances(0, torch.randn(5, 16), PEOPLE, MASKED, "squared_euclidean")
    with open_run_log(None, Folder(tmp_path), settings=asdict(CONFIG), resume=None) as watch:
        assert watch is None
    assert list(tmp_path.iterdir()) == []


# MLflow


FIRST_USE = """
import sys, threading
from raymask.storage import Folder
from raymask.train.engine.config import LoopConfig, WatchConfig
from raymask.train.engine.run_log import open_run_log

watch = WatchConfig(tensorboard=False, mlflow=sys.argv[1], every=1)
with open_run_log(watch, Folder(sys.argv[2]), settings={"data": "x"}, resume=None) as opened:
    opened.epoch(1, {"loss": 1.0})

from mlflow.telemetry import get_telemetry_client
from mlflow.telemetry.utils import is_telemetry_disabled

assert "torch" not in sys.modules
assert is_telemetry_disabled() and get_telemetry_client() is None
assert threading.active_count() == 1, threading.enumerate()
"""


@pytest.fixture(scope="module")
def first_use(tmp_path_factory) -> tuple[str, subprocess.CompletedProcess[str]]:
    """The address of a new MLflow database, and what the process that made it came to.

    A process of its own, for MLflow sends no telemetry under pytest or in CI, and made once, for it takes seconds.
    """
    folder = tmp_path_factory.mktemp("mlflow")
    address = f"sqlite:///{folder}/new/runs.db"
    clean = {key: os.environ[key] for key in ("PATH", "HOME", "PYTHONPATH") if key in os.environ}
    clean["MLFLOW_DISABLE_TELEMETRY"] = "false"
    command = [sys.executable, "-c", FIRST_USE, address, str(folder / "run")]
    return address, subprocess.run(command, env=clean, capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture
def database(first_use) -> str:
    """The address of an MLflow database."""
    return first_use[0]


def test_mlflow_reports_to_nobody_and_says_nothing(first_use):
    done = first_use[1]
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def tracked(run, address, *, resume=None, config=CONFIG):
    return opened(run, WatchConfig(tensorboard=False, mlflow=address, every=5), resume=resume, config=config)


def recorded(run, address):
    """The MLflow client, and the MLflow run of a run."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    return client, client.get_run(run.read(MLFLOW_RUN).decode())


def history(run, address, name) -> list[tuple[int, float]]:
    client, found = recorded(run, address)
    return [(point.step, pytest.approx(point.value)) for point in client.get_metric_history(found.info.run_id, name)]


def test_mlflow_has_the_curves_and_the_settings(tmp_path, database):
    run = Folder(tmp_path / "faces-1")
    with tracked(run, database) as watch:
        steps(watch, range(12))
        watch.distances(0, torch.randn(5, 16), PEOPLE, MASKED, "squared_euclidean")
        watch.epoch(12, {"val_bare": 0.75, "val_masked": 0.5})
        assert recorded(run, database)[1].info.status == "RUNNING"
    client, found = recorded(run, database)
    assert client.get_experiment(found.info.experiment_id).name == "raymask"
    assert (found.info.run_name, found.info.status) == ("faces-1", "FINISHED")
    assert found.data.params["loss.margin"] == "0.3"
    assert found.data.params["model.backbone"] == CONFIG.model.backbone
    assert history(run, database, "loss/semihard") == [(0, 0.5), (5, 5.5), (10, 10.5)]
    assert history(run, database, "quintuplets/active_share") == [(0, 0.25), (5, 0.25), (10, 0.25)]
    assert history(run, database, "validation/rank1_masked") == [(11, 0.5)]
    assert not [name for name in found.data.metrics if name.startswith("distance")]
    assert set(found.data.tags) == {"mlflow.runName"}  # nobody's name, no path, no command line


def test_a_run_that_goes_on_stays_one_in_mlflow(tmp_path, database):
    run = Folder(tmp_path / "on")
    with tracked(run, database) as watch:
        steps(watch, range(13))
    first = recorded(run, database)[1].info.run_id
    longer = LoopConfig(data="/moved", epochs=20, loss=CONFIG.loss)
    with tracked(run, database, resume=RESUME, config=longer) as watch:
        steps(watch, range(8, 21))
        watch.epoch(21, {"val_bare": 0.5})
    found = recorded(run, database)[1]
    assert (found.info.run_id, found.info.status) == (first, "FINISHED")
    assert found.data.params["epochs"] == str(CONFIG.epochs)
    assert history(run, database, "loss/semihard") == [(0, 0.5), (5, 5.5), (10, 10.5), (15, 15.5), (20, 20.5)]
    assert history(run, database, "validation/rank1_bare") == [(20, 0.5)]


def test_a_new_mlflow_run_is_begun_where_there_is_none_to_go_on(tmp_path, database):
    run = Folder(tmp_path / "new")
    seen = []
    for resume, spoil in ((None, None), (None, "delete"), (RESUME, "forget"), (RESUME, None)):
        with tracked(run, database, resume=resume) as watch:
            steps(watch, range(1))
        client, found = recorded(run, database)
        seen.append(found.info.run_id)
        if spoil == "delete":
            client.delete_run(found.info.run_id)
        elif spoil == "forget":
            run.write(MLFLOW_RUN, b"0" * 32)
    assert len(set(seen)) == 4


def test_a_training_that_breaks_off_is_marked_as_failed(tmp_path, database):
    run = Folder(tmp_path)
    with pytest.raises(TypeError), tracked(run, database) as watch:
        steps(watch, [0, None])
    assert recorded(run, database)[1].info.status == "FAILED"
    assert history(run, database, "loss/semihard") == [(0, 0.5)]


def test_settings_longer_than_mlflow_takes_are_cut(tmp_path, database):
    run = Folder(tmp_path)
    with tracked(run, database, config=LoopConfig(data="/" + "x" * 9000)):
        pass
    assert recorded(run, database)[1].data.params["data"] == "/" + "x" * 499


class _Gone(BaseHTTPRequestHandler):
    """Something that answers, but is not MLflow."""

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def _no_proxy(monkeypatch):
    """This machine's own addresses are asked straight, whatever the environment says."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def not_mlflow(_no_proxy):
    server = HTTPServer(("127.0.0.1", 0), _Gone)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("_no_proxy")
def test_a_server_that_does_not_answer_is_said_at_the_start(tmp_path, caplog):
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))  # taken, but nobody listens
        address = f"http://127.0.0.1:{port.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"watch\.mlflow: {address} cannot be used .*refused.*http://HOST:PORT"):
            tracked(Folder(tmp_path), address).__enter__()
    assert list(tmp_path.iterdir()) == []
    assert caplog.messages == []


def test_what_is_not_mlflow_is_named_without_its_password(tmp_path, not_mlflow):
    with pytest.raises(ConfigError, match=rf"http://{not_mlflow} cannot be used .*404") as error:
        tracked(Folder(tmp_path), f"http://anna:secret@{not_mlflow}").__enter__()
    assert "secret" not in str(error.value)


def test_databases_that_cannot_be_opened_are_named_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    for path in (tmp_path, tmp_path / "file" / "runs.db"):
        with pytest.raises(ConfigError, match=rf"watch\.mlflow: sqlite:///{path} cannot be used"):
            tracked(Folder(tmp_path), f"sqlite:///{path}").__enter__()
    assert waited == []


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("sqlite:///runs.db", r"relative to a folder that each worker has for itself"),
        ("nope://x", r"watch\.mlflow: nope://x cannot be used .*sqlite:////FOLDER/FILE\.db"),
        ("postgresql://anna:secret@nowhere/x", r"watch\.mlflow: postgresql://nowhere/x cannot be used"),
    ],
)
def test_other_addresses_are_refused_with_the_way_out(tmp_path, address, match):
    with pytest.raises(ConfigError, match=match) as error:
        tracked(Folder(tmp_path), address).__enter__()
    assert "secret" not in str(error.value)


def test_mlflow_that_goes_away_costs_its_curves_alone(tmp_path, database, monkeypatch, capsys):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def gone(*_, **__):
        raise MlflowException("API request to http://anna:secret@host/api failed\nand more")

    run = Folder(tmp_path)
    with opened(run, WatchConfig(mlflow=database, every=5)) as watch:
        steps(watch, range(6))
        monkeypatch.setattr(MlflowClient, "log_batch", gone)
        steps(watch, range(6, 21))
    assert capsys.readouterr().out.splitlines() == [
        "watch: MLflow is off from here on, the training goes on (API request to http://host/api failed)"
    ]
    assert history(run, database, "loss/semihard") == [(0, 0.5), (5, 5.5)]
    assert len(curve(read(tmp_path / "tensorboard"), "loss/semihard")) == 5


def test_missing_mlflow_is_said_with_the_way_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"pip install 'raymask\[mlflow\]'"):
        tracked(Folder(tmp_path), "sqlite:////tmp/runs.db").__enter__()
