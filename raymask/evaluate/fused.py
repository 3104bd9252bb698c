"""`fused:DIR`: several recognisers as one, by the scales that `jobs/fuse.py` has found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from raymask.errors import ConfigError
from raymask.evaluate.recognisers import load_recogniser
from raymask.models.bundle import load_bundle
from raymask.models.fusion import Fusion


class FusedRecogniser:
    """The parts' embeddings scaled and put one behind the other."""

    def __init__(self, folder: str) -> None:
        """`folder`: a local one. Raises ModelError if the bundle, or what it refers to, is missing or damaged."""
        bundle = load_bundle(folder, "Fusion")
        assert isinstance(bundle.model, Fusion)
        self.fusion, self.thresholds = bundle.model, dict(bundle.config["thresholds"])
        self.parts = [load_recogniser(moved(part, Path(folder))) for part in self.fusion.config.parts]

    def embed(self, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Embed the subject of each photo; found if any part finds it."""
        answers = [part.embed(photos) for part in self.parts]
        rows = [torch.from_numpy(np.asarray(embeddings, np.float32)) for embeddings, _ in answers]
        found = np.any([found for _, found in answers], axis=0)
        return self.fusion(rows).numpy(), found


def moved(spec: str, folder: Path) -> str:
    """A part's spec with its files looked for in the bundle's folder."""
    kind, _, rest = spec.partition(":")
    if kind == "mrii":
        segmenter, inpainter, embedder = rest.split(",", 2)
        return f"mrii:{folder / segmenter},{folder / inpainter},{moved(embedder, folder)}"
    return f"{kind}:{folder / rest}" if kind in ("bundle", "onnx") else spec


def check_parts(specs: Sequence[str]) -> None:
    """Raise ConfigError if a fusion inside a fusion is asked for."""
    for spec in specs:
        if "fused:" in spec:
            raise ConfigError(f"{spec} is a fusion already; name its parts instead")
