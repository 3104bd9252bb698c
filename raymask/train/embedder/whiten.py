"""After the training: directions in which photos of one person differ are shortened, those of masks above all.

Within-class covariance normalisation (Hatch, Kajarekar and Stolcke 2006), for masked photos that are asked about and
bare ones that are enrolled: C is the second moment of what a mask changes in a photo's embedding, over all people, plus
that of what bare photos of one person differ by, over those with several. Embeddings are multiplied by
((1 - s) C + s tr(C) / D I) ^ (-1/2), s being the shrinkage, before they are scaled to length 1; where an embedding has
parts, each by a C of its own. The last layer of the network takes the matrices in, so that it stays as large and as
fast as it was.

Shapes: N photos, each bare and masked, D values of a part of their embeddings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raymask.data.augment.embedder_views import Dressing, FreshFaces
from raymask.data.reading.crops import Crops
from raymask.data.reading.joined import open_crops
from raymask.data.reading.sampler import BatchPhoto
from raymask.errors import DataError, ModelError
from raymask.models.bundle import check_replaceable, load_bundle, save_bundle
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.plugins import allow
from raymask.progress import Progress
from raymask.train.embedder.whiten_config import WhitenConfig

_AT_ONCE = 16
"""Photos that are embedded together."""


def whiten(config: WhitenConfig) -> Path:
    """Write the bundle of the network with its last layer whitened; returns its folder.

    Raises:
        ModelError: the bundle is missing or damaged, or its head is not linear; or something else stands where the new
            one shall be, or it cannot be written.
        DataError: the faces cannot be read, or show nobody twice.
    """
    check_replaceable(config.out)
    allow(config.own)
    bundle = load_bundle(config.bundle, "MaskFaceNet")
    network = bundle.model
    assert isinstance(network, MaskFaceNet)
    if network.config.head != "linear":
        raise ModelError(f"{config.bundle} has the head of Table 1, which normalises at its end; whiten linear heads")
    store = open_crops(config.data, "train")
    rows = np.sort(np.random.default_rng(0).permutation(len(store))[: config.photos])
    bare, masked = (np.split(made, network.config.parts, axis=1) for made in embed(network, store, rows))
    moments = [differences(*part, store.identities[rows]) for part in zip(bare, masked, strict=True)]
    matrix = torch.block_diag(*(torch.from_numpy(whitening(part, config.shrinkage)) for part in moments))
    network.last.weight.data = matrix.to(network.last.weight) @ network.last.weight.data
    try:
        return save_bundle(
            config.out,
            network,
            preprocessing=bundle.config["preprocessing"],
            training=bundle.config["training"] | {"whitened": {"shrinkage": config.shrinkage, "photos": len(rows)}},
        )
    except OSError as error:
        raise ModelError(f"{config.out} cannot be written ({error.strerror})") from None


@torch.no_grad()
def embed(network: MaskFaceNet, store: Crops, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of photos, bare and in the masks that they were prepared with, (N, all parts' D together) float64
    each, of length 1."""
    alignment = network.config.alignment
    faces = FreshFaces(store, Dressing(alignment=None if alignment == "box" else alignment))
    made: tuple[list[Tensor], list[Tensor]] = ([], [])
    with Progress("embed", total=len(rows), unit="photos") as progress:
        for some in np.array_split(rows, -(-len(rows) // _AT_ONCE)):
            for masked in (False, True):
                shots = [BatchPhoto(int(row), masked) for row in some]
                crops = faces.pixels(shots, network.config.input_size, np.zeros(len(shots), np.int64))
                made[masked].append(normalize(network(torch.from_numpy(crops)).double(), dim=1))
            progress.add(len(some))
    return torch.cat(made[False]).numpy(), torch.cat(made[True]).numpy()


def differences(bare: np.ndarray, masked: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """C, (D, D), of one part, (N, D), of the embeddings of photos of the people `identities`, (N,).

    Raises DataError if nobody has two photos.
    """
    change = masked - bare
    _, person, counts = np.unique(identities, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(person, weights=column) for column in bare.T], axis=1) / counts[:, None]
    several = counts[person] >= 2
    free = several.sum() - (counts >= 2).sum()
    if not free:
        raise DataError("nobody has two photos among those that whiten has looked at; give it more --photos")
    stray = (bare - means[person])[several]
    return change.T @ change / len(change) + 2 * stray.T @ stray / free


def whitening(moments: np.ndarray, shrinkage: float) -> np.ndarray:
    """((1 - s) C + s tr(C) / D I) ^ (-1/2), (D, D), symmetric, scaled to a mean eigenvalue of 1, so that weights stay
    as large as they were."""
    values, vectors = np.linalg.eigh(moments)
    factors = ((1 - shrinkage) * values + shrinkage * values.mean()) ** -0.5
    return (vectors * (factors / factors.mean())) @ vectors.T
