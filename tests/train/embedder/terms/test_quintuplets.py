import torch

from raymask.train.embedder.objective import Objective
from raymask.train.engine.config import LoopConfig, LossConfig


def lost(people: torch.Tensor, epoch: int = 0, **options):
    objective = Objective(LoopConfig(data="none", loss=LossConfig(**options)))
    masked = torch.arange(len(people)) % 2 == 0
    embeddings = torch.randn(len(people), 4, generator=torch.Generator().manual_seed(0))
    return objective(embeddings, people, masked, None, epoch=epoch)[1]["quintuplets"]


def test_it_counts_what_it_takes_and_its_curve_has_the_name_of_the_rule():
    found = lost(torch.arange(12) // 6, mining="all")
    assert 0 < found.count == found.totals["active"] <= found.totals["valid"]
    assert found.totals["empty_steps"] == 0
    assert found.figures == {"active": found.count, "active_share": found.count / found.totals["valid"]}
    assert (found.curve, found.note) == ("all", f"{found.count} active quintuplets")
    assert [lost(torch.arange(12) // 6, epoch).curve for epoch in (6, 7)] == ["semihard", "hardest"]


def test_a_step_without_quintuplets_has_no_share():
    found = lost(torch.arange(12), mining="all")
    assert (found.value, found.count, found.totals["empty_steps"]) == (0.0, 0, 1)
    assert found.figures["active_share"] == 0
