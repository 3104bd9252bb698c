"""The fast loss against a plain loop over every quintuplet."""

import itertools

import pytest
import torch
from torch import Tensor

from raymask.errors import ConfigError
from raymask.losses.quintuplet import quintuplet_loss

RULES = ["all", "semihard", "hardest"]


def oracle(embeddings, identities, masked, *, margin, mining, distance="squared_euclidean", anchors=None):
    """Sum of hinges, valid and active, by the definition: five nested choices for each anchor."""
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)

    def d(i: int, j: int) -> Tensor:
        return 1 - unit[i] @ unit[j] if distance == "cosine" else ((unit[i] - unit[j]) ** 2).sum()

    everyone = range(len(embeddings))
    hinges, valid = [], 0
    for a in everyone if anchors is None else anchors.tolist():
        same = [x for x in everyone if identities[x] == identities[a] and x != a]
        rest = [x for x in everyone if identities[x] != identities[a]]
        positives, masked_positives = [x for x in same if not masked[x]], [x for x in same if masked[x]]
        negatives, masked_negatives = [x for x in rest if not masked[x]], [x for x in rest if masked[x]]
        quintuplets = list(itertools.product(positives, negatives, masked_positives, masked_negatives))
        if mining == "hardest" and quintuplets:
            quintuplets = [max(quintuplets, key=lambda q: d(a, q[0]) + d(a, q[2]) - d(a, q[1]) - d(a, q[3]))]
        for p, n, pm, nm in quintuplets:
            u, v = d(a, p) - d(a, n), d(a, pm) - d(a, nm)
            if mining == "semihard" and not (-margin < u < 0 and -margin < v < 0):
                continue
            valid += 1
            if u + v + margin > 0:
                hinges.append(u + v + margin)
    total = torch.stack(hinges).sum() if hinges else (embeddings * 0).sum()
    return total / max(1, len(hinges)), valid, len(hinges)


def batch(seed: int, layout: list[tuple[int, int]], dims: int = 4, dtype=torch.float64):
    """Photos of one identity for each (bare, masked) count, around a centre of its own, in shuffled order."""
    generator = torch.Generator().manual_seed(seed)
    identities = torch.tensor([who for who, (bare, cover) in enumerate(layout) for _ in range(bare + cover)])
    masked = torch.tensor([m for bare, cover in layout for m in [False] * bare + [True] * cover], dtype=torch.bool)
    centres = torch.randn(len(layout), dims, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(identities), dims, generator=generator, dtype=torch.float64)
    order = torch.randperm(len(identities), generator=generator)
    embeddings = (centres[identities] + 0.8 * noise).to(dtype)[order].requires_grad_()
    return embeddings, identities[order], masked[order]


LAYOUTS = {
    "even": [(2, 2)] * 4,
    "ragged": [(3, 1), (1, 3), (2, 2), (1, 1), (0, 3), (4, 0)],
    "single photos": [(2, 2), (1, 0), (0, 1), (3, 2), (1, 0), (2, 3)],
}


@pytest.mark.parametrize("mining", RULES)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("distance", ["squared_euclidean", "cosine"])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_plain_loop_in_value_and_gradient(mining, layout, distance, seed):
    embeddings, identities, masked = batch(seed, layout)
    options = {"margin": 0.5, "mining": mining, "distance": distance}
    result = quintuplet_loss(embeddings, identities, masked, **options)
    expected, valid, active = oracle(embeddings, identities, masked, **options)
    assert (int(result.valid), int(result.active)) == (valid, active)
    assert active > 0
    torch.testing.assert_close(result.loss, expected, rtol=0, atol=1e-9)
    (gradient,) = torch.autograd.grad(result.loss, embeddings)
    (wanted,) = torch.autograd.grad(expected, embeddings)
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mining", RULES)
@pytest.mark.parametrize(
    "layout",
    [[(3, 3)], [(1, 1), (1, 1), (1, 1)], [(3, 0), (3, 0)], [(0, 3), (0, 3)], [(1, 0)]],
    ids=["one identity", "no positives", "no masked photo", "no bare photo", "one photo"],
)
def test_without_a_quintuplet_the_loss_is_zero_and_backward_works(mining, layout):
    embeddings, identities, masked = batch(0, layout)
    result = quintuplet_loss(embeddings, identities, masked, mining=mining)
    assert (result.loss.item(), int(result.valid), int(result.active)) == (0.0, 0, 0)
    result.loss.backward()
    assert embeddings.grad is not None
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_a_rank_without_anchors_still_has_a_graph():
    embeddings, identities, masked = batch(0, LAYOUTS["even"])
    result = quintuplet_loss(embeddings, identities, masked, anchors=torch.zeros(0, dtype=torch.int64))
    result.loss.backward()
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


