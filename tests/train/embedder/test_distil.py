"""Learning from teachers: their embeddings are those of the bare faces, and the network's come nearer to them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from support.ranks import on_ranks
from torch.nn.functional import normalize

from raymask.data.reading.crops import CropStore
from raymask.data.reading.sampler import BatchPhoto, SamplerConfig
from raymask.errors import ConfigError, DataError, ModelError
from raymask.faces.alignment import mirrored
from raymask.models import save_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.teacher import load_teacher
from raymask.train.embedder.init_weights import begin_with
from raymask.train.embedder.loop import train
from raymask.train.embedder.objective import Objective
from raymask.train.embedder.teacher_targets import Targets, _School
from raymask.train.engine.config import DistilConfig, LoopConfig, LossConfig, OptimiserConfig, SoftmaxConfig
from raymask.train.engine.hooks import LoopHooks

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config(prepared) -> LoopConfig:
    """Quick lessons from dlib's network to one that begins with its weights, in masks that it has never seen."""
    return LoopConfig(
        data=str(prepared),
        epochs=3,
        init="dlib",
        teachers=("dlib",),
        remask=True,
        alter=True,
        validation_photos=0,
        model=MaskFaceNetConfig(
            backbone="dlib", head="linear", alignment="dlib", input_size=150, embedding_size=128, dropout=0
        ),
        batch=SamplerConfig(people=4, bare=1, masked=2),
        loss=LossConfig(weight=0),
        distil=DistilConfig(contrast=0.1),
        optimiser=OptimiserConfig(kind="adam", schedule="cycle", learning_rate=1e-3, convolutions=0.03, affine=0.3),
    )


@pytest.fixture(scope="module")
def store(prepared) -> CropStore:
    return CropStore(str(prepared), "train")


def _bare(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.bool)


def _told(store, row: int, *, masked: bool) -> torch.Tensor:
    """What dlib's network makes of a crop and its mirror image, each turned by 3 degrees either way."""
    teacher = load_teacher("dlib")
    crop = torch.from_numpy(store.pixels([BatchPhoto(row, masked)], 224)).float() / 255
    (points,) = store.points(quiet=True)[row : row + 1].astype(np.float32)
    total = torch.zeros(1, 128)
    for degrees in (3, -3):
        turn = cv2.getRotationMatrix2D(tuple(map(float, points.mean(axis=0))), degrees, 1)
        turned = (points @ turn[:, :2].T + turn[:, 2]).astype(np.float32)[None]
        with torch.no_grad():
            total += teacher(crop, torch.from_numpy(turned)).embedding
            total += teacher(crop.flip(3), torch.from_numpy(mirrored(turned, 224))).embedding
    return normalize(total, dim=1)


def test_targets_are_what_the_teacher_makes_of_four_looks_at_the_bare_face(store):
    targets = Targets.ask(("dlib", "dlib"), store, MaskFaceNetConfig(embedding_size=256, parts=2), CPU)
    found = targets(np.array([5, 2, 5]), torch.tensor([False, True, True]))
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[:, :128], found[:, 128:])
    torch.testing.assert_close(found[1:2, :128], _told(store, 2, masked=False), rtol=1e-4, atol=1e-5)


def test_a_copy_of_the_teacher_learns_what_it_makes_of_masked_crops_as_they_were_prepared(store):
    targets = Targets.ask(("dlib",), store, MaskFaceNetConfig(embedding_size=128), CPU, as_prepared=True)
    found = targets(np.array([2, 2]), torch.tensor([False, True]))
    for own, masked in zip(found, (False, True), strict=True):
        torch.testing.assert_close(own[None], _told(store, 2, masked=masked), rtol=1e-4, atol=1e-5)
    assert (found[0] - found[1]).norm() > 0.1


