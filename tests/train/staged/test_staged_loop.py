"""The loop that trainings in stages share, on the courses of segmenter, aligner and inpainter."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.ranks import on_ranks

from raymask.data.reading.crops import CropStore
from raymask.data.reading.joined import open_crops
from raymask.errors import DataError, ModelError, TrainingError
from raymask.faces.images import encode_png
from raymask.models.bundle import bundle_config, save_bundle
from raymask.models.config import InpainterConfig, SegmenterConfig
from raymask.models.digest import weights_digest
from raymask.models.networks.inpainter import Inpainter
from raymask.models.networks.segmenter import MaskSegmenter
from raymask.models.shipped import SHIPPED
from raymask.storage import Folder
from raymask.train.engine.checkpoints import Checkpoints
from raymask.train.engine.distributed import World
from raymask.train.engine.hooks import LoopHooks
from raymask.train.engine.resume_guard import check_resumed
from raymask.train.staged.aligner import AlignerCourse, train_aligner
from raymask.train.staged.aligner_config import AlignConfig
from raymask.train.staged.inpainter import InpainterCourse, train_inpainter
from raymask.train.staged.inpainter_config import InpaintConfig, InpaintLossConfig, StagesConfig
from raymask.train.staged.segmenter import SegmenterCourse, train_segmenter
from raymask.train.staged.segmenter_config import SegmentConfig

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums of several threads differ in their last digits from run to run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Seen:
    """Stands for TensorBoard: keeps what it is shown."""

    wants_pictures = True

    def __init__(self):
        self.curve, self.figures, self.grids = {}, {}, {}

    def losses(self, step, stage, losses, *, photos_per_second):
        self.curve[step] = (stage, losses)

    def measured(self, step, figures):
        self.figures[step] = figures

    def pictures(self, step, name, picture):
        self.grids[step] = picture

    def publish(self):
        pass


@pytest.fixture(scope="module")
def segment(prepared):
    return SegmentConfig(data=str(prepared), steps=24, batch=8, validation_photos=20, measure_every=12)


@pytest.fixture(scope="module")
def inpaint(prepared):
    return InpaintConfig(
        data=str(prepared),
        stages=StagesConfig(edges=2, image=2, drawn=2, joint=2),
        batch=3,
        validation_photos=4,
        measure_every=100,
        learning_rate=1e-3,
    )


@pytest.fixture(scope="module")
def segmented(segment):
    torch.set_num_threads(1)
    seen, states = Seen(), []
    assert train_segmenter(segment, LoopHooks(run_log=seen, save=states.append, save_every=10), device=CPU)
    return seen, states


@pytest.fixture(scope="module")
def inpainted(inpaint):
    torch.set_num_threads(1)
    seen, states = Seen(), []
    hooks = LoopHooks(run_log=seen, save=lambda state: states.append(_copied(state)), save_every=1)
    assert train_inpainter(inpaint, hooks, device=CPU)
    return seen, states


def _copied(state):
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)


def test_the_segmenter_learns(segmented):
    seen, _ = segmented
    losses = [losses["loss"] for _, (_, losses) in sorted(seen.curve.items())]
    assert len(losses) == 24
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:5])
    assert set(seen.figures) == {12, 24}
    assert 0 < seen.figures[24]["iou"] <= 1
    assert seen.grids[24].shape == (6 * 224, 3 * 224, 3)


def test_the_aligner_learns_where_the_points_are(prepared):
    config = AlignConfig(
        data=str(prepared), steps=130, batch=16, learning_rate=4e-4, validation_photos=20, measure_every=130
    )
    seen = Seen()
    assert train_aligner(config, LoopHooks(run_log=seen), device=CPU)
    losses = [losses["away"] for _, (_, losses) in sorted(seen.curve.items())]
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:5])
    figures = seen.figures[130]
    assert max(figures["away_bare"], figures["away_masked"]) < figures["begun_away"]
    assert seen.grids[130].shape == (6 * 96, 2 * 96, 3)


def test_a_course_learns_from_two_folders_and_is_measured_by_the_one_that_can(prepared, tmp_path, capsys):
    other = shutil.copytree(prepared, tmp_path / "other", ignore=shutil.ignore_patterns("split=val"))
    config = AlignConfig(data=f"{other},{prepared}", steps=2, batch=4, validation_photos=6, measure_every=2)
    seen = Seen()
    assert train_aligner(config, LoopHooks(run_log=seen), device=CPU)
    assert "on 64 photos" in capsys.readouterr().out
    assert seen.figures[2]["away_masked"] > 0
    course, store = AlignerCourse(config, CPU), open_crops(config.data, "train")
    (batch,) = course.faces(store, quiet=True).first(40, at_once=40, world=World(0, 1))
    assert batch.bare.shape == (40, 3, 96, 96)
    assert min(face.float().std() for face in batch.bare) > 5


@pytest.mark.parametrize(
    ("make", "config"),
    [
        (SegmenterCourse, SegmentConfig(data="", bare=0.0, masks=("cloth:own",), textures="")),
        (AlignerCourse, AlignConfig(data="", bare=0.0, masks=("cloth:own",), textures="")),
        (InpainterCourse, InpaintConfig(data="", masks=("cloth:own",), textures="")),
    ],
)
def test_courses_draw_own_textures_and_keep_their_digest(make, config, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("raymask.data.augment.redraw.recoloured", lambda face, *_: face)
    (tmp_path / "red.png").write_bytes(encode_png(np.full((30, 40, 3), (230, 20, 20), np.uint8)))
    course = make(replace(config, data=str(prepared), textures=str(tmp_path)), CPU)
    drawn, _ = course.faces(CropStore(str(prepared), "train"), quiet=True).draw(1)
    red, green, blue = np.median(drawn.masked[drawn.mask_map > 0], axis=0)
    assert red > 1.5 * max(green, blue)
    assert course.settings["textures"] == course.textures.digest != ""
    (tmp_path / "blue.png").write_bytes(encode_png(np.zeros((30, 40, 3), np.uint8)))
    with pytest.raises(DataError, match=r"\(textures changed\)"):
        check_resumed(make(course.config, CPU).settings, course.settings)


def test_an_aligner_learns_from_faces_that_lie_as_its_points_say(prepared):
    config = AlignConfig(data=str(prepared), batch=4)
    (batch,) = (
        AlignerCourse(config, CPU)
        .faces(CropStore(config.data, "train"), quiet=True)
        .batches(4, range(1), world=World(0, 1))
    )
    assert batch.masked.shape == (4, 3, 96, 96)
    assert (batch.points[:, 0, 0] < batch.points[:, 1, 0]).all()


@pytest.fixture(scope="module")
def worn(prepared):
    """Whoever they are: their points are not used."""
    return AlignConfig(
        data=str(prepared), worn=str(prepared), batch=12, steps=4, learning_rate=4e-4, validation_photos=20
    )


def test_an_aligner_learns_from_two_views_of_real_masks(worn, capsys):
    seen, states = Seen(), []
    hooks = LoopHooks(run_log=seen, save=lambda state: states.append(_copied(state)), save_every=2)
    assert train_aligner(worn, hooks, device=CPU)
    assert "two views each of 28 photos in real masks" in capsys.readouterr().out
    figures = seen.figures[4]
    assert {"away_bare", "away_masked", "away_worn"} < set(figures)
    assert 0.01 < figures["away_worn"] < 0.3
    assert seen.grids[4].shape == (6 * 96, 4 * 96, 3)
    again = Seen()
    assert train_aligner(worn, LoopHooks(run_log=again), resume=states[0], device=CPU)
    assert sorted(again.curve) == [2, 3]
    assert again.curve[3][1]["away"] == pytest.approx(seen.curve[3][1]["away"], rel=1e-3)


def test_two_views_come_to_agree(worn):
    course = AlignerCourse(replace(worn, start=str(SHIPPED / "aligner"), worn_share=0.95, steps=20), CPU)
    faces = course.faces(CropStore(worn.data, "train"), quiet=True)
    (batch,) = faces.batches(12, range(1), world=World(0, 1))
    assert batch.more["worn"].sum() == 11
    course.begin(0)
    losses = [float(course.learn(0, step, batch)["away"]) for step in range(12)]
    assert losses[-1] < 0.6 * losses[0]


def test_real_masks_weigh_as_much_as_they_are_told(worn):
    def losses(**more):
        course = AlignerCourse(replace(worn, **more), CPU)
        faces = course.faces(CropStore(worn.data, "train"), quiet=True)
        (batch,) = faces.batches(10, range(1), world=World(0, 1))
        course.network.eval()
        return course.losses(batch).detach(), batch

    (one, batch), (double, _), (drawn, plain) = losses(), losses(worn_weight=2.0), losses(worn=None)
    assert batch.more["worn"].sum() == 3
    torch.testing.assert_close(double, torch.cat([one[:7], 2 * one[7:]]))
    torch.testing.assert_close(batch.masked[~batch.more["worn"]], plain.masked[:7])
    torch.testing.assert_close(one[:7], drawn[:7])


def test_a_run_with_other_real_masks_or_none_is_another(worn, prepared, tmp_path):
    plan = (prepared / "plan.json").read_text()
    shutil.copytree(prepared, tmp_path / "other")
    (tmp_path / "other" / "plan.json").write_text(plan.replace('"seed": 0', '"seed": 1'))
    moved = shutil.copytree(prepared, tmp_path / "moved")
    with_worn, without = (AlignerCourse(config, CPU).settings for config in (worn, replace(worn, worn=None)))
    check_resumed(AlignerCourse(replace(worn, worn=str(moved)), CPU).settings, with_worn)
    others = AlignerCourse(replace(worn, worn=str(tmp_path / "other")), CPU).settings
    for now, earlier in ((others, with_worn), (without, with_worn), (with_worn, without)):
        with pytest.raises(DataError, match=r"other settings .*worn"):
            check_resumed(now, earlier)
    check_resumed(without, {key: value for key, value in without.items() if key != "worn"})


def test_all_four_stages_of_the_inpainter_teach_what_they_should(inpaint, inpainted):
    seen, states = inpainted
    stages = [seen.curve[step][0] for step in range(8)]
    assert stages == ["edges", "edges", "image", "image", "drawn", "drawn", "joint", "joint"]
    edge = {"edge_adversarial", "feature_matching", "edge_entropy"}
    image = {"l1", "image_gradient", "adversarial", "identity", "perceptual", "style"}
    wanted = {"edges": edge, "image": image, "drawn": image, "joint": edge | image}
    for stage, losses in seen.curve.values():
        assert set(losses) == wanted[stage]
        assert all(np.isfinite(value) and value > 0 for value in losses.values())
    ends = [state["networks"]["inpainter"] for state in states if state["step"] == 0]
    start = InpainterCourse(inpaint, CPU).inpainter.state_dict()
    learnt = [
        {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
        for before, after in zip([start, *ends], ends, strict=False)
    ]
    one, other = "edge_generator", "image_generator"
    assert learnt == [{one}, {other}, {other}, {one, other}]
    assert seen.grids[8].shape == (6 * 112, 4 * 112, 3)
    assert {"l1", "edge_l1", "identity", "identity_masked"} == set(seen.figures[8])


@pytest.mark.faults
@pytest.mark.parametrize("place", [1, 3, 6])
def test_going_on_anywhere_comes_to_the_same(inpaint, inpainted, place):
    seen, states = inpainted
    resume = states[place]
    again = Seen()
    assert train_inpainter(inpaint, LoopHooks(run_log=again), resume=resume, device=CPU)
    done = sum((2, 2, 2, 2)[: resume["epoch"]]) + resume["step"]
    assert sorted(again.curve) == list(range(done, 8))
    for step, (stage, losses) in again.curve.items():
        assert stage == seen.curve[step][0]
        assert losses == pytest.approx(seen.curve[step][1], rel=1e-4)


def test_a_training_told_to_stop_leaves_a_checkpoint_it_goes_on_from(segment, segmented, tmp_path):
    checkpoints, asked = Checkpoints(Folder(tmp_path)), iter([False] * 4 + [True])
    hooks = LoopHooks(save=checkpoints.save, stop=lambda: next(asked))
    assert not train_segmenter(segment, hooks, device=CPU)
    _, state = checkpoints.newest()
    assert (state["epoch"], state["step"]) == (0, 5)
    again = Seen()
    assert train_segmenter(segment, LoopHooks(run_log=again), resume=state, device=CPU)
    for step in range(5, 24):
        assert again.curve[step][1]["loss"] == pytest.approx(segmented[0].curve[step][1]["loss"], rel=1e-3)


def test_other_settings_are_refused(segment, segmented):
    with pytest.raises(DataError, match=r"other settings \(batch changed\)"):
        train_segmenter(replace(segment, batch=4), resume=segmented[1][0], device=CPU)


@pytest.mark.parametrize("what", ["loss", "weights"])
def test_numbers_that_run_away_end_the_training(segment, monkeypatch, what):
    from raymask.train.staged import segmenter as module

    if what == "loss":
        monkeypatch.setattr(module, "segmentation_loss", lambda logits, covered: logits.mean((1, 2, 3)) * torch.nan)
        match = "the loss loss became nan in stage 1, step 1"
    else:
        learn = SegmenterCourse.learn

        def spoil(self, stage, step, batch):
            shares = learn(self, stage, step, batch)
            with torch.no_grad():
                self.network.head.bias[0] = torch.inf
            return shares

        monkeypatch.setattr(SegmenterCourse, "learn", spoil)
        match = "the weights are no numbers any more at stage 1, step 2"
    states = []
    with pytest.raises(TrainingError, match=match):
        train_segmenter(segment, LoopHooks(save=states.append, save_every=1), device=CPU)
    assert states == []


@pytest.mark.parametrize("part", ["edge_generator", "image_generator"])
def test_an_inpainter_that_runs_away_ends_its_training(inpaint, monkeypatch, part):
    learn = InpainterCourse.learn

    def spoil(self, stage, step, batch):
        with torch.no_grad():
            getattr(self.inpainter, part).decoder[-1].bias[0] = torch.nan
        return learn(self, stage, step, batch)

    monkeypatch.setattr(InpainterCourse, "learn", spoil)
    only = StagesConfig(edges=0, image=0, drawn=0, joint=2)
    with pytest.raises(TrainingError, match=r"became nan in stage 1, step 1: .*under another --name with a lower"):
        train_inpainter(replace(inpaint, stages=only), device=CPU)


def test_an_inpainter_remembers_all_who_taught_it(inpaint, tmp_path):
    taught = save_bundle(
        tmp_path / "b", Inpainter(inpaint.model), preprocessing={}, training={"teachers_sha256": ["x"]}
    )
    course = InpainterCourse(replace(inpaint, start=str(taught)), CPU)
    assert course.settings["teacher"] == [weights_digest("dlib"), "x"]


def test_a_teacher_that_cannot_be_had_is_named(inpaint):
    with pytest.raises(ModelError, match="there is no such file"):
        train_inpainter(replace(inpaint, teacher="onnx:nowhere.onnx"), device=CPU)


def test_a_training_begins_with_the_weights_it_is_given(segment, tmp_path):
    torch.manual_seed(9)
    earlier = MaskSegmenter(segment.model)
    start = save_bundle(tmp_path / "earlier", earlier, preprocessing={})
    course = SegmenterCourse(replace(segment, start=str(start)), CPU)
    for name, value in course.network.state_dict().items():
        assert torch.equal(value, earlier.state_dict()[name]), name
    other = SegmenterCourse(replace(segment, start=str(start), seed=1), CPU)
    assert other.settings["start"] == course.settings["start"] == bundle_config(start)["sha256"]


def test_a_start_of_another_kind_or_shape_is_refused(segment, tmp_path):
    small = save_bundle(tmp_path / "small", MaskSegmenter(SegmenterConfig(channels=8)), preprocessing={})
    with pytest.raises(ModelError, match=r"start .*small is of SegmenterConfig\(channels=8\), model of .*16"):
        SegmenterCourse(replace(segment, start=str(small)), CPU)
    other = save_bundle(tmp_path / "other", Inpainter(InpainterConfig()), preprocessing={})
    with pytest.raises(ModelError, match="holds Inpainter, not MaskSegmenter"):
        SegmenterCourse(replace(segment, start=str(other)), CPU)
    with pytest.raises(ModelError, match="nowhere is no bundle"):
        SegmenterCourse(replace(segment, start=str(tmp_path / "nowhere")), CPU)


def gradients(rank: int, size: int, kind: str, config) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """One worker's step: the gradients that all workers have in the end, and its losses."""
    torch.set_num_threads(1)
    course = {"segment": SegmenterCourse, "align": AlignerCourse, "inpaint": InpainterCourse}[kind](config, CPU)
    faces = course.faces(CropStore(config.data, "train"), quiet=True)
    stage = len(course.stages) - 1
    course.begin(stage)
    (batch,) = faces.batches(config.batch, range(1), world=World(rank, size))
    losses = course.learn(stage, 0, batch)
    found = {
        f"{part}.{name}": parameter.grad.numpy().copy()
        for part, network in course.networks.items()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    return found, {name: float(value) for name, value in losses.items()}


def one_of_two(rank: int, kind: str, config, file: Path) -> None:
    """The first keeps what it comes to."""
    found, _ = gradients(rank, 2, kind, config)
    if rank == 0:
        np.savez(file, **found)


@pytest.mark.parametrize("kind", ["segment", "align", "inpaint"])
def test_two_workers_come_to_the_gradients_of_one(kind, segment, worn, inpaint, tmp_path):
    """The batch is uneven between them; the inpainter's is a step of the joint stage, in which everything learns."""
    config = {"segment": replace(segment, batch=5), "align": replace(worn, batch=5), "inpaint": inpaint}[kind]
    wanted, _ = gradients(0, 1, kind, config)
    on_ranks(2, one_of_two, kind, config, tmp_path / "found.npz")
    found = dict(np.load(tmp_path / "found.npz"))
    assert found.keys() == wanted.keys()
    for part in {name.split(".")[0] for name in wanted}:
        one, two = (
            np.concatenate([grads[n].ravel() for n in sorted(grads) if n.startswith(part)]) for grads in (wanted, found)
        )
        assert np.abs(one).max() > 0
        assert np.linalg.norm(two - one) < 2e-3 * np.linalg.norm(one), part


@pytest.mark.parametrize("kind", ["segment", "inpaint"])
def test_bfloat16_teaches_nearly_the_same(kind, segment, inpaint):
    config = segment if kind == "segment" else inpaint
    full, wanted = gradients(0, 1, kind, replace(config, precision="float32"))
    low, losses = gradients(0, 1, kind, replace(config, precision="bfloat16"))
    assert losses == pytest.approx(wanted, rel=0.02)
    for part in {name.split(".")[0] for name in full}:
        one, two = (
            np.concatenate([grads[n].ravel() for n in sorted(grads) if n.startswith(part)]) for grads in (full, low)
        )
        assert not np.array_equal(one, two), part  # else it was float32 all the same
        assert one @ two > 0.95 * np.linalg.norm(one) * np.linalg.norm(two), part


KILLED = """
import sys, torch
from raymask.storage import Folder
from raymask.train.engine.hooks import LoopHooks
from raymask.train.engine.checkpoints import Checkpoints
from raymask.train.staged.inpainter import train_inpainter
from raymask.train.staged.inpainter_config import InpaintConfig, StagesConfig

torch.set_num_threads(1)
data, run = sys.argv[1:]
checkpoints = Checkpoints(Folder(run))
newest = checkpoints.newest()
print("begins at", newest and (newest[1]["epoch"], newest[1]["step"]), flush=True)
config = InpaintConfig(
    data=data, stages=StagesConfig(edges=2, image=2, drawn=2, joint=2), batch=3, validation_photos=4, measure_every=100,
    learning_rate=1e-3,
)
hooks = LoopHooks(save=checkpoints.save, save_every=1)
train_inpainter(config, hooks, resume=newest and newest[1], device=torch.device("cpu"))
"""


@pytest.mark.faults
def test_a_process_killed_in_the_midst_goes_on_and_ends_in_the_same_weights(inpaint, inpainted, tmp_path):
    run = Folder(tmp_path / "run")
    command = [sys.executable, "-W", "ignore", "-c", KILLED, inpaint.data, str(tmp_path / "run")]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any("epoch-002" in name for name in Checkpoints(run).names()):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "begins at (2, " in second.stdout or "begins at (3, " in second.stdout
    end = Checkpoints(run).newest()[1]
    assert (end["epoch"], end["step"]) == (4, 0)
    wanted = inpainted[1][-1]["networks"]["inpainter"]
    for name, value in end["networks"]["inpainter"].items():
        assert torch.allclose(value, wanted[name], rtol=1e-3, atol=1e-4), name


def test_losses_that_are_off_are_left_out(inpaint):
    off = InpaintLossConfig(adversarial=0, edge_adversarial=0, feature_matching=0)
    quiet = replace(inpaint, loss=off, stages=StagesConfig(edges=0, image=0, drawn=0, joint=1))
    seen = Seen()
    assert train_inpainter(quiet, LoopHooks(run_log=seen), device=CPU)
    assert set(seen.curve[0][1]) == {"edge_entropy", "l1", "image_gradient", "identity", "perceptual", "style"}


def test_people_without_a_validation_split_are_trained_without_measuring(segment, prepared, tmp_path):
    import shutil

    shutil.copytree(prepared, tmp_path / "p", ignore=shutil.ignore_patterns("split=val"))
    seen = Seen()
    short = replace(segment, data=str(tmp_path / "p"), steps=2)
    assert train_segmenter(short, LoopHooks(run_log=seen), device=CPU)
    assert list(seen.figures.values()) == [{}]
    assert seen.grids == {}
