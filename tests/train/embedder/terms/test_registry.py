"""Losses from outside: an installed package's, and one in any module; named, trained with, shown, and refused."""

import sys
from dataclasses import replace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from raymask.cli import parse
from raymask.data.reading.sampler import SamplerConfig
from raymask.errors import ConfigError, DataError
from raymask.models.config import MaskFaceNetConfig
from raymask.storage import Folder
from raymask.train.embedder.loop import train
from raymask.train.embedder.objective import Objective
from raymask.train.embedder.terms.base import Lesson
from raymask.train.embedder.terms.registry import BUILT_IN, check_losses, terms_of
from raymask.train.engine.config import OWN_OPTIONS, LoopConfig, LossConfig, OptimiserConfig, TrainConfig, WatchConfig
from raymask.train.engine.hooks import LoopHooks
from raymask.train.engine.run_log import open_run_log
from raymask.train.on_ray.tasks import task_of

LOSSES = """
from dataclasses import dataclass
import torch
from raymask.train.embedder.terms.base import Term, mean_loss

@dataclass(frozen=True, kw_only=True)
class CentreSettings:
    radius: float = 0.5

class Centre(Term):
    '''Pulls each photo to a learned centre of its person.'''
    Settings = CentreSettings

    def __init__(self, settings, lesson):
        super().__init__(settings, lesson)
        self.centres = torch.nn.Parameter(torch.zeros(lesson.people, lesson.embedding_size))

    def forward(self, batch):
        away = (batch.embeddings - self.centres[batch.identities]).square().mean(1)
        return mean_loss((away - self.settings.radius).clamp(min=0))

class Taught(Centre):
    needs_teachers = True

class Short(Term):
    def forward(self, batch):
        return mean_loss(batch.embeddings.square().mean(1))

nothing = 7
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages; acme offers a loss, and one that cannot be imported."""
    (tmp_path / "acme_losses.py").write_text(LOSSES)
    (tmp_path / "acme_broken.py").write_text("import no_such_module\n")
    made = tmp_path / "acme-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text("[raymask.losses]\ncentre = acme_losses:Centre\nbroken = acme_broken:Loss\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("acme_losses", "acme_broken"):
        sys.modules.pop(name, None)


def config_of(**options) -> LoopConfig:
    return LoopConfig(data="none", **options)


def test_losses_from_outside_are_trained_with_and_shown_as_ours_are(prepared, site, tmp_path, capsys):
    """Of a package that is installed, and of a module; a run with them goes on from a checkpoint."""
    config = LoopConfig(
        data=str(prepared),
        epochs=2,
        validation_photos=0,
        model=MaskFaceNetConfig(backbone="resnet18", input_size=32, embedding_size=8, dropout=0),
        batch=SamplerConfig(people=4, bare=2, masked=2),
        loss=LossConfig(mining="all", weight=0.5),
        losses={"centre": {"weight": 0.1, "radius": 0.25}, "python:acme_losses:Short": {"weight": 0.01}},
        optimiser=OptimiserConfig(drop_every=0, learning_rate=0.01),
    )
    run, metrics, states = Folder(tmp_path / "run"), [], []
    with open_run_log(WatchConfig(every=1), run, settings={}, resume=None) as run_log:
        train(config, LoopHooks(report=metrics.append, save=states.append, save_every=1, run_log=run_log))
    assert metrics[0].keys() >= {"loss", "centre", "Short"}
    assert 0 < metrics[0]["centre"] < 10
    tally = next(state["tally"] for state in states if state["step"])
    assert tally["sums"].keys() == tally["counts"].keys() == {"quintuplets", "centre", "Short"}
    assert tally["counts"]["centre"] == tally["photos"] > 0
    centres = states[-1]["objective"]["centre"]["centres"]
    assert centres.shape == (4, 8)
    assert centres.abs().max() > 0
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert len(events.Scalars("loss/centre")) == states[-1]["epoch"] * states[-1]["steps"]
    assert events.Scalars("epoch/Short")[-1].value == pytest.approx(metrics[-1]["Short"])
    capsys.readouterr()
    again = []
    train(replace(config, epochs=3), LoopHooks(report=again.append), resume=states[-1])
    assert " active quintuplets, centre 0." in capsys.readouterr().out
    assert [one["epoch"] for one in again] == [3]
    with pytest.raises(DataError, match=r"other settings \(losses changed\)"):
        train(replace(config, losses={"centre": {"weight": 0.2}}), resume=states[-1])


