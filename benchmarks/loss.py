"""The exact quintuplet loss, forward and backward: time by batch size, memory, and enumeration beside it; JSON out.

Three things in one run on one machine: that the loss equals enumeration in value and gradient; how long it takes from
120 to 4096 photos and how much memory; how long two ways of enumerating take on the paper's batch of 120.
"""

import argparse
import json
import math
import multiprocessing
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from raymask.losses.quintuplet import Mining, quintuplet_loss

MARGIN = 0.2
PAPER, LARGE = 20, 342
"""People in the paper's batch of 120 photos, and in one of 2,052."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Batch(NamedTuple):
    """B photos, each person's six in a row: three bare, three masked."""

    embeddings: Tensor
    """(B, 512), with gradient."""
    identities: Tensor
    masked: Tensor

    @classmethod
    def of(cls, people: int, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> "Batch":
        generator = torch.Generator().manual_seed(0)
        identities = torch.arange(people).repeat_interleave(6)
        masked = torch.tensor([False] * 3 + [True] * 3).repeat(people)
        centres = torch.randn(people, 512, generator=generator)
        embeddings = 0.3 * centres[identities] + torch.randn(len(identities), 512, generator=generator)
        return cls(embeddings.to(device, dtype).requires_grad_(), identities.to(device), masked.to(device))


def ours(embeddings: Tensor, identities: Tensor, masked: Tensor, *, mining: Mining = "all") -> Tensor:
    return quintuplet_loss(embeddings, identities, masked, margin=MARGIN, mining=mining).loss


class Halves(NamedTuple):
    """Of every anchor the pairs of one side as columns, all there are in a `Batch`: no test of who is who is left."""

    positives: Tensor
    """(B, X)"""
    negatives: Tensor
    """(B, X)"""
    used: Tensor
    """(B, X) bool: an anchor has one positive less on its own side."""

    @classmethod
    def both(cls, batch: Batch) -> "tuple[Halves, Halves]":
        people, anchors = len(batch.identities) // 6, torch.arange(len(batch.identities))

        def half(shots: range) -> Halves:
            positives, negatives = [], []
            for person in range(people):
                others = [6 * other + shot for other in range(people) if other != person for shot in shots]
                pairs = list(product([6 * person + shot for shot in shots], others))
                positives += [[positive for positive, _ in pairs]] * 6
                negatives += [[negative for _, negative in pairs]] * 6
            columns = torch.tensor(positives)
            return cls(columns, torch.tensor(negatives), columns != anchors[:, None])

        return half(range(3)), half(range(3, 6))


def _differences(dist_BB: Tensor, half: Halves, mining: str) -> Tensor:
    """(B, X), -inf where the rule admits no quintuplet with the pair."""
    difference = dist_BB.gather(1, half.positives) - dist_BB.gather(1, half.negatives)
    admitted = half.used & (difference > -MARGIN) & (difference < 0) if mining == "semihard" else half.used
    return difference.masked_fill(~admitted, -torch.inf)


def enumerated(
    embeddings: Tensor, identities: Tensor, masked: Tensor, *, halves: tuple, mining: Mining = "all"
) -> Tensor:
    """Every quintuplet's hinge as an entry of a tensor, and automatic differentiation through it."""
    unit = F.normalize(embeddings, dim=1)
    u, v = (_differences(2 - 2 * unit @ unit.T, half, mining) for half in halves)
    if mining == "hardest":
        u, v = u.max(1, keepdim=True).values, v.max(1, keepdim=True).values
    hinges = (u[:, :, None] + v[:, None, :] + MARGIN).relu()
    return hinges.sum() / (hinges > 0).sum().clamp(min=1)


def counted(embeddings: Tensor, identities: Tensor, masked: Tensor, *, halves: tuple) -> Tensor:
    """The best enumeration that we know: compare every u with every v, count, and let the counts weigh u and v.

    It differentiates nothing of that size, and works on as many anchors at once as fit the caches.
    """
    unit = F.normalize(embeddings, dim=1)
    u_BX, v_BY = (_differences(2 - 2 * unit @ unit.T, half, "all") for half in halves)
    with torch.no_grad():
        of_u, of_v, border_BY = torch.empty_like(u_BX), torch.empty_like(v_BY), -MARGIN - v_BY
        for start in range(0, len(u_BX), 30):
            own = slice(start, start + 30)
            active_AXY = (u_BX[own, :, None] > border_BY[own, None, :]).float()
            of_u[own], of_v[own] = active_AXY.sum(2), active_AXY.sum(1)
    total = sum(
        (weights * side.masked_fill(~half.used, 0)).sum()
        for weights, side, half in zip((of_u, of_v), (u_BX, v_BY), halves, strict=True)
    )
    return total / of_u.sum().clamp(min=1) + MARGIN


def value_and_gradient(loss: Loss, batch: Batch) -> tuple[Tensor, Tensor]:
    value = loss(*batch)
    (gradient,) = torch.autograd.grad(value, batch.embeddings)
    return value.detach(), gradient


def largest_difference() -> dict[str, dict[str, float]]:
    """Between ours and enumeration in float64, in value and in any entry of the gradient."""
    batch = Batch.of(PAPER, dtype=torch.float64)
    halves = Halves.both(batch)
    found = {}
    for mining in ("all", "semihard", "hardest"):
        own = value_and_gradient(partial(ours, mining=mining), batch)
        wanted = value_and_gradient(partial(enumerated, halves=halves, mining=mining), batch)
        value, gradient = (float((a - b).abs().max()) for a, b in zip(own, wanted, strict=True))
        found[mining] = {"loss": float(own[0]), "value": value, "gradient": gradient}
    return found


def seconds(loss: Loss, batch: Batch, repeats: int) -> float:
    """Best time of a forward and a backward pass."""
    times = []
    for _ in range(repeats + 1):  # the first warms up
        start = time.perf_counter()
        value_and_gradient(loss, batch)
        if batch.embeddings.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def curve(repeats: int, device: str) -> list[dict[str, float]]:
    """Time by batch size; `against_b2logb` is 1 at 2,052 photos and stays under 1 above if time grows no faster."""
    rows = []
    for people in (PAPER, 40, 85, 171, LARGE, 683):
        batch = Batch.of(people, device=device)
        count = len(batch.identities)
        result = quintuplet_loss(*batch, margin=MARGIN, mining="all")
        took = seconds(ours, batch, repeats)
        rows.append({"photos": count, "quintuplets": int(result.valid), "seconds": round(took, 5)})
    unit = next(row["seconds"] / _b2logb(row["photos"]) for row in rows if row["photos"] == 6 * LARGE)
    return [row | {"against_b2logb": round(row["seconds"] / _b2logb(row["photos"]) / unit, 3)} for row in rows]


def _b2logb(count: float) -> float:
    return count**2 * math.log2(count)


def rivals(repeats: int) -> dict[str, float]:
    """Milliseconds on the paper's batch, each the best of interleaved rounds."""
    batch = Batch.of(PAPER)
    halves = Halves.both(batch)
    ways: dict[str, Loss] = {
        "ours": ours,
        "enumeration, differentiated": partial(enumerated, halves=halves),
        "enumeration, counted": partial(counted, halves=halves),
    }
    values = [way(*batch).item() for way in ways.values()]
    assert max(values) - min(values) < 1e-4, values
    best = dict.fromkeys(ways, math.inf)
    for _ in range(repeats):
        for name, way in ways.items():
            best[name] = min(best[name], seconds(way, batch, 3))
    return {name: round(1000 * took, 2) for name, took in best.items()}


def memory(people: int) -> dict[str, float]:
    """MiB that a forward and backward pass adds to a fresh process, at its peak."""
    ours(*Batch.of(PAPER)).backward()
    batch = Batch.of(people)
    before = _status("VmRSS")
    ours(*batch).backward()
    return {"photos": len(batch.identities), "before_mib": round(before), "added_mib": round(_status("VmHWM") - before)}


def _status(field: str) -> float:
    """MiB of this process, as Linux counts."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads that torch uses")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each size; the best counts")
    options = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(1, torch.set_num_threads, (options.threads,)) as fresh:
        added = [fresh.apply(memory, (LARGE,))] if sys.platform == "linux" else []
    torch.set_num_threads(options.threads)
    results: dict[str, Any] = {
        "machine": {"threads": options.threads, "torch": torch.__version__},
        "difference_from_enumeration_float64": largest_difference(),
        "milliseconds_at_120_photos": rivals(options.repeats),
        "cpu": curve(options.repeats, "cpu"),
        "cpu_memory": added,
    }
    if torch.cuda.is_available():
        results["machine"]["gpu"] = torch.cuda.get_device_name()
        results["gpu"] = curve(options.repeats, "cuda")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
