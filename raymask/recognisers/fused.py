"""`fused:DIR`: several recognisers as one, by the scales that `jobs/fuse.py` has found."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from raymask.models.bundle import load_bundle
from raymask.models.fusion import Fusion
from raymask.recognisers.fused_bundle import moved
from raymask.recognisers.kinds import check_named, load_recogniser
from raymask.recognisers.remote_bundles import fetched


class FusedRecogniser:
    """The parts' embeddings scaled and put one behind the other."""

    def __init__(self, folder: str) -> None:
        """`folder`: a local folder or a URI. Raises ModelError if the bundle or a part is missing or damaged."""
        with tempfile.TemporaryDirectory() as copy:
            here = fetched(folder, Path(copy))
            fusion = load_bundle(here, "Fusion").model
            check_named(here)
            assert isinstance(fusion, Fusion)
            self.fusion = fusion
            self.parts = [load_recogniser(moved(part, here)) for part in fusion.config.parts]

    def embed(self, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Embed the subject of each photo; found if any part finds it."""
        answers = [part.embed(photos) for part in self.parts]
        rows = [torch.from_numpy(np.asarray(embeddings, np.float32)) for embeddings, _ in answers]
        found = np.any([found for _, found in answers], axis=0)
        return self.fusion(rows).numpy(), found
