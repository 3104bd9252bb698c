"""The quintuplet loss (paper §4.2, §4.3, §5), exact over all quintuplets of a batch without listing them.

A quintuplet (A, P, N, Pm, Nm) has the value u + v + margin, where u = d(A,P) - d(A,N) depends on the two bare
photos alone and v = d(A,Pm) - d(A,Nm) on the two masked ones. So, per anchor, the quintuplets above zero are the pairs
(u, v) with v > -margin - u: sort the two sides of that together, and the number of partners of each u and of each v
can be read from its place. Those numbers are all that the sum of the hinges and its gradient need, for both are
linear in the distances:

    sum of hinges = sum over photos x of weight(A, x) d(A, x) + margin * active

with whole-number weights that count, with sign, the active quintuplets in which x takes part.

Photos are held bare before masked, and on each side by identity, so that a person's photos of a side are neighbours.
Shapes: B photos, D values an embedding, A anchors (all, or of a chunk), S photos of a side, P positives an anchor at
most, N negatives, X pairs u of an anchor, Y pairs v.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raymask.errors import ConfigError, check_choice

Mining = Literal["all", "semihard", "hardest"]
Distance = Literal["squared_euclidean", "cosine"]

_PAIRS_AT_ONCE = {"cpu": 2**20, "cuda": 2**24}
"""Pairs of one chunk of anchors, about 50 bytes each: what fits a processor's caches, what keeps a GPU busy."""


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
    bare, Pm and Nm masked. Anchors are bare or masked. It can be differentiated once.

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
    order_B = identities.argsort()
    order_B = order_B[masked[order_B].byte().argsort(stable=True)]
    places_A = torch.arange(len(order_B), device=order_B.device) if anchors is None else order_B.argsort()[anchors]
    with torch.autocast(embeddings.device.type, enabled=False):  # which would make the distances bfloat16
        unit_BD = F.normalize(precise, dim=1)[order_B]
        sides = _sides(identities[order_B], masked, places_A)
        return QuintupletResult(*_MeanHinge.apply(unit_BD, places_A, sides, margin, mining, distance))


class _MeanHinge(torch.autograd.Function):
    """The loss and, from the same weights, its gradient: chunk by chunk, so that no (B, B) matrix is ever held."""

    @staticmethod
    def forward(
        ctx: Any,
        unit_BD: Tensor,
        places_A: Tensor,
        sides: tuple[_Side, _Side],
        margin: float,
        mining: Mining,
        distance: Distance,
    ) -> tuple[Tensor, Tensor, Tensor]:
        slope = 1 if distance == "cosine" else 2  # |a - b|^2 = 2 - 2 a.b for rows of norm 1
        total = torch.zeros((), dtype=torch.float64, device=unit_BD.device)
        valid = active = torch.zeros((), dtype=torch.int64, device=unit_BD.device)
        pull_BD = torch.zeros_like(unit_BD)
        for chunk in _chunks(places_A, sides, len(unit_BD)):
            anchor_AD = unit_BD[chunk.places]
            dist_AB = slope - slope * (anchor_AD @ unit_BD.T)
            weight_AB, found, kept = _weigh(dist_AB, chunk, margin, mining)
            # Whole numbers times distances, summed in float64: small terms survive beside large ones.
            total += (weight_AB * dist_AB.double()).sum() + margin * kept.double()
            valid, active = valid + found, active + kept
            weight_AB = weight_AB.to(unit_BD.dtype)
            pull_BD.index_add_(0, chunk.places, weight_AB @ unit_BD)
            pull_BD.addmm_(weight_AB.T, anchor_AD)
        count = active.clamp(min=1).double()
        ctx.save_for_backward(pull_BD * (-slope / count))
        ctx.mark_non_differentiable(valid, active)
        return (total / count).to(unit_BD.dtype), valid, active

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] * ctx.saved_tensors[0], None, None, None, None, None


class _Side(NamedTuple):
    """Where the bare or the masked photos stand, and among them those of each anchor's person."""

    columns: slice
    first: Tensor
    """(A,) int64: column of the person's first photo."""
    last: Tensor
    """(A,) int64: column after the person's last photo."""
    positives: Tensor
    """(A,) int64: the person's photos less the anchor itself."""


def _sides(people_B: Tensor, masked_B: Tensor, places_A: Tensor) -> tuple[_Side, _Side]:
    """The two sides of a batch whose photos stand in their order."""
    bare, people_A = len(people_B) - int(masked_B.sum()), people_B[places_A]

    def side(start: int, stop: int) -> _Side:
        first_A = start + torch.searchsorted(people_B[start:stop], people_A)
        last_A = start + torch.searchsorted(people_B[start:stop], people_A, right=True)
        itself = (first_A <= places_A) & (places_A < last_A)
        return _Side(slice(start, stop), first_A, last_A, last_A - first_A - itself.long())

    return side(0, bare), side(bare, len(people_B))


class _Chunk(NamedTuple):
    """Anchors to weigh at a time."""

    places: Tensor
    sides: tuple[_Side, _Side]
    most: tuple[int, int]
    """Positives of a side at most."""


