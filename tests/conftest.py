"""Shared fixtures: invented people, their prepared faces, and a Ray cluster for all tests of a lane that need one."""

import os
import sys

# Before anything imports ray; one test (tests/jobs) turns authentication on again, in a cluster of its own.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = "120"
os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.5"  # starts and ends of trainings are seen sooner than by 2
os.environ["RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"] = "60"  # after 5 s Serve kills the proxy that two busy cores start
os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"  # a process each training, four seconds of a core

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from support.durations import Durations
from support.ports import free_port
from support.tables import with_table
from xdist.scheduler import LoadScopeScheduling

LANES = {
    "service, jobs and search": (
        *("serve/on_ray/test_graph", "serve/on_ray/test_outside", "serve/test_soak", "serve/on_ray/test_bulk"),
        *("jobs/test_submit", "test_demo"),
        *("tune/test_ray_tune", "tune/test_resume"),
    ),
    "data and training": (
        *("data/prepare/test_prepare", "data/prepare/test_prepare_s3", "test_cluster"),
        *("train/on_ray/test_faults", "train/on_ray/test_staged_on_ray", "train/on_ray/test_trainer"),
    ),
}
"""Modules whose tests take turns on one cluster, or start their own; a lane has one cluster, which it joins alone."""
NEED_RAY = {f"tests/{module}.py": lane for lane, modules in LANES.items() for module in modules}


