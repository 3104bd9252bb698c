"""EdgeConnect's published checkpoints as an inpainter of ours. Their licence (CC BY-NC 4.0) excludes commercial use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from raymask.errors import ModelError
from raymask.models.config import InpainterConfig
from raymask.models.networks.inpainter import Inpainter

FILES = {"edge_generator": "EdgeModel_gen.pth", "image_generator": "InpaintingModel_gen.pth"}
"""Of a folder of published weights, by the generator that they are of."""


def load_published(folder: str | Path) -> Inpainter:
    """The inpainter at full width with the weights in a folder of EdgeConnect's checkpoints.

    Raises:
        ModelError: a file is missing, cannot be read as weights alone, or is of another architecture or width.
    """
    inpainter = Inpainter(InpainterConfig(width="full"))
    for part, name in FILES.items():
        file = Path(folder) / name
        generator = getattr(inpainter, part)
        _fit(generator, _renamed(_read(file)), file)
    return inpainter.eval()


def _read(file: Path) -> dict[str, Tensor]:
    """The generator's weights in a checkpoint, without the prefix that several GPUs leave."""
    try:
        # `weights_only`: no code in the file is run.
        held: Any = torch.load(file, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise ModelError(
            f"{file} is missing; a folder of EdgeConnect's weights holds {', '.join(FILES.values())}"
        ) from None
    except Exception as error:  # whatever reading a damaged or a dangerous file comes to
        raise ModelError(f"{file} cannot be read as weights ({str(error).splitlines()[0][:150]})") from None
    weights = held.get("generator") if isinstance(held, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ModelError(f"{file} is no checkpoint of EdgeConnect: it holds no weights under the name 'generator'")
    return {name.removeprefix("module."): value for name, value in weights.items()}


def _renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Spectral normalisation's names of before, `weight_orig`, `weight_u` and `weight_v`, as torch has them now.

    Checkpoints of the first versions lack `weight_v`, which follows from the other two.
    """
    renamed = {}
    for name, value in weights.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight_orig":
            renamed[f"{layer}.parametrizations.weight.original"] = value
            if f"{layer}.weight_v" not in weights and f"{layer}.weight_u" in weights:
                rows = value.transpose(0, 1) if _is_transposed(layer) else value
                right = rows.flatten(1).T @ weights[f"{layer}.weight_u"]
                renamed[f"{layer}.parametrizations.weight.0._v"] = normalize(right, dim=0)
        elif kind in ("weight_u", "weight_v"):
            renamed[f"{layer}.parametrizations.weight.0._{kind[-1]}"] = value
        else:
            renamed[name] = value
    return renamed


def _is_transposed(layer: str) -> bool:
    """Whether the layer is one that doubles the resolution, whose weights stand the other way round."""
    return re.fullmatch(r"decoder\.[03]", layer) is not None


def _fit(generator: torch.nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    """Put the weights in. Raises ModelError if names or shapes are others."""
    expected = generator.state_dict()
    strange, missing = sorted(weights.keys() - expected.keys()), sorted(expected.keys() - weights.keys())
    if strange or missing:
        found = [
            f"{len(part)} {what} ({part[0]}, ...)"
            for part, what in ((missing, "missing"), (strange, "unknown"))
            if part
        ]
        raise ModelError(f"{file} is of another architecture than EdgeConnect's: of its weights {', '.join(found)}")
    for name, value in weights.items():
        if value.shape != expected[name].shape:
            raise ModelError(
                f"{file} is of another width: {name} is {tuple(value.shape)}, published {tuple(expected[name].shape)}"
            )
    generator.load_state_dict(weights)