def test_a_copy_learns_from_painted_morphs_too(config, store, monkeypatch):
    shown, metrics, taught = set(), [], _School.taught

    def noted(self, rows, *, masked):
        shown.update((row, masked) for row in rows.tolist())
        return taught(self, rows, masked=masked)

    monkeypatch.setattr(_School, "taught", noted)
    copied = replace(config, epochs=1, remask=False, morphs=6, distil=DistilConfig(as_prepared=True))
    train(copied, LoopHooks(report=metrics.append))
    assert shown == {(row, masked) for row in range(len(store) + 6) for masked in (False, True)}
    assert 0 < metrics[0]["pull"] < 2


def test_each_face_is_shown_to_the_teacher_once_and_before_the_training(store, monkeypatch):
    shown = []
    taught = _School.taught

    def noted(self, rows, *, masked):
        shown.extend((row, masked) for row in rows.tolist())
        return taught(self, rows, masked=masked)

    monkeypatch.setattr(_School, "taught", noted)
    targets = Targets.ask(("dlib",), store, MaskFaceNetConfig(embedding_size=128), CPU)
    targets(np.array([3, 1, 3]), _bare(3))
    # one before, to learn the embedding's size
    assert shown == [(0, False), *((row, False) for row in range(len(store)))]


def test_who_asks_the_teachers_can_be_stopped(config, monkeypatch):
    monkeypatch.setattr("raymask.train.embedder.teacher_targets._TOGETHER", 8)
    asked, saved = [], []
    hooks = LoopHooks(stop=lambda: asked.append(1) or len(asked) == 2, save=saved.append)
    assert not train(config, hooks).finished
    assert len(asked) == 2
    assert saved == []


def _asked_by_one(rank: int, data: str, folder: str) -> None:
    targets = Targets.ask(("dlib",), CropStore(data, "train"), MaskFaceNetConfig(embedding_size=128), CPU)
    torch.save(targets(np.arange(32), _bare(32)), f"{folder}/{rank}.pt")


def test_workers_share_the_asking_and_know_all_the_answers(store, prepared, tmp_path):
    on_ranks(3, _asked_by_one, str(prepared), str(tmp_path))
    alone = Targets.ask(("dlib",), store, MaskFaceNetConfig(embedding_size=128), CPU)(np.arange(32), _bare(32))
    for rank in range(3):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), alone, rtol=1e-4, atol=1e-5)


def test_a_last_layer_begins_with_what_the_teacher_says_but_not_a_known_one(config, tmp_path):
    """dlib's network is its own teacher here: on its own last layer it differs by masks and alterations alone."""
    still = replace(config, epochs=1, optimiser=replace(config.optimiser, learning_rate=1e-9, average=0.5))
    begun = train(still).network
    random = begin_with(MaskFaceNet(config.model), None)
    bundle = save_bundle(tmp_path / "random", random, preprocessing={})
    known = train(replace(still, init=f"bundle:{bundle}")).network
    assert torch.allclose(known.last.weight, random.last.weight, atol=1e-5)
    pulls = []
    for network in (begun, begin_with(MaskFaceNet(config.model), "dlib")):
        bundle = save_bundle(tmp_path / "start", network, preprocessing={})
        report = LoopHooks(report=lambda metrics: pulls.append(metrics["pull"]))
        train(replace(still, init=f"bundle:{bundle}"), report)
    assert pulls[0] < 0.8 * pulls[1]


def test_a_run_of_an_earlier_network_does_not_go_on(config):
    states = []
    train(replace(config, epochs=1), LoopHooks(save=states.append))
    earlier = {name.replace("norm.weight", "scale"): value for name, value in states[-1]["model"].items()}
    with pytest.raises(DataError, match="has the network of another version of raymask; choose another --name"):
        train(replace(config, epochs=1), resume={**states[-1], "model": earlier})


def test_the_network_comes_nearer_to_its_teacher(config):
    metrics = []
    train(config, LoopHooks(report=metrics.append))
    assert [one["epoch"] for one in metrics] == [1, 2, 3]
    assert metrics[-1]["pull"] < 0.8 * metrics[0]["pull"]
    assert metrics[-1]["contrast"] > 0
    assert all(one["active"] == one["empty_steps"] == 0 for one in metrics)