def test_an_epochs_sentence_tells_them_too(prepared, site, tmp_path):
    options = {"data": str(prepared), "storage": str(tmp_path), "name": "one", "losses": {"centre": {"weight": 0.1}}}
    metrics = {"epoch": 1, "loss": 0.5, "valid": 3, "centre": 0.25, "photos_per_second": 9, "unvisited": 0}
    said = task_of(TrainConfig(**options)).sentence(metrics | {"empty_steps": 0})
    assert said == "epoch 1 done: loss 0.5000, centre 0.2500, 9 photos/s"


@pytest.mark.parametrize(
    "words",
    [
        ["--losses", "{centre: {weight: 0.1, radius: 2}}"],
        ["--losses.centre", "{weight: 0.1, radius: 2}"],
        ["--config", "FILE"],
    ],
)
def test_they_are_options_and_lines_of_a_file(words, site):
    (site / "c.yaml").write_text("losses:\n  centre: {weight: 0.1, radius: 2}\n")
    words = [str(site / "c.yaml") if word == "FILE" else word for word in words]
    config = parse(TrainConfig, "", ["--data", "x", "--storage", "y", "--name", "z", *words])
    assert config.losses == {"centre": {"weight": 0.1, "radius": 2}}
    assert config.weights == {"quintuplets": 1.0, "centre": 0.1}
    terms = terms_of(config, Lesson(people=3, embedding_size=8, teachers=0))
    assert list(terms) == ["quintuplets", "centre"]
    assert terms["centre"].settings.radius == 2


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"center": {"weight": 1}}, "loss 'center' is unknown; the nearest are centre"),
        ({"broken": {"weight": 1}}, "loss broken: its package cannot be imported: .*no_such_module"),
        ({"python:acme_losses:nothing": {"weight": 1}}, "is 7; it must be a subclass of .*terms.base.Term"),
        ({"centre": {"weight": 1, "radios": 2}}, r"losses\.centre got an unexpected keyword argument 'radios'"),
        ({"python:acme_losses:Taught": {"weight": 1}}, "is learned from teachers; name them by --teachers"),
    ],
)
def test_what_is_wrong_with_a_loss_is_told_in_one_sentence_and_the_rest_works(site, losses, said):
    with pytest.raises(ConfigError, match=said) as told:
        check_losses(config_of(losses=losses))
    assert "\n" not in str(told.value)
    check_losses(config_of(losses={"centre": {"weight": 1}}))


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"softmax": {"weight": 1}}, r"losses\.softmax: this loss has an option of its own, softmax\.weight"),
        ({"loss": {"weight": 1}}, "the name 'loss' is taken"),
        ({"a": {"weight": 1}, "python:b:a": {"weight": 1}}, "the name 'a' is taken"),
        ({"a.b": {"weight": 1}}, "the name 'a.b' must be letters"),
        ({"centre": {}}, r"losses\.centre needs a weight of 0 or more, .*not None"),
        ({"centre": {"weight": -1}}, "needs a weight of 0 or more, .*not -1"),
        ({"centre": 1}, "needs a weight"),
    ],
)
def test_names_and_weights_that_cannot_be_are_refused(losses, said):
    with pytest.raises(ConfigError, match=said):
        config_of(losses=losses)


def test_a_loss_of_weight_0_is_off_and_alone_teaches_nothing(site):
    assert config_of(losses={"centre": {"weight": 0}}).weights == {"quintuplets": 1.0}
    with pytest.raises(ConfigError, match="nothing is learned"):
        config_of(loss=LossConfig(weight=0), losses={"centre": {"weight": 0}})
    assert config_of(loss=LossConfig(weight=0), losses={"centre": {"weight": 2}}).weights == {"centre": 2}


def test_ours_with_options_of_their_own_are_registered():
    assert BUILT_IN.keys() >= OWN_OPTIONS.keys()


def test_the_sum_is_of_the_losses_times_their_weights(site):
    torch.manual_seed(0)
    embeddings = torch.randn(8, 4, requires_grad=True)
    batch = (embeddings, torch.arange(8) // 4, torch.arange(8) % 2 == 0, None)
    config = config_of(loss=LossConfig(mining="all", weight=0.5), losses={"python:acme_losses:Short": {"weight": 0.25}})
    share, lost = Objective(config, people=2)(*batch, epoch=0)
    assert share.item() == pytest.approx(0.5 * lost["quintuplets"].value + 0.25 * lost["Short"].value)
    assert lost["Short"].value == pytest.approx(embeddings.square().mean().item())
    assert lost["Short"].count == 8
