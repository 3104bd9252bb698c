"""What is computed of a start before the first step, alone and by several workers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.ranks import on_ranks
from torch.nn.functional import normalize

from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.train.embedder.grad_cache import Chunk
from raymask.train.embedder.init_weights import begin_with
from raymask.train.embedder.loader import Batch
from raymask.train.embedder.warm_start import fit_last, fit_statistics

CPU = torch.device("cpu")
FACES = 40
KNOWN = MaskFaceNetConfig(
    backbone="dlib", head="linear", alignment="dlib", input_size=150, embedding_size=128, dropout=0
)


def known() -> MaskFaceNet:
    """Dlib's network, with a last layer at random."""
    torch.manual_seed(0)
    network = begin_with(MaskFaceNet(KNOWN), "dlib")
    torch.nn.init.normal_(network.last.weight)
    return network


def faces(rank: int = 0, size: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """A rank's share of smooth pictures, (B, 3, 150, 150) uint8, and of what a teacher makes of them, (B, 128); the
    last of three ranks has none."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(FACES, 3, 6, 6, generator=generator) * 255
    crops = torch.nn.functional.interpolate(coarse, size=150, mode="bicubic").clamp(0, 255).to(torch.uint8)
    targets = normalize(torch.randn(FACES, 128, generator=generator), dim=1)
    cut = {1: [40], 3: [25, 15, 0]}[size]
    return crops.split(cut)[rank], targets.split(cut)[rank]


def batch(rank: int = 0, size: int = 1, *, chunks: int = 1) -> Batch:
    made = []
    for crops, targets in zip(*(part.chunk(chunks) for part in faces(rank, size)), strict=True):
        if not len(crops):
            continue
        people = torch.arange(len(crops))
        made.append(Chunk(len(made), crops, people, people < 0, targets))
    return Batch(made, [chunk.identities.numpy() for chunk in made], chunks * size, FACES)


def fitted(rank: int = 0, size: int = 1, *, chunks: int = 1) -> MaskFaceNet:
    network = known()
    fit_statistics(network, batch(rank, size, chunks=chunks), CPU)
    fit_last(network, [batch(rank, size, chunks=chunks)] * 2, photos=2 * FACES, device=CPU, precision=None)
    return network


def test_a_network_that_normalises_by_the_batch_begins_as_the_one_that_was_known():
    before, after = known(), known()
    fit_statistics(after, batch(chunks=2), CPU)
    crops, _ = faces()
    with torch.no_grad():
        wanted = before.eval()(crops)
        torch.testing.assert_close(after.eval()(crops), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))
        found, untouched = after.train()(crops), known().train()(crops)
    far = 1 - torch.cosine_similarity(untouched, wanted).mean()
    near = 1 - torch.cosine_similarity(found, wanted).mean()
    assert near < 1e-3
    assert far > 100 * near


def test_the_last_layer_begins_with_the_least_squares_of_the_targets():
    network = fitted(chunks=3)
    crops, targets = faces()
    with torch.no_grad():
        seen = network.eval().pooled(crops).double().numpy()
    penalty = 0.01 * np.square(seen).sum(0).mean()  # of one batch; two of them weigh twice, and so does their mean
    rows = np.concatenate([seen, np.sqrt(penalty) * np.eye(seen.shape[1])])
    wanted = np.linalg.lstsq(rows, np.concatenate([targets.numpy(), np.zeros((len(rows) - FACES, 128))]), rcond=None)[0]
    assert network.last.weight.detach().numpy() == pytest.approx(wanted.T, rel=1e-3, abs=1e-4 * np.abs(wanted).max())


def _fit_as_one_of_three(rank: int, folder: str) -> None:
    torch.save(fitted(rank, 3).state_dict(), f"{folder}/{rank}.pt")


def test_workers_come_to_the_same_start_together(tmp_path):
    on_ranks(3, _fit_as_one_of_three, str(tmp_path))
    alone, (first, *others) = fitted(), [torch.load(tmp_path / f"{rank}.pt") for rank in range(3)]
    for name, value in alone.state_dict().items():
        near = 1e-3 * float(value.abs().max()) + 1e-6
        torch.testing.assert_close(
            first[name], value, rtol=1e-3, atol=near, msg=lambda text, name=name: f"{name}: {text}"
        )
    for other in others:
        assert torch.equal(other["head.3.weight"], first["head.3.weight"])


def test_a_normalisation_that_knows_its_faces_stays_as_it_is():
    network = MaskFaceNet(replace(KNOWN, backbone="resnet18", alignment="box"))
    fit_statistics(network, batch(), CPU)
    once = {name: value.clone() for name, value in network.state_dict().items()}
    fit_statistics(network, batch(), CPU)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, once[name], rtol=1e-3, atol=1e-4)


def test_of_a_large_batch_some_of_each_chunk_go_through_at_once(monkeypatch):
    monkeypatch.setattr("raymask.train.embedder.warm_start._STATISTICS", 12)
    network, seen = known().eval(), []
    network.backbone.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    before = network(faces()[0])
    fit_statistics(network, batch(chunks=4), CPU)
    assert seen[-1] == 12
    torch.testing.assert_close(network(faces()[0]), before, rtol=1e-3, atol=1e-3)