def _chunks(places_A: Tensor, sides: tuple[_Side, _Side], batch: int) -> Iterator[_Chunk]:
    """All anchors with positives of both kinds; those with equally many together, so that little is padding."""
    counts_A2 = torch.stack([side.positives for side in sides], 1).cpu().numpy()
    most_A = counts_A2.max(1) * (counts_A2.min(1) > 0)
    order = np.lexsort((counts_A2[:, 0], most_A))[len(most_A) - np.count_nonzero(most_A) :]
    order_A = torch.from_numpy(order).to(places_A.device)
    stop = len(order)
    while stop:
        size = max(1, _PAIRS_AT_ONCE[places_A.device.type] // int(most_A[order[stop - 1]] * batch))
        start = max(0, stop - size)
        rows = order_A[start:stop]
        bare, covered = (_Side(side.columns, *(values[rows] for values in side[1:])) for side in sides)
        most = counts_A2[order[start:stop]].max(0)
        yield _Chunk(places_A[rows], (bare, covered), (int(most[0]), int(most[1])))
        stop = start


def _weigh(dist_AB: Tensor, chunk: _Chunk, margin: float, mining: Mining) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (A, B) float64 of the distances, and the numbers of valid and active quintuplets."""
    bare, covered = (
        _Pairs.of(dist_AB, chunk.places, side, most, margin, mining)
        for side, most in zip(chunk.sides, chunk.most, strict=True)
    )
    partners_AX, partners_AY = _count_partners(bare.difference.flatten(1), covered.difference.flatten(1), margin)
    weight_AB = torch.zeros_like(dist_AB, dtype=torch.float64)
    bare.add_weights(weight_AB, partners_AX)
    covered.add_weights(weight_AB, partners_AY)
    return weight_AB, (bare.admitted() * covered.admitted()).sum(), partners_AX.sum()


class _Pairs(NamedTuple):
    """The bare or the masked halves of the quintuplets of some anchors."""

    difference: Tensor
    """(A, P, N): d(anchor, positive) - d(anchor, negative), -inf where the rule does not admit the pair."""
    positives: Tensor
    """(A, P) int64: columns, any in unused places."""
    negatives: Tensor
    """(A, N) int64: columns."""

    @classmethod
    def of(cls, dist_AB: Tensor, places_A: Tensor, side: _Side, most: int, margin: float, mining: Mining) -> _Pairs:
        first_A1, last_A1, place_A1 = side.first[:, None], side.last[:, None], places_A[:, None]
        slots_P = torch.arange(most, device=dist_AB.device)
        positives_AP = first_A1 + slots_P
        positives_AP += (positives_AP >= place_A1) & (first_A1 <= place_A1)  # steps over the anchor itself
        positives_AP.clamp_(max=dist_AB.shape[1] - 1)
        near_AP = dist_AB.gather(1, positives_AP).masked_fill_(slots_P >= side.positives[:, None], -torch.inf)
        columns_S = torch.arange(side.columns.start, side.columns.stop, device=dist_AB.device)
        own_AS = (columns_S >= first_A1) & (columns_S < last_A1)
        far_AN, negatives_AN = dist_AB[:, side.columns].masked_fill(own_AS, torch.inf), columns_S.expand_as(own_AS)
        if mining == "hardest":
            near_AP, pick = near_AP.max(1, keepdim=True)
            positives_AP = positives_AP.gather(1, pick)
            far_AN, pick = far_AN.min(1, keepdim=True)
            negatives_AN = negatives_AN.gather(1, pick)
        difference = near_AP[:, :, None] - far_AN[:, None, :]
        if mining == "semihard":
            difference.masked_fill_((difference <= -margin) | (difference >= 0), -torch.inf)
        return cls(difference, positives_AP, negatives_AN)

    def admitted(self) -> Tensor:
        """(A,) int64: admitted pairs of each anchor."""
        return (self.difference > -torch.inf).flatten(1).sum(1)

    def add_weights(self, weight_AB: Tensor, partners: Tensor) -> None:
        """Add each pair's number of partners at its positive and take it off at its negative, in place."""
        partners_APN = partners.view_as(self.difference)
        weight_AB.scatter_add_(1, self.positives, partners_APN.sum(2).double())
        weight_AB.scatter_add_(1, self.negatives, -partners_APN.sum(1).double())


def _count_partners(u_AX: Tensor, v_AY: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """(A, X) and (A, Y) int32: of each u the number of v with u + v + margin > 0, of each v the number of such u."""
    pairs_u, pairs_v = u_AX.shape[1], v_AY.shape[1]
    order = _argsort(torch.cat([v_AY, -margin - u_AX], 1))  # v before u where equal: a hinge of zero is not active
    is_u = order >= pairs_v
    u_so_far = is_u.cumsum(1, dtype=torch.int32)
    v_to_come = torch.arange(pairs_v - 1, -pairs_u - 1, -1, dtype=torch.int32, device=order.device) + u_so_far
    partners = torch.empty_like(u_so_far).scatter_(1, order, torch.where(is_u, v_to_come, u_so_far))
    return partners[:, pairs_v:], partners[:, :pairs_v]


def _argsort(keys: Tensor) -> Tensor:
    """Columns of each row (int64) by ascending key, equal keys by column; no key may be -0.0."""
    if keys.dtype != torch.float32 or keys.device.type != "cpu":
        return keys.argsort(dim=1, stable=True)
    # numpy sorts 64-bit words 7 times as fast as torch sorts on a processor. So sort words: above, the float's bits,
    # turned so that they compare as integers do; below, the column.
    bits = keys.view(torch.int32)
    words = (bits ^ (bits >> 31 & 0x7FFFFFFF)).long()
    words.bitwise_left_shift_(32).bitwise_or_(torch.arange(keys.shape[1]))
    words.numpy().sort(axis=1)
    return words.bitwise_and_(0xFFFFFFFF)


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
