"""The quintuplet loss (paper §4.2, §4.3, §5), exact over all quintuplets of a batch without listing them.

A quintuplet (A, P, N, Pm, Nm) has the value u + v + margin, where u = d(A,P) - d(A,N) depends on the two bare
photos alone and v = d(A,Pm) - d(A,Nm) on the two masked ones. So, per anchor, the quintuplets above zero are the pairs
(u, v) with v > -(u + margin): sort the v, look up each u, and the number of partners of each u and of each v follows.
Those numbers are all that the sum of the hinges and its gradient need, for both are linear in the distances:

    sum of hinges = sum over photos x of weight(A, x) d(A, x) + margin * active

with whole-number weights that count, with sign, the active quintuplets in which x takes part.

Shapes: B photos, D values an embedding, A anchors, P positives an anchor at most, N negatives.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from raymask.errors import ConfigError, check_choice

Mining = Literal["all", "semihard", "hardest"]
Distance = Literal["squared_euclidean", "cosine"]

_PAIRS_AT_ONCE = 2**24
"""(u, v) entries held at a time; bounds memory to a few hundred MiB whatever the batch."""


class QuintupletResult(NamedTuple):
    """What `quintuplet_loss` finds; to combine ranks, sum `loss * active` and `active` and divide."""

    loss: Tensor
    """() float: mean hinge over the active quintuplets; 0 with a graph to `embeddings` if there are none."""
    valid: Tensor
    """() int64: quintuplets that the mining rule admits."""
    active: Tensor
    """() int64: those of them whose hinge is positive."""


def quintuplet_loss(
    embeddings: Tensor,
    identities: Tensor,
    masked: Tensor,
    *,
    margin: float = 0.2,
    mining: Mining = "semihard",
    distance: Distance = "squared_euclidean",
    anchors: Tensor | None = None,
) -> QuintupletResult:
    """Mean of max(0, d(A,P) + d(A,Pm) - d(A,N) - d(A,Nm) + margin) over the quintuplets where it is positive.

    P and Pm are photos of the anchor's identity other than the anchor, N and Nm of other identities; P and N are
    bare, Pm and Nm masked. Anchors are bare or masked.

    Args:
        embeddings: (B, D) floating point, normalised here row by row.
        identities: (B,) integers, equal for photos of one person.
        masked: (B,) bool, true for masked photos.
        margin: alpha, in units of the distance; positive.
        mining: "all" quintuplets; "semihard": 0 < d(A,N) - d(A,P) < margin and 0 < d(A,Nm) - d(A,Pm) < margin (§4.3);
            "hardest": each anchor's farthest P and Pm with its nearest N and Nm (§5).
        distance: between normalised rows, "squared_euclidean" (0 to 4, §4.2) or "cosine" (0 to 2).
        anchors: (A,) int64 rows that serve as anchors, such as a rank's own; None for all.

    Raises:
        ConfigError: an unknown rule or distance, a margin that is not positive, or shapes that do not match.
    """
    _check(embeddings, identities, masked, margin, mining, distance)
    precise = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    emb_BD = F.normalize(precise, dim=1)
    rows_A = torch.arange(len(emb_BD), device=emb_BD.device) if anchors is None else anchors
    cosine_AB = emb_BD[rows_A] @ emb_BD.T
    dist_AB = 1 - cosine_AB if distance == "cosine" else 2 - 2 * cosine_AB

    total = dist_AB[:0].sum().double()  # zero, with a graph even where there are no anchors
    valid = active = torch.zeros((), dtype=torch.int64, device=emb_BD.device)
    for chunk in _chunks(len(rows_A), len(emb_BD)):
        roles = _Roles.of(rows_A[chunk], identities, masked)
        part = dist_AB[chunk]
        with torch.no_grad():
            find = _weigh_hardest if mining == "hardest" else _weigh_pairs
            weight_AB, found, kept = find(part, roles, margin, semihard=mining == "semihard")
        # Whole-number weights times float32 distances, summed in float64: small terms survive beside large ones.
        total = total + (weight_AB * part.double()).sum() + margin * kept.double()
        valid, active = valid + found, active + kept
    return QuintupletResult((total / active.clamp(min=1)).to(precise.dtype), valid, active)


class _Roles(NamedTuple):
    """Which photos may take which place in an anchor's quintuplets; all (A, B) bool."""

    positive: Tensor
    masked_positive: Tensor
    negative: Tensor
    masked_negative: Tensor

    @classmethod
    def of(cls, rows_A: Tensor, identities_B: Tensor, masked_B: Tensor) -> _Roles:
        same = identities_B[rows_A, None] == identities_B[None, :]
        other_shot = same.scatter(1, rows_A[:, None], False)
        return cls(other_shot & ~masked_B, other_shot & masked_B, ~same & ~masked_B, ~same & masked_B)


