"""Pictures of a training as one image: a row a face, a column a state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def picture_grid(columns: Sequence[Tensor]) -> np.ndarray:
    """Columns of (B, 3, S, S) uint8 RGB to (B * S, columns * S, 3) uint8."""
    rows = torch.cat([column.cpu() for column in columns], dim=3)
    return np.ascontiguousarray(torch.cat(list(rows), dim=1).permute(1, 2, 0).numpy())