def test_quintuplets_count_beside_the_teachers(config):
    metrics = []
    train(replace(config, epochs=1, loss=LossConfig(mining="all", weight=0.5)), LoopHooks(report=metrics.append))
    assert metrics[0]["active"] > 0
    assert metrics[0]["pull"] > 0


def test_a_run_that_goes_on_ends_as_the_undisturbed_one(config):
    """With everything that a checkpoint has to hold: a vector a person and a running mean of the weights, too. Morphs
    are the same again, and people as the others."""
    states = []
    averaged = replace(config.optimiser, average=0.5)
    short = replace(config, epochs=2, morphs=6, optimiser=averaged, softmax=SoftmaxConfig(weight=0.1))
    whole = train(short, LoopHooks(save=lambda state: states.append(_copy(state)), save_every=1))
    middle = next(state for state in states if (state["epoch"], state["step"]) == (1, 0))
    rest = train(short, resume=middle)
    assert middle["objective"]["softmax"]["people"].shape == (4 + 6, 128)
    last = states[-1]
    assert not torch.equal(last["average"]["head.3.weight"], last["model"]["head.3.weight"])
    assert torch.equal(last["average"]["head.3.weight"], whole.network.state_dict()["head.3.weight"])
    for name, wanted in whole.network.state_dict().items():
        torch.testing.assert_close(rest.network.state_dict()[name], wanted, rtol=1e-3, atol=1e-4)


def _copy(state):
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_teachers_that_do_not_fit_are_refused(config, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.parts must be the number of teachers \(2\), not 1"):
        replace(config, teachers=("dlib", "dlib"))
    with pytest.raises(ConfigError, match=r"have 128 values; set model\.parts to 1 and model\.embedding-size to 128"):
        train(replace(config, model=replace(config.model, embedding_size=64)))
    with pytest.raises(ModelError, match="there is no such file"):
        train(replace(config, teachers=(f"onnx:{tmp_path}/none.onnx",)))
    with pytest.raises(ConfigError, match=r"set remask or distil\.as_prepared too"):
        replace(config, remask=False, morphs=5)
    with pytest.raises(ConfigError, match="as_prepared has no effect on masks that remask draws"):
        replace(config, distil=DistilConfig(as_prepared=True))
    with pytest.raises(ConfigError, match="nothing is learned"):
        replace(config, teachers=())
    with pytest.raises(ConfigError, match="as_prepared has no effect without teachers"):
        replace(config, teachers=(), remask=False, loss=LossConfig(), distil=DistilConfig(as_prepared=True))


def test_bare_photos_that_are_fixed_stand_where_the_teacher_puts_them_and_learn_nothing_from_quintuplets():
    torch.manual_seed(0)
    identities, masked = torch.arange(4).repeat_interleave(4), torch.tensor([False, False, True, True]).repeat(4)
    targets, embeddings = normalize(torch.randn(16, 8), dim=1), torch.randn(16, 8, requires_grad=True)
    fixed = LoopConfig(
        data="none", teachers=("dlib",), loss=LossConfig(mining="all", bare_fixed=True), distil=DistilConfig(pull=0)
    )
    objective = Objective(fixed)
    share, lost = objective(embeddings, identities, masked, targets, epoch=0)
    share.backward()
    assert embeddings.grad[~masked].abs().max() == 0
    assert embeddings.grad[masked].abs().min(dim=0).values.max() > 0
    placed = torch.where(masked[:, None], normalize(embeddings.detach(), dim=1), targets)
    alone = Objective(LoopConfig(data="none", loss=LossConfig(mining="all")))
    wanted = alone(placed, identities, masked, None, epoch=0)[1]
    assert lost["quintuplets"].value == pytest.approx(wanted["quintuplets"].value)


def test_bare_photos_are_fixed_by_one_teacher(config):
    with pytest.raises(ConfigError, match=r"loss\.bare_fixed needs one teacher"):
        replace(config, teachers=(), loss=LossConfig(bare_fixed=True), init=None)