def _weigh_pairs(dist_AB: Tensor, roles: _Roles, margin: float, *, semihard: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (A, B) float64 of the distances, and the numbers of valid and active quintuplets."""
    bare = _Side.of(dist_AB, roles.positive, roles.negative, margin, semihard)
    covered = _Side.of(dist_AB, roles.masked_positive, roles.masked_negative, margin, semihard)
    u_AX, v_AY = bare.difference.flatten(1), covered.difference.flatten(1)
    valid = (bare.pair_count * covered.pair_count).sum()

    sorted_AY, order_AY = v_AY.sort(dim=1)
    below_AX = torch.searchsorted(sorted_AY, -(u_AX + margin), right=True)  # v that are too small for this u
    partners_of_u = v_AY.shape[1] - below_AX
    # v at place k of the order is active with each u whose first partner stands at k or before.
    starts = torch.zeros(len(v_AY), v_AY.shape[1] + 1, dtype=torch.int64, device=v_AY.device)
    starts.scatter_add_(1, below_AX, torch.ones_like(below_AX))
    partners_of_v = torch.zeros_like(order_AY).scatter_(1, order_AY, starts.cumsum(1)[:, :-1])

    weight_AB = torch.zeros_like(dist_AB, dtype=torch.float64)
    bare.add_weights(weight_AB, partners_of_u)
    covered.add_weights(weight_AB, partners_of_v)
    return weight_AB, valid, partners_of_u.sum()


class _Side(NamedTuple):
    """The bare or the masked half of all quintuplets of some anchors."""

    difference: Tensor
    """(A, P, N): d(anchor, positive) - d(anchor, negative), -inf where the rule does not admit the pair."""
    positives: Tensor
    """(A, P) int64: columns of the positives, any column in unused places."""
    negatives: Tensor
    """(N,) int64: columns that are a negative of some anchor."""
    pair_count: Tensor
    """(A,) int64: admitted pairs of each anchor."""

    @classmethod
    def of(cls, dist_AB: Tensor, positive: Tensor, negative: Tensor, margin: float, semihard: bool) -> _Side:
        most = int(positive.sum(1).max())
        is_positive_AP, positives_AP = positive.to(torch.uint8).topk(most, dim=1)
        negatives_N = negative.any(0).nonzero().squeeze(1)
        near_AP1 = dist_AB.gather(1, positives_AP)[:, :, None]
        difference = near_AP1 - dist_AB[:, negatives_N][:, None, :]
        admitted = is_positive_AP.bool()[:, :, None] & negative[:, negatives_N][:, None, :]
        if semihard:
            admitted &= (difference > -margin) & (difference < 0)
        return cls(
            difference.masked_fill_(~admitted, -torch.inf), positives_AP, negatives_N, admitted.flatten(1).sum(1)
        )

    def add_weights(self, weight_AB: Tensor, partners: Tensor) -> None:
        """Add each pair's number of partners at its positive and take it off at its negative, in place."""
        partners_APN = partners.view_as(self.difference)
        weight_AB.scatter_add_(1, self.positives, partners_APN.sum(2).double())
        weight_AB[:, self.negatives] -= partners_APN.sum(1).double()


def _weigh_hardest(dist_AB: Tensor, roles: _Roles, margin: float, *, semihard: bool) -> tuple[Tensor, Tensor, Tensor]:
    """As `_weigh_pairs`, for the one hardest quintuplet of each anchor that has one."""
    picks = [
        _extreme(dist_AB, roles.positive, farthest=True),
        _extreme(dist_AB, roles.masked_positive, farthest=True),
        _extreme(dist_AB, roles.negative, farthest=False),
        _extreme(dist_AB, roles.masked_negative, farthest=False),
    ]
    exists = torch.stack([role.any(1) for role in roles]).all(0)
    signs = (1.0, 1.0, -1.0, -1.0)
    value = sum(sign * dist_AB.gather(1, pick) for sign, pick in zip(signs, picks, strict=True))
    kept = exists & ((value + margin).squeeze(1) > 0)  # type: ignore[union-attr]
    weight_AB = torch.zeros_like(dist_AB, dtype=torch.float64)
    for sign, pick in zip(signs, picks, strict=True):
        weight_AB.scatter_add_(1, pick, sign * kept[:, None].double())
    return weight_AB, exists.sum(), kept.sum()


def _extreme(dist_AB: Tensor, role: Tensor, *, farthest: bool) -> Tensor:
    """(A, 1) int64: column of the farthest or nearest photo in the role, any column where there is none."""
    fill = -torch.inf if farthest else torch.inf
    candidates = dist_AB.masked_fill(~role, fill)
    return candidates.argmax(1, keepdim=True) if farthest else candidates.argmin(1, keepdim=True)


def _chunks(anchors: int, batch: int) -> list[slice]:
    """Slices of the anchors small enough that one chunk's pairs fit the bound, for the usual few positives each."""
    size = max(1, _PAIRS_AT_ONCE // max(1, 8 * batch))
    return [slice(start, start + size) for start in range(0, anchors, size)]


def _check(embeddings: Tensor, identities: Tensor, masked: Tensor, margin: float, mining: str, distance: str) -> None:
    check_choice("mining", mining, get_args(Mining))
    check_choice("distance", distance, get_args(Distance))
    if not margin > 0:
        raise ConfigError(f"margin must be positive, not {margin}")
    count = len(embeddings)
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        raise ConfigError(f"embeddings must be (B, D) floating point, not {tuple(embeddings.shape)} {embeddings.dtype}")
    if identities.shape != (count,) or masked.shape != (count,) or masked.dtype != torch.bool:
        raise ConfigError(f"identities must be ({count},) and masked ({count},) bool, to go with the embeddings")