class Lanes(LoadScopeScheduling):
    """`make test` runs three lanes: two of what needs Ray, a module after another; all other modules in the third."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return NEED_RAY.get(module, module)


def pytest_configure(config: pytest.Config) -> None:
    """How long all took is left in out/tests."""
    config.pluginmanager.register(Durations(config.rootpath / "out" / "tests"), "durations")


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Lanes:
    """Asked by pytest-xdist."""
    return Lanes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what needs Ray, for that takes longest; last what needs the faces that are prepared there."""

    def needs(item: pytest.Item, fixture: str) -> bool:
        return fixture in getattr(item, "fixturenames", ())

    with_ray = {item.nodeid.partition("::")[0] for item in items if needs(item, "ray_cluster")}
    assert with_ray <= NEED_RAY.keys(), f"{with_ray - NEED_RAY.keys()} need Ray: name their lane in LANES"
    late = {item.path for item in items if needs(item, "prepared")}
    items.sort(key=lambda item: (item.nodeid.partition("::")[0] not in NEED_RAY, item.path in late))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder of this name as the first lane that asks for it makes it, for both to read."""
    root = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        with FileLock(root / f"{name}.lock"):
            if not (root / f"{name}.made").is_file():
                make(root / name)
                (root / f"{name}.made").touch()
        return root / name

    return folder


@pytest.fixture(scope="session")
def demo_faces(made_once) -> Path:
    """ROOT/IDENTITY/*.jpg of 8 invented people, 8 photos each."""
    from raymask.demo_faces import write_demo_faces

    return made_once("demo_faces", lambda folder: write_demo_faces(folder, people=8, photos=8, seed=0))


@pytest.fixture(scope="session")
def ray_cluster():
    """One local cluster for the whole lane, with more logical than real CPUs so that small groups of workers fit.

    Its workers are told that nobody knows its state: a cluster without a dashboard else names port 8265, and Ray Train
    asks whoever listens there whether a training lives. Another lane's dashboard knows of none, and stops its workers.
    """
    import ray

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{free_port()}")
        ray.init(
            address="local", num_cpus=4, include_dashboard=False, object_store_memory=400 * 2**20, log_to_driver=False
        )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def prepared(demo_faces, made_once, request) -> Path:
    """The demo faces as `prepare` writes them: 4 people to train, 2 to validate, 2 to test."""
    from raymask.data.format.splits import SplitConfig
    from raymask.data.prepare.config import PrepareConfig
    from raymask.data.prepare.run import prepare

    def make(out: Path) -> None:
        request.getfixturevalue("ray_cluster")
        split = SplitConfig(least_photos=4)
        prepare(PrepareConfig(images=str(demo_faces), out=str(out), split=split, photos_per_file=20, workers=2))

    return made_once("prepared", make)


@pytest.fixture(scope="session")
def unmask_bundles(prepared, made_once) -> tuple[Path, Path]:
    """A segmenter that finds most of a mask, and an inpainter that has only begun to learn, by dlib's network."""
    from support.unmask_bundles import inpainter_bundle, segmenter_bundle

    def make(folder: Path) -> None:
        segmenter_bundle(str(prepared), folder, steps=60)
        inpainter_bundle(str(prepared), folder, steps=8, teacher="dlib")

    folder = made_once("unmask_bundles", make)
    return folder / "segmenter", folder / "inpainter"


@pytest.fixture(scope="session")
def facenet_state() -> dict:
    """Random weights whose batch norms have seen a batch: without, activations fade to denormals, slow as those are."""
    import torch
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(0)
    model = InceptionResnetV1(pretrained=None).train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model(torch.randn(4, 3, 160, 160))
    return model.state_dict()


@pytest.fixture(scope="session")
def fused_bundle(tmp_path_factory) -> Path:
    """A fusion of a small MaskFaceNet, which has learned nothing, and MRII of what comes with raymask, and dlib's."""
    import torch

    from raymask.models.bundle import save_bundle
    from raymask.models.config import MaskFaceNetConfig
    from raymask.models.fusion import Fusion, FusionConfig
    from raymask.models.networks.maskfacenet import MaskFaceNet
    from raymask.models.shipped import SHIPPED
    from raymask.recognisers.fused_bundle import write_fused

    folder = tmp_path_factory.mktemp("fused")
    torch.manual_seed(0)
    model = MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", input_size=64))
    embedder = save_bundle(folder / "embedder", model, preprocessing={})
    unmasked = f"mrii:{SHIPPED / 'segmenter'},{SHIPPED / 'inpainter'},dlib"
    fusion = Fusion(FusionConfig(parts=(f"bundle:{embedder}", unmasked)))
    fusion.scales.copy_(torch.tensor([0.2, 0.8]).sqrt())
    write_fused(folder / "fused", fusion, thresholds={}, metrics={}, training={})
    return with_table(folder / "fused")


OUTSIDE = Path(__file__).parent / "support" / "outside"
"""As if it were installed: a package with an embedder, a backbone and a loss, not known to raymask."""


@pytest.fixture
def outside(monkeypatch):
    """The package outside raymask, importable; nothing of it is allowed to bundles yet."""
    from raymask import plugins
    from raymask.recognisers.own import aligned

    monkeypatch.syspath_prepend(OUTSIDE)
    monkeypatch.setattr(plugins, "_allowed", set())
    yield OUTSIDE
    aligned.cache_clear()
    sys.modules.pop("acme_faces", None)


@pytest.fixture
def spy(outside, tmp_path, monkeypatch) -> Iterator[Path]:
    """A file that is there once the code of python:spy_code:Embedder, or of the entry point spy, was imported."""
    folder, ran = tmp_path / "spy", tmp_path / "ran"
    (folder / "spy-1.0.dist-info").mkdir(parents=True)
    (folder / "spy_code.py").write_text(f"open({str(ran)!r}, 'w').close()\nfrom acme_faces import Backbone, Embedder\n")
    (folder / "spy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: spy\nVersion: 1.0\n")
    (folder / "spy-1.0.dist-info" / "entry_points.txt").write_text(
        "[raymask.recognisers]\nspy = spy_code:Embedder\n[raymask.backbones]\nspy = spy_code:Backbone\n"
    )
    monkeypatch.syspath_prepend(folder)
    yield ran
    sys.modules.pop("spy_code", None)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB."""
    from support.small_disk import file_system

    with file_system(tmp_path / "small_disk", "8m") as mounted:
        if not mounted:
            pytest.skip("no right to mount a small file system")
        yield tmp_path / "small_disk"
