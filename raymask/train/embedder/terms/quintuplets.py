"""The quintuplet loss (paper §4.2) over the batches of all ranks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from raymask.losses.quintuplet import Distance, Mining, QuintupletResult, quintuplet_loss
from raymask.train.embedder.terms.base import LossBatch, Lost, Term
from raymask.train.engine.config import LossConfig
from raymask.train.engine.distributed import all_sum, gather


class Quintuplets(Term):
    """A mean over the active quintuplets; its curve has the name of the mining rule."""

    Settings = LossConfig
    settings: LossConfig

    def forward(self, batch: LossBatch) -> tuple[Tensor, Lost]:
        """As `Term.forward`."""
        rule = self.settings.rule(batch.epoch)
        share, result = global_quintuplet_loss(
            self._placed(batch),
            batch.identities,
            batch.masked,
            margin=self.settings.margin,
            mining=rule,
            distance=self.settings.distance,
        )
        valid, active = int(result.valid), int(result.active)
        return share, Lost(
            result.loss.item(),
            active,
            totals={"valid": valid, "active": active, "empty_steps": int(active == 0)},
            figures={"active_share": active / max(1, valid), "active": active},
            curve=rule,
            note=f"{active:,} active quintuplets",
        )

    def _placed(self, batch: LossBatch) -> Tensor:
        """What the quintuplets compare: the embeddings, or bare photos where the teacher puts them."""
        if not self.settings.bare_fixed or batch.targets is None:
            return batch.embeddings
        unit, targets = normalize(batch.embeddings, dim=1), batch.targets.to(batch.embeddings)
        return torch.where(batch.masked[:, None], unit, targets)


def global_quintuplet_loss(
    embeddings: Tensor, identities: Tensor, masked: Tensor, *, margin: float, mining: Mining, distance: Distance
) -> tuple[Tensor, QuintupletResult]:
    """The quintuplet loss of the union of all ranks' batches.

    Each rank mines its own anchors against the gathered batch; sums and int64 counts are added before the division.

    Args:
        embeddings: (B, D) of this rank, with gradient; identities (B,) int64; masked (B,) bool.

    Returns:
        The share to call backward on, as `Term.forward`. And the whole batch's result, equal on all ranks, without
        gradient.
    """
    all_embeddings, start = gather(embeddings)
    all_identities, _ = gather(identities)
    all_masked, _ = gather(masked.to(torch.uint8))
    own = torch.arange(start, start + len(embeddings), device=embeddings.device)
    part = quintuplet_loss(
        all_embeddings, all_identities, all_masked.bool(), margin=margin, mining=mining, distance=distance, anchors=own
    )
    active = all_sum(part.active)
    share = part.loss * part.active / active.clamp(min=1)  # in this order: a ratio of integers would be float32
    return share, QuintupletResult(all_sum(share), all_sum(part.valid), active)