@pytest.mark.parametrize("mining", RULES)
def test_anchors_split_over_ranks_sum_to_the_whole(mining):
    embeddings, identities, masked = batch(3, LAYOUTS["ragged"])
    whole = quintuplet_loss(embeddings, identities, masked, mining=mining, margin=0.5)
    shards = [
        quintuplet_loss(embeddings, identities, masked, mining=mining, margin=0.5, anchors=rows)
        for rows in torch.arange(len(embeddings)).split(7)
    ]
    assert sum(int(s.active) for s in shards) == int(whole.active) > 0
    assert sum(int(s.valid) for s in shards) == int(whole.valid)
    total = torch.stack([s.loss * s.active for s in shards]).sum() / whole.active
    torch.testing.assert_close(total, whole.loss, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_lower_precision_stays_close(dtype, tolerance):
    embeddings, identities, masked = batch(5, [(3, 3)] * 8, dims=16)
    low = quintuplet_loss(embeddings.detach().to(dtype), identities, masked, mining="all")
    full = quintuplet_loss(embeddings, identities, masked, mining="all")
    assert low.loss.dtype == torch.float32
    assert low.valid == full.valid
    assert low.loss.item() == pytest.approx(full.loss.item(), rel=tolerance)


@pytest.mark.parametrize("mining", RULES)
def test_float32_finds_the_quintuplets_of_float64(mining):
    """It sorts in another way. Distances near a border may fall to its other side: a few in 100,000."""
    embeddings, identities, masked = batch(6, [(3, 3), (5, 1), (1, 4), (2, 2)] * 10, dims=16)
    low = quintuplet_loss(embeddings.detach().float(), identities, masked, mining=mining, margin=0.5)
    full = quintuplet_loss(embeddings, identities, masked, mining=mining, margin=0.5)
    assert int(full.active) > 30
    assert int(low.valid) == pytest.approx(int(full.valid), rel=1e-4)
    assert int(low.active) == pytest.approx(int(full.active), rel=1e-4)
    assert low.loss.item() == pytest.approx(full.loss.item(), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("mining", "valid"), [("all", 16 * 1 * 2 * 6 * 6), ("semihard", 0), ("hardest", 16)])
def test_where_all_faces_are_one_point_every_hinge_is_the_margin(mining, valid, dtype):
    _, identities, masked = batch(0, LAYOUTS["even"])
    same = torch.ones(16, 4, dtype=dtype)
    result = quintuplet_loss(same, identities, masked, mining=mining, margin=0.3)
    assert int(result.valid) == int(result.active) == valid
    assert result.loss.item() == pytest.approx(0.3 if valid else 0)


def test_a_hinge_of_zero_is_not_active():
    """d(A,N) - d(A,P) = 2 and d(A,Nm) - d(A,Pm) = 2 to the bit: the hinge is margin - 4."""
    axes = torch.eye(2)
    embeddings = torch.stack([axes[0], axes[0], axes[0], axes[1], axes[1]])
    identities, masked = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([False, False, True, False, True])
    anchor = torch.tensor([0])
    for margin, active in ((4.0, 0), (4.5, 1)):
        result = quintuplet_loss(embeddings, identities, masked, mining="all", margin=margin, anchors=anchor)
        assert (int(result.valid), int(result.active)) == (1, active)
        assert result.loss.item() == pytest.approx((margin - 4) * active)


def test_chunks_of_anchors_change_nothing(monkeypatch):
    embeddings, identities, masked = batch(7, LAYOUTS["ragged"])
    whole = quintuplet_loss(embeddings, identities, masked, mining="all")
    monkeypatch.setattr("raymask.losses.quintuplet._PAIRS_AT_ONCE", {"cpu": 1})
    pieces = quintuplet_loss(embeddings, identities, masked, mining="all")
    assert pieces.active == whole.active
    torch.testing.assert_close(pieces.loss, whole.loss, rtol=0, atol=1e-12)


def test_scale_of_the_embeddings_does_not_matter():
    embeddings, identities, masked = batch(2, LAYOUTS["even"])
    once = quintuplet_loss(embeddings, identities, masked, mining="all")
    torch.testing.assert_close(quintuplet_loss(embeddings * 17, identities, masked, mining="all").loss, once.loss)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mining": "random"}, "mining 'random' is unknown"),
        ({"distance": "manhattan"}, "distance 'manhattan' is unknown"),
        ({"margin": 0.0}, "margin must be positive"),
        ({"masked": torch.zeros(3)}, "masked"),
        ({"embeddings": torch.zeros(8)}, "embeddings must be"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    embeddings, identities, masked = batch(0, LAYOUTS["even"])
    arguments = {"embeddings": embeddings, "identities": identities, "masked": masked} | change
    with pytest.raises(ConfigError, match=message):
        quintuplet_loss(**arguments)
