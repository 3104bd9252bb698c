"""How far the faces of a batch lie from each other: a curve of every training of the embedder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raymask.train.engine.config import Distance

if TYPE_CHECKING:
    from torch import Tensor


def distances_by_kind(embeddings: Tensor, identities: Tensor, masked: Tensor, distance: Distance) -> dict[str, Tensor]:
    """The distances of a batch by what the compared photo is to the anchor.

    Args:
        embeddings: (B, D) floating point, normalised here; identities: (B,) integers; masked: (B,) bool.
        distance: "squared_euclidean" (0 to 4) or "cosine" (0 to 2).

    Returns:
        (N,) float32 tensors named same_person_bare, same_person_masked, other_person_bare and other_person_masked,
        possibly empty. Every photo is an anchor once; a photo is not compared with itself.
    """
    import torch
    import torch.nn.functional as F

    with torch.no_grad():
        rows_BD = F.normalize(embeddings.float(), dim=1)
        cosine_BB = (rows_BD @ rows_BD.T).clamp(-1, 1)
        dist_BB = 1 - cosine_BB if distance == "cosine" else 2 - 2 * cosine_BB
        same = identities[:, None] == identities[None, :]
        other_shot = same & ~torch.eye(len(rows_BD), dtype=torch.bool, device=rows_BD.device)
        return {
            f"{person}_person_{dress}": dist_BB[kind & of_dress[None, :]]
            for person, kind in (("same", other_shot), ("other", ~same))
            for dress, of_dress in (("bare", ~masked), ("masked", masked))
        }
